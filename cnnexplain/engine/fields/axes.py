"""What the cells of a map see of the input, along its rows and its columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from cnnexplain.engine.trace.functions import Args, Function, Kwargs

NOTHING = (1 << 40, -1)  # what a cell over padding sees: the neutral element of a hull


@dataclass(frozen=True)
class AxisField:
    """Along one axis, cell i of a map sees the input's pixels from stride*i + low to stride*i + high.

    An infinite `low` and `high` say that every cell sees all that any cell sees. Near an edge cells see less, or
    reflections of it: `seen` holds the first and last pixel of every cell; one for all where there is no end.
    """

    stride: float
    low: float
    high: float
    seen: tuple[tuple[int, int], ...] = field(default=(), repr=False, compare=False)

    @property
    def size(self) -> int | None:
        """How many pixels a cell sees far from any edge; None for the whole input."""
        return None if math.isinf(self.high) else math.floor(self.high - self.low + 1e-6) + 1

    def span(self, i: int, length: int) -> tuple[int, int]:
        """The first pixel that cell i sees and the one past the last, of an input of `length`; at least one pixel."""
        first, last = NOTHING
        if self.seen:
            first, last = self.seen[0 if self.size is None else i]
        if first > last:
            first, last = 0, length - 1
            if self.size is not None:
                first = math.ceil(self.stride * i + self.low - 1e-6)
                last = math.floor(self.stride * i + self.high + 1e-6)
        first = min(max(first, 0), length - 1)
        return first, max(first, min(last, length - 1)) + 1

    def widened(self) -> AxisField:
        """This axis, where every cell sees all that any cell sees."""
        return AxisField(1, -math.inf, math.inf, (_hull(self.seen),))

    def joined(self, other: AxisField) -> AxisField:
        """This axis and another of as many cells in one: each cell sees what it sees in either."""
        if self == other and self.seen == other.seen:
            return self
        seen = tuple(_hull(pair) for pair in zip(self.seen, other.seen, strict=True))
        ends = (0, len(seen) - 1)
        fits = []
        for stride in (self.stride, other.stride):
            lows = [axis.stride * i + axis.low - stride * i for axis in (self, other) for i in ends]
            highs = [axis.stride * i + axis.high - stride * i for axis in (self, other) for i in ends]
            fits.append(AxisField(stride, min(lows), max(highs), seen))
        return min(fits, key=lambda fit: fit.high - fit.low)

    def mixed(self, dim: int | None, other: Along) -> Along:  # noqa: ARG002
        """What is made of two axes that do not lie along the same dimension: every cell sees all that either does."""
        return AxisField(1, 0, 0, self.seen + other[0].seen).widened(), None

    def through(
        self, windows: Sequence[Sequence[int]], stride: float, real: Callable[[int], int] = lambda cell: cell
    ) -> AxisField:
        """An axis whose cells each see a window of this one's cells, ascending; cells that are not there are padding.

        `stride`: by how many cells windows lie apart. `real` says which cell stands for one of the padding.
        """
        lows = [window[0] - stride * i for i, window in enumerate(windows) if window]
        highs = [window[-1] - stride * i for i, window in enumerate(windows) if window]
        count = len(self.seen)
        seen = tuple(
            _hull(self.seen[cell] for cell in map(real, window) if 0 <= cell < count) for window in windows
        )
        return AxisField(
            self.stride * stride,
            self.stride * min(lows, default=0) + self.low,
            self.stride * max(highs, default=0) + self.high,
            seen,
        )


# Also the dimension that holds the cells; None: any element sees all of the axis.
Along = tuple[AxisField, "int | None"]
Seen = tuple[Along, Along]  # of the input's rows, and of its columns
How = Callable[[AxisField, int], "Along | None"]  # None: every element of the result sees all of it


@dataclass
class Call:
    """One call of a function: what went in, by the names that its rule knows, and one of the tensors that came out."""

    function: Function
    args: Args
    kwargs: Kwargs
    named: dict[str, Any]  # the arguments by the names that the rule knows
    out: Tensor
    look: Callable[[Tensor], Seen | None]  # what a tensor saw before; None: it does not depend on the input

    @property
    def x(self) -> Tensor:
        """The first operand."""
        return cast(Tensor, self.named["input"] if "input" in self.named else self.args[0])

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor among the arguments."""
        return tensors_in((self.args, self.kwargs))

    def carried(self, how: How) -> Seen | None:
        """The field of the first operand, each direction changed by `how`, joined with all that other operands see."""
        others = list(self.tensors())
        del others[[other is self.x for other in others].index(True)]  # once: it may be there twice
        return union([each(self.look(self.x), how), *(everything(self.look(other)) for other in others)])


Rule = Callable[[Call], "Seen | None"]


def tensors_in(value: object) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists, mappings and slices."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(entry)
    elif isinstance(value, slice):
        yield from tensors_in((value.start, value.stop, value.step))


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """The memory that a tensor lies in; None where it has none that others could share, as sparse ones."""
    try:
        return tensor.untyped_storage()
    except RuntimeError:
        return None


def each(seen: Seen | None, how: How) -> Seen | None:
    """The field with `how` applied to both directions, where they lie along a dimension."""
    if seen is None:
        return None
    rows, columns = (
        (axis, dim) if dim is None else how(axis, dim) or (axis.widened(), None) for axis, dim in seen
    )
    return rows, columns


def everything(seen: Seen | None) -> Seen | None:
    """The field where every element sees all that any element sees."""
    return each(seen, lambda _axis, _dim: None)


def union(several: Iterable[Seen | None]) -> Seen | None:
    """Several fields of the same tensor in one: each element sees what it sees in any of them."""
    total: Seen | None = None
    for seen in several:
        if seen is not None:
            total = seen if total is None else (_both(total[0], seen[0]), _both(total[1], seen[1]))
    return total


def fitting(seen: Seen | None, out: Tensor) -> Seen | None:
    """The field as it is. Raises `ValueError` where a tensor has another number of cells along its dimensions."""
    for axis, dim in seen or ():
        if dim is not None and out.shape[dim] != len(axis.seen):
            raise ValueError(f"{len(axis.seen)} cells along dimension {dim} of {tuple(out.shape)}")
    return seen


def same(a: Seen | None, b: Seen | None) -> bool:
    """Whether two fields are equal to the last pixel."""
    if a is None or b is None:
        return a is b
    return all(
        first == second and first[0].seen == second[0].seen for first, second in zip(a, b, strict=True)
    )


def _both(a: Along, b: Along) -> Along:
    if a[1] == b[1] is not None:
        return a[0].joined(b[0]), a[1]
    return a[0].mixed(a[1], b)


def _hull(spans: Iterable[tuple[int, int]]) -> tuple[int, int]:
    first, last = NOTHING
    for low, high in spans:
        first, last = min(first, low), max(last, high)
    return first, last


def anything(call: Call) -> Seen | None:
    """A function that is not known may mix all its operands: every element sees all that any operand sees."""
    return union(everything(call.look(operand)) for operand in call.tensors())
