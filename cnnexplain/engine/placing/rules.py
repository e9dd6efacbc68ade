"""How each of torch's functions hands on where the cells of a map lie on the input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnexplain.engine.fields.axes import Along, AxisField, Call, Rule, Seen, anything, each
from cnnexplain.engine.fields.rules import RULES, pointwise
from cnnexplain.engine.fields.windows import index_parts, is_mask
from cnnexplain.engine.placing.place_axis import KERNEL, SLACK, is_small, placed
from cnnexplain.engine.placing.place_names import CUTTING, MIRRORING, RESHAPING
from cnnexplain.engine.trace.functions import Function, argument, name_of, plain_name


def kept(call: Call) -> Seen | None:
    """A function that leaves things where they are, if there are as many dimensions."""
    seen = pointwise(call)
    return each(seen, lambda axis, dim: (axis, dim) if call.out.shape[dim] == len(axis.seen) else None)


def supposed(call: Call) -> Seen | None:
    """A function that is not known is supposed to leave things where they are, and that is put in doubt."""
    return doubted(kept(call), label(call.function))


def doubted(seen: Any, operation: str) -> Seen | None:
    """The places, put in doubt for an operation."""
    if seen is None:
        return None
    (rows, row), (columns, column) = seen
    return (placed(rows).doubted(operation), row), (placed(columns).doubted(operation), column)


def label(function: Function) -> str:
    """The name of a function in messages."""
    name = plain_name(function) if name_of(function) == "__get__" else name_of(function)
    return (
        "indexing"
        if name in ("__getitem__", "__setitem__", "index", "index_put_")
        else name.strip("_").removeprefix("fft_")
    )


def reshaped(call: Call) -> Seen | None:
    """As of fields; where a map is made of what lies along no dimension, its order is in doubt."""
    seen = RULES["reshape"][0](call)
    before = call.look(call.x)
    sides = sum(size > 1 for size in call.out.shape[1:])
    if before is None or sides < 3 or all(dim is not None for _, dim in before):
        return seen
    return doubted(seen, label(call.function))


def written(call: Call) -> Seen | None:
    """`target[index] = value`: followed where both lie alike, and in doubt where a part is written."""
    target, index, value = call.args
    known = isinstance(value, Tensor) and call.look(value) is not None
    parts = index if isinstance(index, tuple) else (index,)
    by_picture = any(isinstance(part, Tensor) and call.look(part) is not None for part in parts)
    seen = pointwise(replace(call, args=(target, value), kwargs={}))
    if not known and not by_picture:
        return call.look(target)
    slices = all(part is Ellipsis or isinstance(part, (int, slice)) for part in parts)
    alike = known and value.ndim >= 3 and value.shape[-2:] == target.shape[-2:]
    return seen if slices and alike else doubted(seen, "indexing")


def resized(call: Call) -> Seen | None:
    """Another number of cells on the same part of the picture, whatever the mode."""

    def how(axis: AxisField, dim: int) -> Along | None:
        return (axis if dim < 2 else axis.through([(0,)] * call.out.shape[dim], 1)), dim

    return each(call.look(call.x), how)


def scattered(name: str) -> Rule:
    """A function that moves cells about, but for one along a dimension that is not of the picture."""

    def rule(call: Call) -> Seen | None:
        tensor, number = call.x, 2 if name in ("topk", "take_along_dim") else 1
        at = argument(call.args, call.kwargs, number, "dim")
        if at is None and name in ("topk", "sort", "argsort"):
            at = -1
        seen = call.look(tensor)
        if seen is None:
            return doubted(anything(call), name)
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
    tensor = call.x
    dims: Any = {"fliplr": (1,), "flipud": (0,)}.get(name) or call.kwargs.get("dims", call.args[1:])
    listed = {dim % tensor.ndim for dim in (dims[0] if isinstance(dims[0], (tuple, list)) else dims)}

    def how(axis: AxisField, dim: int) -> Along | None:
        return (placed(axis).mirrored() if dim in listed else axis), dim

    return each(call.look(tensor), how)


def _turned(call: Call) -> Seen | None:
    """Quarter turns: each is a mirroring and an exchange of two directions."""
    x = call.x
    turns = int(argument(call.args, call.kwargs, 1, "k", 1)) % 4
    first, second = (int(dim) % x.ndim for dim in argument(call.args, call.kwargs, 2, "dims", (0, 1)))

    def how(axis: AxisField, dim: int) -> Along | None:
        if dim not in (first, second) or not turns:
            return axis, dim
        mirrored = turns == 2 or dim == (second if turns == 1 else first)
        place = placed(axis).mirrored() if mirrored else axis
        return place, dim if turns == 2 else first + second - dim

    return each(call.look(x), how)


def padded(call: Call, framed: bool = False) -> Seen | None:
    """Padding of a map; `framed`: of the picture itself, and windows over it lie on the padding too."""
    widths = [int(width) for width in call.named["pad"]]
    empty = call.named.get("mode", "constant") == "constant"

    def how(axis: AxisField, dim: int) -> Along | None:
        pair = 2 * (call.x.ndim - 1 - dim)
        if pair >= len(widths):
            return axis, dim
        before, after = widths[pair : pair + 2]
        count = len(axis.seen)
        left = placed(axis).cut(
            max(0, -before), count - max(0, -after), count - max(0, -before) - max(0, -after)
        )
        left = replace(
            left,
            seen=((0, 0),) * call.out.shape[dim],
            before=left.before + max(0, before),
            after=left.after + max(0, after),
            framed=framed or left.framed,
        )
        small = is_small(left.before, left.after, KERNEL)
        return left if small or (left.framed and empty) else left.doubted("pad"), dim

    return each(call.look(call.x), how)


def _sliced(call: Call) -> Seen | None:
    """What an index leaves of each direction; along one that is indexed by a list or a tensor it is lost."""
    x, index = call.args[0], call.args[1]
    parts = index_parts(index, x.ndim)
    listed = any(isinstance(part, (list, Tensor)) for part in parts)
    indexed: dict[int, tuple[object, int]] = {}  # of every dimension: how it is indexed, and where it goes
    dim = result = 0
    for part in parts:
        wide = part.ndim if is_mask(part) else int(part is not None)
        indexed.update({dim + number: (part, result) for number in range(wide)})
        dim += wide
        result += part is None or isinstance(part, (slice, list, Tensor))

    def how(axis: AxisField, dim: int) -> Along | None:
        place, (part, goes) = placed(axis), indexed[dim]
        if isinstance(part, int):
            at = part % len(axis.seen)
            return place.cut(at, at + 1, 1), None
        if not isinstance(part, slice):
            return place.doubted("indexing"), None
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
    x, name = call.x, call.function.__name__
    place = 1 if name in ("unbind", "select", "narrow") else 2
    along = int(argument(call.args, call.kwargs, place, "dim", 0)) % x.ndim
    removed = call.out.ndim < x.ndim
    step = x.stride(along)
    start = int(call.out.storage_offset() - x.storage_offset()) // step if step else 0

    def how(axis: AxisField, dim: int) -> Along | None:
        if dim != along:
            return axis, dim - (removed and dim > along)
        cells = 1 if removed else call.out.shape[dim]
        return placed(axis).cut(start, start + cells, cells), None if removed else dim

    return each(call.look(x), how)


SPECIAL: dict[str, Rule] = {
    "__getitem__": _sliced,
    "__setitem__": written,
    "rot90": _turned,
    "pad": padded,
    "constant_pad_nd": padded,
    "roll": supposed,  # of a map: networks roll theirs back
    **dict.fromkeys(("interpolate", "upsample"), resized),
    **dict.fromkeys(RESHAPING, reshaped),
    **dict.fromkeys(CUTTING, _part),
    **dict.fromkeys(MIRRORING, _mirrored),
    # A value may depend on others along the same direction and yet stay where it is.
    **dict.fromkeys(("softmax", "log_softmax", "softmin", "cumsum", "cumprod", "normalize"), kept),
}
