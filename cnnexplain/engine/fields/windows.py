"""What windows over a map see: convolutions, pooling, resizing, padding and slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnexplain.engine.fields.axes import Along, AxisField, Call, Rule, Seen, anything

REACH = {"nearest": 0, "nearest-exact": 0, "linear": 0, "bilinear": 0, "trilinear": 0, "bicubic": 1}


def _per_axis(value: Any, axes: int) -> list[Any]:
    values = list(value) if isinstance(value, Iterable) else [value]
    return values * axes if len(values) == 1 else values


def _slid(
    call: Call, axes: int, window: Callable[[int, int], tuple[Sequence[Sequence[int]], float]]
) -> Seen | None:
    """Windows over the last `axes` dimensions; `window(axis, length of the result)` gives them and their stride."""
    first = call.x.ndim - axes

    def how(axis: AxisField, dim: int) -> Along | None:
        if dim < first:  # only the pictures of a batch are kept apart
            return (axis, dim) if dim == 0 < first - 1 else None
        return axis.through(*window(dim - first, call.out.shape[dim])), dim

    return call.carried(how)


def convolution(call: Call) -> Seen | None:
    """The rule of convolutions."""
    axes = call.named["weight"].ndim - 2
    sizes, padding = call.named["weight"].shape[2:], call.named.get("padding", 0)
    strides, dilations = (_per_axis(call.named.get(name, 1), axes) for name in ("stride", "dilation"))
    if padding == "same":
        before = [dilation * (size - 1) // 2 for dilation, size in zip(dilations, sizes, strict=True)]
    else:
        before = _per_axis(0 if padding == "valid" else padding, axes)
    return _slid(call, axes, _taps(sizes, strides, before, dilations))


def _taps(sizes: Any, strides: Any, before: Any, dilations: Any) -> Any:
    def window(axis: int, length: int) -> tuple[list[range], int]:
        reach = dilations[axis] * (sizes[axis] - 1) + 1
        starts = (strides[axis] * i - before[axis] for i in range(length))
        return [range(start, start + reach, dilations[axis]) for start in starts], strides[axis]

    return window


def transposed(call: Call) -> Seen | None:
    """The rule of transposed convolutions."""
    axes = call.named["weight"].ndim - 2
    sizes = call.named["weight"].shape[2:]
    strides, dilations = (_per_axis(call.named.get(name, 1), axes) for name in ("stride", "dilation"))
    before = _per_axis(call.named.get("padding", 0), axes)

    def window(axis: int, length: int) -> tuple[list[list[int]], float]:
        stride, taps = strides[axis], [dilations[axis] * tap for tap in reversed(range(sizes[axis]))]
        places = [[i + before[axis] - tap for tap in taps] for i in range(length)]
        return [[place // stride for place in row if place % stride == 0] for row in places], 1 / stride

    return _slid(call, axes, window)


def pool(axes: int) -> Rule:
    """The rule of pooling over the last `axes` dimensions."""

    def rule(call: Call) -> Seen | None:
        sizes = _per_axis(call.named["kernel_size"], axes)
        strides = _per_axis(call.named.get("stride") or sizes, axes)
        before, dilations = (
            _per_axis(call.named.get(name, default), axes)
            for name, default in (("padding", 0), ("dilation", 1))
        )
        return _slid(call, axes, _taps(sizes, strides, before, dilations))

    return rule


def adaptive(axes: int) -> Rule:
    """The rule of adaptive pooling over the last `axes` dimensions."""

    def rule(call: Call) -> Seen | None:
        def how(axis: AxisField, dim: int) -> Along | None:
            before, after = call.x.shape[dim], call.out.shape[dim]
            if dim < call.x.ndim - axes or before == after:
                return axis, dim
            if after == 1:
                return None
            cells = [range(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]
            return axis.through(cells, before / after), dim

        return call.carried(how)

    return rule


def resized(call: Call) -> Seen | None:
    """The rule of resizing; of modes that are not known every element sees everything."""
    mode = call.named.get("mode", "nearest")
    if mode == "area":
        return adaptive(call.x.ndim - 2)(call)
    if call.named.get("antialias") or mode not in REACH:
        return anything(call)
    scales = None if call.named.get("recompute_scale_factor") else call.named.get("scale_factor")

    def window(axis: int, length: int) -> tuple[list[range], float]:
        before = call.x.shape[2 + axis]
        ratio = Fraction(before, length)
        if scales:
            ratio = 1 / Fraction(_per_axis(scales, call.x.ndim - 2)[axis])
        if mode.startswith("nearest"):  # torch computes in single precision here
            half = np.float32(0.5 if mode == "nearest-exact" else 0)
            places = [math.floor((np.float32(i) + half) * np.float32(float(ratio))) for i in range(length)]
            return [range(min(place, before - 1), min(place, before - 1) + 1) for place in places], float(
                ratio
            )
        if call.named.get("align_corners"):
            ratio = Fraction(before - 1, max(1, length - 1))
            exact = [i * ratio for i in range(length)]
        else:
            exact = [(i + Fraction(1, 2)) * ratio - Fraction(1, 2) for i in range(length)]
        # torch computes places in single precision: a cell that is only nearly hit lets its neighbour in.
        inexact = ratio.denominator & (ratio.denominator - 1)
        more, slack = REACH[mode], Fraction(max(before, length), 10**6) if inexact else 0
        return [
            range(int(place), int(place) + 1)
            if not inexact and place.denominator == 1
            else range(math.floor(place - slack) - more, math.ceil(place + slack) + more + 1)
            for place in exact
        ], float(ratio) or 1.0

    return _slid(call, call.x.ndim - 2, window)


def padded(call: Call) -> Seen | None:
    """The rule of padding, in all modes of torch."""
    widths, mode = call.named["pad"], call.named.get("mode", "constant")

    def how(axis: AxisField, dim: int) -> Along | None:
        pair = 2 * (call.x.ndim - 1 - dim)
        if pair >= len(widths):
            return axis, dim
        count = len(axis.seen)
        last = max(1, count - 1)
        stands: dict[str, Callable[[int], int]] = {
            "reflect": lambda cell: last - abs(last - abs(cell)),
            "replicate": lambda cell: min(max(cell, 0), count - 1),
            "circular": lambda cell: cell % count,
            "constant": lambda cell: cell,
        }
        cells = [(i - int(widths[pair]),) for i in range(call.out.shape[dim])]
        return axis.through(cells, 1, stands[mode]), dim

    return call.carried(how)


def shuffled(up: bool) -> Rule:
    """The rule of `pixel_shuffle`, or where not `up` of `pixel_unshuffle`."""

    def rule(call: Call) -> Seen | None:
        factor = int(call.named["upscale_factor" if up else "downscale_factor"])

        def window(_axis: int, length: int) -> tuple[list[Sequence[int]], float]:
            if up:
                return [(i // factor,) for i in range(length)], 1 / factor
            return [range(i * factor, (i + 1) * factor) for i in range(length)], factor

        return _slid(call, 2, window)

    return rule


def indexed(call: Call) -> Seen | None:
    """The rule of indexing by slices, whole numbers and at most one list."""
    parts = index_parts(call.named["index"], call.x.ndim)
    plain = sum(part is None or isinstance(part, slice) or type(part) is int for part in parts)
    chosen = [part for part in parts if isinstance(part, (list, Tensor))]
    if plain + len(chosen) < len(parts) or len(chosen) > 1 or any(not _is_index(part) for part in chosen):
        return anything(call)
    kept: dict[int, tuple[int, slice]] = {}  # of the dimensions taken by slices: where they are in the result
    dim = result = 0
    for part in parts:
        if isinstance(part, slice):
            kept[dim] = result, part
        dim += part is not None
        result += part is None or not isinstance(part, int)

    def how(axis: AxisField, dim: int) -> Along | None:
        if dim not in kept:
            return None
        result, part = kept[dim]
        cells = range(len(axis.seen))[part]
        return axis.through([(cell,) for cell in cells], cells.step), result

    return call.carried(how)


def index_parts(index: Any, ndim: int) -> list[Any]:
    """The parts of an index into a tensor of `ndim` dimensions, with slices for dimensions that it does not name."""
    parts = list(index) if isinstance(index, tuple) else [index]
    named = sum(part.ndim if is_mask(part) else part is not None and part is not Ellipsis for part in parts)
    ellipsis = next((place for place, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[ellipsis : ellipsis + 1] = [slice(None)] * (ndim - named)
    return parts


def is_mask(part: object) -> bool:
    """Whether a part of an index says of every element whether it is picked, and so stands for several dimensions."""
    return isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8)


def _is_index(part: Any) -> bool:
    """Whether a part of an index picks from a single dimension, which stays where it is."""
    return torch.as_tensor(part).ndim == 1 and torch.as_tensor(part).dtype in (torch.int64, torch.int32)


def narrowed(call: Call) -> Seen | None:
    """The rule of `narrow`."""
    along, start = call.named["dim"] % call.x.ndim, int(call.named["start"])

    def how(axis: AxisField, dim: int) -> Along | None:
        cells = [(start % len(axis.seen) + i,) for i in range(call.out.shape[dim])]
        return (axis.through(cells, 1) if dim == along else axis), dim

    return call.carried(how)
