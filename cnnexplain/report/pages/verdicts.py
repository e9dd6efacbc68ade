"""Verdicts as plain data: the field `checks` of a record of `check`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.core.records import DIGITS, plain, readable
from cnnexplain.core.verdict import Verdict
from cnnexplain.report.pages.record import inspected


def checked(verdicts: Sequence[Verdict], pictures: Mapping[str, str], model: str) -> dict[str, Any]:
    """The record of a model that was checked; `pictures` has the path of a check's picture by its id."""
    return inspected(
        "check", model, (), {"checks": [_plain(verdict, pictures.get(verdict.check)) for verdict in verdicts]}
    )


def _plain(verdict: Verdict, picture: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": verdict.check,
        "title": verdict.title,
        "why": verdict.why,
        "status": verdict.status,
        "level": verdict.level,
        "says": readable(verdict.says),
        "value": _number(verdict.value),
        "limits": plain(verdict.limits),
        "seconds": round(verdict.seconds, 3),
    }
    if verdict.do:
        entry["do"] = readable(verdict.do)
    if verdict.table is not None:
        rows = [[readable(cell) for cell in row] for row in verdict.table.rows]
        entry["table"] = {"head": list(verdict.table.head), "rows": rows}
    if picture is not None and verdict.drawing is not None:
        entry["picture"] = picture
        entry["shows"] = readable(verdict.drawing.title)  # for those who cannot see it
    return entry


def _number(value: float | None) -> float | None:
    """A figure that JSON can hold: none where it is not finite, as the sentence then says."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
