"""What a check finds, and what becomes of it: verdicts, and what is drawn for them. No torch in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Level = Literal["error", "warn", "off"]
Need = Literal["pictures", "labels", "baseline"]
Status = Literal["pass", "warn", "fail", "skipped"]
LEVELS: tuple[Level, ...] = ("error", "warn", "off")
ROWS = 30  # of a table


@dataclass(frozen=True)
class EvidenceTable:
    """The evidence in rows, the worst first; every cell is a text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Profile:
    """One number for each of several things in their order, as gradients from the first layer to the last."""

    title: str
    names: tuple[str, ...]
    values: tuple[float, ...]  # NaN and infinities are drawn as such
    unit: str
    logarithmic: bool = False
    limits: tuple[float, ...] = ()  # lines to hold the values against
    marked: frozenset[int] = frozenset()  # places that are to blame


@dataclass(frozen=True, eq=False)
class Curves:
    """Several series over one axis, as scores while more and more of a picture is deleted."""

    title: str
    x: tuple[float, ...]
    series: dict[str, tuple[float, ...]]  # each as long as x
    x_name: str
    y_name: str


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often pictures of one class (a row) were taken for another (a column)."""

    title: str
    names: tuple[str, ...]  # one a row and column
    counts: NDArray[np.int64]  # (K, K)


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """One picture as the model saw it, with words below it, and a heat map over it where one helps."""

    pixels: NDArray[np.uint8]  # (H, W, C)
    caption: str
    values: NDArray[np.float32] | None = None  # (h, w), signed


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side, the most telling first."""

    title: str
    thumbnails: tuple[Thumbnail, ...]


Drawing = Profile | Curves | Confusion | Gallery


@dataclass(frozen=True)
class Measurement:
    """What a check measured: whether it is good, in a sentence, and the figure that was held against the limit."""

    good: bool
    says: str  # one sentence: what was found
    value: float | None = None
    do: str = ""  # what to do about it; only where it is not good
    table: EvidenceTable | None = None
    drawing: Drawing | None = None
    grave: bool = False  # so bad that a check that otherwise warns fails, unless a user has set its level


class Skipped(Exception):  # noqa: N818 - no error: a check that has nothing to say of this model
    """Raised by a check that cannot tell; the reason is its text."""


@dataclass(frozen=True)
class Verdict:
    """What became of one check."""

    check: str  # its id
    title: str
    status: Status
    level: Level
    says: str
    do: str = ""
    value: float | None = None
    limits: dict[str, Any] = field(default_factory=dict)  # its thresholds, by name
    seconds: float = 0
    table: EvidenceTable | None = None
    drawing: Drawing | None = None
    why: str = ""  # it matters
