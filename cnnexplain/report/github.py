"""Verdicts for a GitHub workflow: annotations beside the log, and the summary of the step."""

from __future__ import annotations

from collections.abc import Sequence

from cnnexplain.core.verdict import Verdict


def notes(verdicts: Sequence[Verdict], model: str) -> list[str]:
    """A workflow command for every check that failed or warns."""
    raise NotImplementedError


def summary(verdicts: Sequence[Verdict], model: str) -> str:
    """A table in Markdown."""
    raise NotImplementedError
