"""A unit as a folder has shown it: what is recorded of it, and the pictures that are to be shown for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A picture that is shown for a unit, the channel of a layer."""

    channel: int
    group: str  # top, median or random
    position: int  # of the picture, among those of the run
    activation: float
    cell: int | None  # counted row by row; None where the unit is strongest


@dataclass(frozen=True)
class UnitFacts:
    """A unit: the pictures that are shown for it, and what is recorded of it beside them."""

    channel: int
    shown: tuple[Shown, ...]
    facts: dict[str, Any]
