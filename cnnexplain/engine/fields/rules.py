"""How each of torch's functions hands on what its operands see of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket

from cnnexplain.engine.fields import windows
from cnnexplain.engine.fields.axes import (
    Along,
    AxisField,
    Call,
    Rule,
    Seen,
    anything,
    each,
    everything,
    tensors_in,
    union,
)
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, name_of

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)  # sizes that tell dimensions apart


def call_of(function: Function, args: Args, kwargs: Kwargs) -> tuple[Rule, dict[str, Any]]:
    """The rule of a function, and its arguments by the names that the rule knows."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    if isinstance(function, OpOverload) and function.namespace == "aten":
        return _operator(function, args, kwargs)
    if isinstance(function, (OpOverload, OpOverloadPacket)):
        return anything, kwargs  # somebody's own operator may be called anything
    plain = name.strip("_")
    reflected = plain[1:] if name.startswith("__") else plain
    if name not in RULES:
        return (pointwise if plain in POINTWISE or reflected in POINTWISE else anything), kwargs
    rule, parameters = RULES[name]
    names = parameters.split()
    named = dict(zip(names, args, strict=False))
    if names[-1].startswith("*"):
        named[names[-1][1:]] = args[len(names) - 1 :]
    return rule, {**named, **kwargs}


def _operator(function: OpOverload, args: Args, kwargs: Kwargs) -> tuple[Rule, dict[str, Any]]:
    """As `call_of`, of one of torch's own operators, as graphs of torch.export call them."""
    names = [parameter.name.replace("self", "input") for parameter in function._schema.arguments]
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    name = name_of(function)
    rule, parameters = RULES.get(name, (pointwise if name.strip("_") in POINTWISE else anything, ""))
    # A form that has other parameters than the function of the same name is another function.
    alike = not parameters or named.keys() <= {*parameters.split()}
    return (rule if alike else anything), named


def pointwise(call: Call) -> Seen | None:
    """The rule of functions that work on each element: dimensions are matched from the last, as in broadcasting."""

    return union(_aligned(call, operand) for operand in call.tensors())


def _aligned(call: Call, operand: Tensor, summed: int | None = None) -> Seen | None:
    """An operand whose dimensions are the last ones of the result, but for the one that is `summed` over."""
    shift = call.out.ndim - operand.ndim

    def how(axis: AxisField, dim: int) -> Along | None:
        kept = dim != summed and dim + shift >= 0 and call.out.shape[dim + shift] == operand.shape[dim]
        return (axis, dim + shift) if kept else None

    return each(call.look(operand), how)


def _constant(call: Call) -> Seen | None:
    """New values in the shape of another tensor, of which nothing else is taken; arguments may say what they are."""
    named = [value for name, value in call.kwargs.items() if name not in ("input", "self")]
    return union(everything(call.look(value)) for value in tensors_in((call.args[1:], named)))


def _written(call: Call) -> Seen | None:
    """`target[index] = value`; slices that leave a direction as long as it is take all of it."""
    index = call.args[1] if isinstance(call.args[1], tuple) else call.args[1:2]
    if all(isinstance(part, slice) or part is Ellipsis for part in index):
        return pointwise(call)
    return union([call.look(call.out), anything(call)])


def _rearranged(call: Call) -> Seen | None:
    """Dimensions in another order, with or without those of size 1: seen on a tensor of as many dimensions."""
    ones = call.function.__name__ == "squeeze"
    sizes = [1 if ones and size == 1 else prime for size, prime in zip(call.x.shape, PRIMES, strict=False)]
    probe = torch.empty(sizes, device="meta")
    moved = list(call.function(probe, *call.args[1:], **call.kwargs).shape)
    return call.carried(
        lambda axis, dim: (axis, moved.index(sizes[dim])) if sizes[dim] > 1 and sizes[dim] in moved else None
    )


def _reshaped(call: Call) -> Seen | None:
    """A dimension goes on where as many elements come before it; of one split in several, the outermost does."""
    old, new = call.x.shape, call.out.shape

    def how(axis: AxisField, dim: int) -> Along | None:
        if old == new:
            return axis, dim
        places = [place for place in range(len(new)) if prod(new[:place]) == prod(old[:dim])]
        fits = [(new[place], place) for place in places if new[place] > 1 and old[dim] % new[place] == 0]
        if not fits:
            return None
        size, place = max(fits)
        step = old[dim] // size
        return axis.through([range(i * step, (i + 1) * step) for i in range(size)], step), place

    if call.function.__name__ in ("view_as", "reshape_as"):  # of the other tensor only the shape is taken
        return each(call.look(call.x), how)
    return call.carried(how)


def _mixing(default: int | None = None) -> Rule:
    """Functions that mix, take from or reorder what lies along some dimensions, and nothing else."""

    def rule(call: Call) -> Seen | None:
        dims = next((call.named[name] for name in ("dim", "axis", "dims") if name in call.named), default)
        if isinstance(dims, Tensor):
            return pointwise(call)  # max(x, y)
        listed = list(_flat(dims))
        if not listed or any(type(dim) is not int for dim in listed):
            return anything(call)
        mixed = {dim % call.x.ndim for dim in listed}
        removed = call.out.ndim < call.x.ndim

        def how(axis: AxisField, dim: int) -> Along | None:
            return None if dim in mixed else (axis, dim - removed * sum(other < dim for other in mixed))

        return call.carried(how)

    return rule


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, (tuple, list)):
        for entry in value:
            yield from _flat(entry)
    elif value is not None:
        yield value


def _joined(new: bool) -> Rule:
    def rule(call: Call) -> Seen | None:
        joint = call.named.get("dim", call.named.get("axis", 0)) % call.out.ndim

        def how(axis: AxisField, dim: int) -> Along | None:
            if new:
                return axis, dim + (dim >= joint)
            return None if dim == joint else (axis, dim)

        return union(each(call.look(tensor), how) for tensor in call.named["tensors"])

    return rule


def _linear(call: Call) -> Seen | None:
    return call.carried(lambda axis, dim: None if dim == call.x.ndim - 1 else (axis, dim))


def _product(call: Call) -> Seen | None:
    left, right = call.x, call.named["other"]
    if min(left.ndim, right.ndim) < 2:
        return anything(call)

    return union([_aligned(call, left, left.ndim - 1), _aligned(call, right, right.ndim - 2)])


def _layer_norm(call: Call) -> Seen | None:
    first = call.x.ndim - len(call.named["normalized_shape"])
    return call.carried(lambda axis, dim: (axis, dim) if dim < first else None)


def _norm(parameter: str | None, default: bool, kept: Callable[[int], bool]) -> Rule:
    """A normalisation that keeps only some dimensions apart, unless `parameter` says that statistics are given."""

    def rule(call: Call) -> Seen | None:
        measured = parameter is None or call.named.get(parameter, default)
        return call.carried(lambda axis, dim: (axis, dim) if not measured or kept(dim) else None)

    return rule


_POINTWISE = """
relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish hardtanh hardswish hardsigmoid hardshrink
softshrink tanhshrink softplus softsign sigmoid logsigmoid log_sigmoid tanh threshold erf erfc
add sub mul div truediv true_divide floordiv floor_divide remainder fmod mod pow neg pos abs absolute rsub
subtract multiply divide negative positive exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square reciprocal
sign sgn sin cos tan asin acos atan atan2 sinh cosh clamp clamp_min clamp_max clip maximum minimum fmax fmin
where lerp addcmul addcdiv round floor ceil trunc frac logit hypot xlogy nan_to_num masked_fill fill zero copy
lt le gt ge eq ne less greater logical_and logical_or logical_not logical_xor and or xor invert isnan isfinite
isinf bitwise_and bitwise_or bitwise_not
dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout
contiguous clone detach requires_grad to type type_as float double half bfloat16 int long bool cpu cuda data
real alias expand expand_as broadcast_to repeat
"""
POINTWISE = frozenset(_POINTWISE.split())

_STATISTICS = "input mean variance weight bias"
# By the names of the functions: the rule, and the parameters that it knows.
_TABLE: dict[str, tuple[Rule, str]] = {
    "conv1d conv2d conv3d": (windows.convolution, "input weight bias stride padding dilation groups"),
    "conv_transpose1d conv_transpose2d conv_transpose3d": (
        windows.transposed,
        "input weight bias stride padding output_padding groups dilation",
    ),
    "interpolate upsample": (
        windows.resized,
        "input size scale_factor mode align_corners recompute_scale_factor antialias",
    ),
    "pad": (windows.padded, "input pad mode"),
    "constant_pad_nd": (windows.padded, "input pad"),
    "pixel_shuffle": (windows.shuffled(up=True), "input upscale_factor"),
    "pixel_unshuffle": (windows.shuffled(up=False), "input downscale_factor"),
    "__getitem__": (windows.indexed, "input index"),
    "__setitem__": (_written, "input"),
    "narrow": (windows.narrowed, "input dim start length"),
    "linear": (_linear, "input weight bias"),
    "matmul __matmul__ mm bmm": (_product, "input other"),
    "layer_norm rms_norm": (_layer_norm, "input normalized_shape"),
    "batch_norm": (_norm("training", False, lambda dim: dim == 1), f"{_STATISTICS} training"),
    "instance_norm": (_norm("use_input_stats", True, lambda dim: dim < 2), f"{_STATISTICS} use_input_stats"),
    "group_norm": (_norm(None, True, lambda dim: dim == 0), "input"),
    "local_response_norm channel_shuffle native_channel_shuffle": (_mixing(1), "input"),
    "normalize": (_mixing(1), "input p dim"),
    "glu sort argsort": (_mixing(-1), "input dim"),
    "topk": (_mixing(-1), "input k dim"),
    "flip": (_mixing(), "input *dims"),
    "roll": (_mixing(), "input shifts dims"),
    "norm linalg_vector_norm": (_mixing(), "input p dim"),
    "repeat_interleave": (_mixing(), "input repeats dim"),
    "chunk": (_mixing(0), "input chunks dim"),
    "split split_with_sizes tensor_split": (_mixing(0), "input sizes dim"),
    "unbind": (_mixing(0), "input dim"),
    "stack": (_joined(new=True), "tensors dim"),
    "cat concat concatenate": (_joined(new=False), "tensors dim"),
    "permute transpose movedim moveaxis swapaxes swapdims t T mT H mH unsqueeze squeeze": (
        _rearranged,
        "input dim",
    ),
    "view reshape flatten unflatten view_as reshape_as": (_reshaped, "input dim"),
    "softmax log_softmax softmin cumsum cumprod mean sum amax amin std var std_mean var_mean max min argmax argmin "
    "prod median logsumexp any all nanmean nansum select index_select": (_mixing(), "input dim"),
    "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full": (
        _constant,
        "input dim",
    ),
}
for _axes in (1, 2, 3):
    _TABLE[f"max_pool{_axes}d max_pool{_axes}d_with_indices"] = (
        windows.pool(_axes),
        "input kernel_size stride padding dilation ceil_mode",
    )
    _TABLE[f"avg_pool{_axes}d"] = (windows.pool(_axes), "input kernel_size stride padding")
    _TABLE[f"lp_pool{_axes}d"] = (windows.pool(_axes), "input norm_type kernel_size stride")
    _ADAPTIVE = f"adaptive_avg_pool{_axes}d adaptive_max_pool{_axes}d adaptive_max_pool{_axes}d_with_indices"
    _TABLE[_ADAPTIVE] = (windows.adaptive(_axes), "input output_size")
RULES = {name: rule for names, rule in _TABLE.items() for name in names.split()}
