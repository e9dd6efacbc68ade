"""Checks and their verdicts on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnexplain.core.params import declared

if TYPE_CHECKING:
    from cnnexplain.runner.thresholds import Chosen


def listing(taken: Sequence[Chosen]) -> list[str]:
    """All checks: id, level and meaning, and below it why it matters and its limits with their reasons."""
    lines = []
    for one in taken:
        lines.append(f"{one.id} ({one.level}): {one.title}")
        lines.append(f"    {one.check.why}")
        for field in declared(type(one.check)):
            lines.append(f"    {field.name.replace('_', '-')} = {one.limits[field.name]}: {field.param.help}")
    return lines
