"""Where the cells of a map lie on the input along one direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cnnexplain.engine.fields.axes import Along, AxisField

KERNEL = 7  # the padding that goes with a kernel of up to this size is no move
# Cells that a cut may take off each end, as to make two maps fit, without being a cut of the picture.
SLACK = 1


@dataclass(frozen=True)
class Place(AxisField):
    """Where the cells of a map lie along one direction: from pixel `low` of the input to `high`, evenly.

    `stride` is negative where they lie the other way round. Where they cannot be followed, `lost` says why.
    """

    lost: str = ""
    # The first operation before it of which it is only supposed that it leaves things where they are.
    doubt: str = ""
    before: int = 0  # cells of padding, which lie nowhere
    after: int = 0
    framed: bool = False  # whether the padding is of the picture, and not of a map

    def through(
        self,
        windows: Sequence[Sequence[int]],
        stride: float,
        real: Callable[[int], int] = lambda cell: cell,  # noqa: ARG002  (as of every axis)
    ) -> Place:
        """Windows that slide lie on the same part of the picture; and on its frame, but for what their size needs."""
        seen = ((0, 0),) * len(windows)
        size = max((window[-1] - window[0] + 1 for window in windows if window), default=1)
        place = self
        if self.framed and not is_small(self.before, self.after, size if size > stride else 1):
            cell = (self.high - self.low) / (len(self.seen) - self.before - self.after)
            first, last = (self.before, self.after) if self.stride > 0 else (self.after, self.before)
            place = replace(self, low=self.low - cell * first, high=self.high + cell * last)
        return replace(place, seen=seen, before=0, after=0, framed=False)

    def cut(self, first: int, past: int, cells: int, slack: int = SLACK) -> Place:
        """What is left of the cells from `first` to `past`, now so many `cells`; no cut where `slack` are cut off."""
        count = len(self.seen) - self.before - self.after
        start, end = max(0, first - self.before), min(count, past - self.before)
        padding = max(0, self.before - first), max(0, past - self.before - count)
        seen = ((0, 0),) * cells
        if start >= end or max(start, count - end) <= slack:
            return replace(self, seen=seen, before=padding[0], after=padding[1])
        cell = (self.high - self.low) / count
        low, high = (start, end) if self.stride > 0 else (count - end, count - start)
        return replace(
            self,
            low=self.low + cell * low,
            high=self.low + cell * high,
            seen=seen,
            before=padding[0],
            after=padding[1],
        )

    def mirrored(self) -> Place:
        return replace(self, stride=-self.stride, before=self.after, after=self.before)

    def widened(self) -> Place:
        """It is kept in mind where the cells lay, as behind global pooling or among tokens."""
        return self

    def joined(self, other: AxisField) -> Place:
        other = placed(other)
        if (other.stride, other.low, other.high) != (self.stride, self.low, self.high):
            return self.losing("the model joins parts of the picture that lie in different places")
        return self.losing(other.lost).doubted(other.doubt)

    def mixed(self, dim: int | None, other: Along) -> Along:
        """What still lies along a dimension decides: the rest was pooled, or stands for no place."""
        if (dim is None) != (other[1] is None):
            place, pooled = (self, other[0]) if other[1] is None else (placed(other[0]), self)
            return place.doubted(placed(pooled).doubt), other[1] if dim is None else dim
        return self.joined(other[0]), None

    def losing(self, why: str) -> Place:
        return replace(self, lost=self.lost or why)

    def doubted(self, operation: str) -> Place:
        return replace(self, doubt=self.doubt or operation) if operation else self


def is_small(before: int, after: int, size: int) -> bool:
    """Whether padding is what windows of a size need to leave as many cells as there were."""
    return before + after < size and abs(before - after) <= SLACK


def placed(axis: AxisField) -> Place:
    if not isinstance(axis, Place):
        raise TypeError("places are followed with places only")
    return axis
