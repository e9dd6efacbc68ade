"""Baselines: a stored run, read from and written to one file, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnexplain.checks._subject import Subject
from cnnexplain.core.baseline import Baseline
from cnnexplain.runner.thresholds import Chosen


def read(path: Path) -> Baseline:
    """A stored run. Raises `CheckInputError` where there is none, or a part of one."""
    raise NotImplementedError


def require_fit(stored: Baseline, subject: Subject, taken: Sequence[Chosen]) -> None:
    """Raise `CheckInputError`, naming the difference, where the stored run was another."""
    raise NotImplementedError


def write(path: Path, subject: Subject) -> None:
    """Store what is said of the pictures."""
    raise NotImplementedError
