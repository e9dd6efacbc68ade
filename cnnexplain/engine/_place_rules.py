"""Where the cells of a map lie on the input, and how each of torch's functions hands that on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnexplain.engine._field_axes import Along, Axis, Call, Rule, Seen, anything, each
from cnnexplain.engine._field_rules import pointwise

# Functions that move pixels to where they cannot be followed.
_SCATTERING = """
grid_sample grid_sampler grid_sampler_2d gather take take_along_dim scatter index_select index_put
roi_align roi_pool ps_roi_align ps_roi_pool sort argsort topk
"""
SCATTERING = frozenset(_SCATTERING.split())
CUTTING = frozenset(("narrow", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "select"))
MIRRORING = frozenset(("flip", "fliplr", "flipud"))
# What makes it worth while to follow a model, and below what does so only where it is done to the picture itself:
# networks permute, roll and pad their maps, and put them back.
MOVING = SCATTERING | CUTTING | MIRRORING | {"__getitem__", "rot90"}
TURNING = frozenset(
    ("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "T", "mT", "H", "mH")
)
KERNEL = 7  # the padding that goes with a kernel of up to this size is no move
SLACK = (
    1  # cells that a cut may take off each end, as to make two maps fit, without being a cut of the picture
)


@dataclass(frozen=True)
class Place(Axis):
    """Where the cells of a map lie along one direction: from pixel `low` of the input to `high`, evenly.

    `stride` is negative where they lie the other way round. Where they cannot be followed, `lost` says why.
    """

    lost: str = ""
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

    def whole(self) -> Place:
        """It is kept in mind where the cells lay, as behind global pooling or among tokens."""
        return self

    def joined(self, other: Axis) -> Place:
        if isinstance(other, Place) and (other.stride, other.low, other.high) != (
            self.stride,
            self.low,
            self.high,
        ):
            return self.losing("the model joins parts of the picture that lie in different places")
        return self.losing(other.lost) if isinstance(other, Place) else self

    def mixed(self, dim: int | None, other: Along) -> Along:
        """What still lies along a dimension decides: the rest was pooled, or stands for no place."""
        if (dim is None) != (other[1] is None):
            return (self, dim) if other[1] is None else other
        return self.joined(other[0]), None

    def losing(self, why: str) -> Place:
        return replace(self, lost=self.lost or why)


def kept(call: Call) -> Seen | None:
    """A function that is not known leaves things where they are, if there are as many dimensions."""
    seen = pointwise(call)
    return each(seen, lambda axis, dim: (axis, dim) if call.out.shape[dim] == len(axis.seen) else None)


def scattered(name: str) -> Rule:
    """A function that moves cells about, but for one along a dimension that is not of the picture."""

    def rule(call: Call) -> Seen | None:
        tensor, number = call.args[0] if call.args else call.x, 2 if name in ("topk", "take_along_dim") else 1
        at = call.kwargs.get("dim", call.args[number] if len(call.args) > number else None)
        if at is None and name in ("topk", "sort", "argsort"):
            at = -1
        seen = call.look(tensor)
        if seen is None:
            return anything(call)
        dims = {dim for _, dim in seen}
        if type(at) is int and None not in dims and at % tensor.ndim not in dims:
            return kept(call)
        rows, columns = (
            (placed(axis).losing(f"{name} moves its pixels about before this layer"), None)
            for axis, _ in seen
        )
        return rows, columns

    return rule


def _mirrored(call: Call) -> Seen | None:
    name = call.function.__name__
    tensor = call.args[0] if call.args else call.x
    dims = {"fliplr": (1,), "flipud": (0,)}.get(name) or call.kwargs.get("dims", call.args[1:])
    listed = {one % tensor.ndim for one in (dims[0] if isinstance(dims[0], (tuple, list)) else dims)}

    def how(axis: Axis, dim: int) -> Along | None:
        return (placed(axis).mirrored() if dim in listed else axis), dim

    return each(call.look(tensor), how)


def _turned(call: Call) -> Seen | None:
    """Quarter turns: each is a mirroring and an exchange of two directions."""
    x = call.args[0] if call.args else call.x
    turns = int(call.kwargs.get("k", call.args[1] if len(call.args) > 1 else 1)) % 4
    dims = call.kwargs.get("dims", call.args[2] if len(call.args) > 2 else (0, 1))
    first, second = (int(one) % x.ndim for one in dims)

    def how(axis: Axis, dim: int) -> Along | None:
        if dim not in (first, second) or not turns:
            return axis, dim
        mirrored = turns == 2 or dim == (second if turns == 1 else first)
        place = placed(axis).mirrored() if mirrored else axis
        return place, dim if turns == 2 else first + second - dim

    return each(call.look(x), how)


def is_small(before: int, after: int, size: int) -> bool:
    """Whether padding is what windows of a size need to leave as many cells as there were."""
    return before + after < size and abs(before - after) <= SLACK


def padded(call: Call) -> Seen | None:
    widths = [int(one) for one in call.given["pad"]]

    def how(axis: Axis, dim: int) -> Along | None:
        pair = 2 * (call.x.ndim - 1 - dim)
        if pair >= len(widths):
            return axis, dim
        before, after = widths[pair : pair + 2]
        count = len(axis.seen)
        left = placed(axis).cut(
            max(0, -before), count - max(0, -after), count - max(0, -before) - max(0, -after)
        )
        return (
            replace(
                left,
                seen=((0, 0),) * call.out.shape[dim],
                before=left.before + max(0, before),
                after=left.after + max(0, after),
            ),
            dim,
        )

    return each(call.look(call.x), how)


def _sliced(call: Call) -> Seen | None:
    """What an index leaves of each direction; along one that is indexed by a list or a tensor it is lost."""
    x, index = call.args[0], call.args[1]
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(one.ndim if _is_mask(one) else one is not None and one is not Ellipsis for one in parts)
    ellipsis = next((place for place, one in enumerate(parts) if one is Ellipsis), len(parts))
    parts[ellipsis : ellipsis + 1] = [slice(None)] * (x.ndim - taken)
    listed = any(isinstance(one, (list, Tensor)) for one in parts)
    found: dict[int, tuple[object, int]] = {}  # of every dimension: how it is indexed, and where it goes
    dim = result = 0
    for one in parts:
        wide = one.ndim if _is_mask(one) else int(one is not None)
        found.update({dim + number: (one, result) for number in range(wide)})
        dim += wide
        result += one is None or isinstance(one, (slice, list, Tensor))

    def how(axis: Axis, dim: int) -> Along | None:
        place, (part, goes) = placed(axis), found[dim]
        if isinstance(part, int):
            at = part % len(axis.seen)
            return place.cut(at, at + 1, 1), None
        if not isinstance(part, slice):
            return place.losing("an index picks its pixels before this layer"), None
        cells = range(len(axis.seen))[part]
        if not cells:
            return None
        past = min(len(axis.seen), cells[-1] + cells.step)
        cut = place.cut(cells[0], past, len(cells), max(SLACK, cells.step - 1))
        # Where a tensor picks beside it, dimensions may come in another order.
        return cut, goes if not listed or call.out.ndim == x.ndim else None

    return each(call.look(x), how)


def _part(call: Call) -> Seen | None:
    """One of the parts along a dimension; where it begins is where its memory does."""
    x, name = call.args[0] if call.args else call.x, call.function.__name__
    at = call.args[1 if name in ("unbind", "select", "narrow") else 2 :]
    wanted = int(call.kwargs.get("dim", at[0] if at else 0)) % x.ndim
    removed = call.out.ndim < x.ndim
    step = x.stride(wanted)
    start = int(call.out.storage_offset() - x.storage_offset()) // step if step else 0

    def how(axis: Axis, dim: int) -> Along | None:
        if dim != wanted:
            return axis, dim - (removed and dim > wanted)
        cells = 1 if removed else call.out.shape[dim]
        return placed(axis).cut(start, start + cells, cells), None if removed else dim

    return each(call.look(x), how)


def _is_mask(one: object) -> bool:
    return isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)


def placed(axis: Axis) -> Place:
    if not isinstance(axis, Place):
        raise TypeError("places are followed with places only")
    return axis


SPECIAL: dict[str, Rule] = {
    "__getitem__": _sliced,
    "rot90": _turned,
    "pad": padded,
    "constant_pad_nd": padded,
    **dict.fromkeys(CUTTING, _part),
    **dict.fromkeys(MIRRORING, _mirrored),
    # A value may depend on others along the same direction and yet stay where it is.
    **dict.fromkeys(("softmax", "log_softmax", "softmin", "cumsum", "cumprod", "normalize", "roll"), kept),
}
