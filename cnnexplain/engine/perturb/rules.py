"""What torch's operators do to boxes: which cells of the output depend on those of a box, and what these become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnexplain.engine.perturb.boxes import Boxed, Same, aligned, crop, is_no_gain
from cnnexplain.engine.perturb.variants import PROGRESS, RULES, Application, Variants, boxed

aten = torch.ops.aten
Pair = tuple[int, int]


def window(
    maps: Boxed,
    out: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    slide: Callable[[Tensor], Tensor],
    outside: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The outputs of a sliding window that depend on a box, or None where those are most of them.

    Args:
        maps: What the window slides over.
        out: Rows and columns of the whole output.
        kernel: Rows and columns of the window.
        stride: Its steps.
        padding: Cells that the map is enlarged by on each side.
        dilation: Steps between the window's own cells.
        slide: The operator, without padding.
        outside: What the map is enlarged with.

    Returns:
        The cells (N, C, h, w) of the outputs' boxes, and their rows and columns (N,).
    """
    reach = [(side - 1) * apart for side, apart in zip(kernel, dilation, strict=True)]
    rows, columns = (
        min((side - 1 + more) // step + 1, most)
        for side, more, step, most in zip(maps.size, reach, stride, out, strict=True)
    )
    if is_no_gain((rows, columns), out):
        return None
    top, left = (
        (-((more - pad - place) // step)).clamp(0, most - count)  # rounded up
        for more, pad, place, step, most, count in zip(
            reach, padding, (maps.top, maps.left), stride, out, (rows, columns), strict=True
        )
    )
    inputs = maps.patch
    if (kernel, stride, padding) != ((1, 1), (1, 1), (0, 0)):
        size = (rows - 1) * stride[0] + reach[0] + 1, (columns - 1) * stride[1] + reach[1] + 1
        inputs = crop(maps, top * stride[0] - padding[0], left * stride[1] - padding[1], size, outside)
    progress = PROGRESS.get()
    progress.cells += rows * columns
    progress.of_cells += out[0] * out[1]
    return slide(inputs), top, left


def _convolution(call: Application) -> Any:
    inputs, weight, bias, stride, padding, dilation, transposed, added, groups = call.args
    if call.maps is None or transposed or inputs.ndim != 4 or isinstance(weight, Variants):
        return NotImplemented

    def slide(part: Tensor) -> Tensor:
        convolved: Tensor = call.func(part, weight, bias, stride, [0, 0], dilation, False, added, groups)
        return convolved

    how = _pair(weight.shape[2:]), _pair(stride), _pair(padding), _pair(dilation), slide
    return _slid(call.of(call.maps.base), call.maps, *how)


def _max_pool(call: Application) -> Any:
    if call.maps is None:
        return NotImplemented
    kernel, stride, padding, dilation = _pooling(call.args, ([0, 0], [1, 1]))

    def slide(part: Tensor) -> Tensor:
        pooled: Tensor = call.func(part, kernel, stride, [0, 0], dilation)[0]
        return pooled

    how = _pair(kernel), _pair(stride), _pair(padding), _pair(dilation), slide, -torch.inf
    pooled = _slid(call.of(call.maps.base)[0], call.maps, *how)
    return pooled if pooled is NotImplemented else (pooled, Variants(None, like=pooled))


def _average_pool(call: Application) -> Any:
    kernel, stride, padding, ceil, counts_padding = _pooling(call.args, ([0, 0], False, True))
    if call.maps is None or ceil or (any(padding) and not counts_padding):
        return NotImplemented

    def slide(part: Tensor) -> Tensor:
        pooled: Tensor = call.func(part, kernel, stride, [0, 0], False, True, *call.args[6:])
        return pooled

    how = _pair(kernel), _pair(stride), _pair(padding), (1, 1), slide
    return _slid(call.of(call.maps.base), call.maps, *how)


def _slid(base: Tensor, maps: Boxed, *how: Any) -> Any:
    parts = window(maps, (base.shape[-2], base.shape[-1]), *how)
    return NotImplemented if parts is None else Variants(Boxed(base, *parts))


def _pooling(args: tuple[Any, ...], defaults: Sequence[Any]) -> list[Any]:
    """Kernel, stride, padding and what else a pooling takes."""
    kernel = args[1]
    stride = args[2] if len(args) > 2 and args[2] else kernel
    return [kernel, stride, *args[3 : 3 + len(defaults)], *defaults[max(len(args) - 3, 0) :]]


def _each_cell(call: Application) -> Any:
    """What is done to every cell by itself."""
    if call.maps is None or any(isinstance(one, Tensor) for one in call.args[1:]):
        return NotImplemented
    return _through(call.maps, call.of)


def _two_operands(call: Application) -> Any:
    """The same with a second operand, which may be variants as well, a number, or a number for each channel."""
    operand, other, *more = call.args
    if not isinstance(other, Tensor):
        return _each_cell(call)

    def result(first: Tensor, second: Tensor) -> Tensor:
        combined: Tensor = call.func(first, second, *more, **call.kwargs)
        return combined

    maps, others = boxed(operand), boxed(other)
    if maps and not isinstance(other, Variants) and _is_per_channel(other, maps.base.ndim):
        return _through(maps, lambda values: result(values, other))
    if others and not isinstance(operand, Variants) and _is_per_channel(operand, others.base.ndim):
        return _through(others, lambda values: result(operand, values))
    both = _alike((operand, other)) if maps or others else None
    boxes = aligned(both) if both else None
    if both is None or boxes is None:
        return NotImplemented
    parts, top, left = boxes
    return Variants(Boxed(result(both[0].base, both[1].base), result(*parts), top, left))


def _alike(operands: Sequence[Any]) -> list[Boxed | Same] | None:
    """What operands hold where all are variants of maps of one size; else None."""
    contents = [one.content if isinstance(one, Variants) else None for one in operands]
    known = [one for one in contents if isinstance(one, (Boxed, Same)) and one.base.ndim >= 4]
    shapes = {(one.base.ndim, one.base.shape[-2:]) for one in known}
    return known if len(known) == len(contents) and len(shapes) == 1 else None


def _is_per_channel(other: Tensor, dims: int) -> bool:
    """Whether a tensor has the same value for all cells of a map and for all variants."""
    if other.ndim > dims or (other.ndim == dims and other.shape[0] != 1):
        return False
    return all(side == 1 for side in other.shape[-2:])


def _batch_norm(call: Application) -> Any:
    by_batch = call.func.overloadpacket is aten.native_batch_norm and call.args[5]
    if call.maps is None or by_batch:
        return NotImplemented
    base, *statistics = call.of(call.maps.base)
    return Variants(Boxed(base, call.of(call.maps.patch)[0], call.maps.top, call.maps.left)), *statistics


def _joined(call: Application) -> Any:
    members, dim = call.args[0], call.args[1] if len(call.args) > 1 else 0
    maps = _alike(members) if any(map(boxed, members)) and dim % members[0].ndim == 1 else None
    boxes = aligned(maps) if maps else None
    if maps is None or boxes is None:
        return NotImplemented
    parts, top, left = boxes
    return Variants(Boxed(call.func([one.base for one in maps], 1), call.func(parts, 1), top, left))


def _mean(call: Application) -> Any:
    """The mean over all cells: that of the image, and what the box adds."""
    maps, dims = call.maps, call.args[1] or ()
    if maps is None or maps.base.ndim != 4 or sorted(dim % 4 for dim in dims) != [2, 3] or call.kwargs:
        return NotImplemented
    own = crop(Same(maps.base, maps.count), maps.top, maps.left, maps.size)
    cells = maps.base.shape[2] * maps.base.shape[3]
    mean = call.func(maps.base, [2, 3], True) + (maps.patch - own).sum((2, 3), keepdim=True) / cells
    return mean if len(call.args) > 2 and call.args[2] else mean[:, :, 0, 0]


def _adaptive_pool(call: Application) -> Any:
    size = None if call.maps is None else call.maps.base.shape[-2:]
    return Variants(call.maps) if size == tuple(call.args[1]) else NotImplemented


def _padded(call: Application) -> Any:
    maps, sides = call.maps, call.args[1]
    if maps is None or len(sides) != 4 or min(sides) < 0:
        return NotImplemented
    return Variants(Boxed(call.of(maps.base), maps.patch, maps.top + sides[2], maps.left + sides[0]))


def _divided(call: Application) -> Any:
    maps, dim = call.maps, call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
    if maps is None or dim % maps.base.ndim != 1:
        return NotImplemented
    pairs = zip(call.of(maps.base), call.of(maps.patch), strict=True)
    return [Variants(Boxed(base, patch, maps.top, maps.left)) for base, patch in pairs]


def _along_channels(call: Application) -> Any:
    """Some of the channels, or another dimension for them."""
    dim = call.args[1] if len(call.args) > 1 else 0
    if call.maps is None or dim % call.maps.base.ndim != 1:
        return NotImplemented
    return _through(call.maps, call.of)


def _transposed(call: Application) -> Any:
    """Dimensions exchanged, neither of which is that of variants, rows or columns."""
    if call.maps is None:
        return NotImplemented
    dims = call.maps.base.ndim
    fixed = any(dim % dims in (0, dims - 2, dims - 1) for dim in call.args[1:3])
    return NotImplemented if fixed else _through(call.maps, call.of)


def _viewed(call: Application) -> Any:
    """Channels divided or joined; of what is the same for all variants, anything of each by itself."""
    inputs, shape = call.args[0], list(call.args[1])
    if not isinstance(inputs, Variants) or not shape or shape[0] != len(inputs):
        return NotImplemented
    if isinstance(inputs.content, Same):
        return Variants(Same(inputs.content.base.reshape(1, *shape[1:]), len(inputs)))
    maps = call.maps
    if maps is None or len(shape) < 4 or tuple(shape[-2:]) != tuple(maps.base.shape[-2:]):
        return NotImplemented
    base = maps.base.reshape(1, *shape[1:])
    patch = maps.patch.reshape(maps.count, *base.shape[1:-2], *maps.size)
    return Variants(Boxed(base, patch, maps.top, maps.left))


def _through(maps: Boxed, function: Callable[[Tensor], Tensor]) -> Variants:
    return Variants(Boxed(function(maps.base), function(maps.patch), maps.top, maps.left))


def _pair(values: Sequence[int]) -> Pair:
    return values[0], values[-1]


_CELLS = """
relu hardtanh silu gelu hardswish hardsigmoid sigmoid tanh elu leaky_relu softplus mish clamp clamp_min clamp_max neg
exp log abs sqrt rsqrt square pow reciprocal _to_copy clone detach alias channel_shuffle
"""
_OPERANDS = "add sub rsub mul div maximum minimum _prelu_kernel"
RULES.update(
    {
        **{getattr(aten, name): _each_cell for name in _CELLS.split()},
        **{getattr(aten, name): _two_operands for name in _OPERANDS.split()},
        aten.convolution: _convolution,
        aten.max_pool2d_with_indices: _max_pool,
        aten.avg_pool2d: _average_pool,
        aten._adaptive_avg_pool2d: _adaptive_pool,
        aten.native_batch_norm: _batch_norm,
        aten._native_batch_norm_legit_no_training: _batch_norm,
        aten.cat: _joined,
        aten.mean: _mean,
        aten.constant_pad_nd: _padded,
        aten.split: _divided,
        aten.split_with_sizes: _divided,
        aten.slice: _along_channels,
        aten.select: _along_channels,
        aten.unsqueeze: _along_channels,
        aten.transpose: _transposed,
        aten.view: _viewed,
        aten._unsafe_view: _viewed,
    }
)
