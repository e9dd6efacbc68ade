"""What operations cost: the multiply-adds of each, and the memory of what it makes, noted where it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from threading import RLock
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from cnnexplain.engine.cost.ways import Ways
from cnnexplain.engine.fields.axes import storage_of, tensors_in
from cnnexplain.engine.trace.functions import Args, Function

Formula = Callable[..., int]


def _convolution(args: Args, out: Tensor) -> int:
    """Every weight once for every place of the kernel: of the result, or of the input of a transposed one."""
    x, weight, transposed = args[0], args[1], args[6]
    places = (x if transposed else out).shape
    return places[0] * prod(places[2:]) * int(weight.numel())


def _deformable(args: Args, out: Tensor) -> int:
    return out.shape[0] * prod(out.shape[2:]) * int(args[1].numel())


def _product(args: Args, _out: Tensor) -> int:
    """(..., n, k) by (..., k, m)."""
    left, right = args[:2]
    return int(left.numel() * (right.shape[-1] if right.ndim > 1 else 1))


def _added_product(args: Args, out: Tensor) -> int:
    """The product of the second and third argument; the first is added to it."""
    return _product(args[1:], out)


def _linear(args: Args, _out: Tensor) -> int:
    return int(args[0].numel() * args[1].shape[0])


def _attention(args: Args, _out: Any) -> int:
    """Queries by keys, then their weights by values."""
    query, key, value = args[:3]
    weights = prod(query.shape[:-1]) * key.shape[-2]
    return int(weights * (query.shape[-1] + value.shape[-1]))


def _recurrent(args: Args, _out: Any) -> int:
    """Every weight once for every step and sequence."""
    steps = prod(args[0].shape[:2])
    # As single arguments, or in a list, as cuDNN takes them.
    weights = args[1:5] if isinstance(args[1], Tensor) else args[1]
    return int(steps * sum(weight.numel() for weight in tensors_in(weights) if weight.ndim == 2))


def _bilinear(args: Args, _out: Tensor) -> int:
    """Every weight once for every pair of rows."""
    return int(args[0].shape[0] * args[1].numel())


def _quantized_convolution(args: Args, out: Tensor) -> int:
    return out.shape[0] * prod(out.shape[2:]) * _packed(args)


def _quantized_transposed(args: Args, _out: Tensor) -> int:
    return int(args[0].shape[0] * prod(args[0].shape[2:]) * _packed(args))


def _quantized_linear(args: Args, _out: Tensor) -> int:
    return int(args[0].numel() // args[0].shape[-1] * _packed(args))


def _packed(args: Args) -> int:
    """How many weights a quantised layer has, which keeps them packed."""
    return int(args[1].unpack()[0].numel())


_PRODUCTS = "mm bmm mv dot vdot _int_mm _scaled_mm"
_ADDED_PRODUCTS = "addmm baddbmm addbmm addmv"
_ATTENTIONS = "flash_attention_for_cpu flash_attention efficient_attention cudnn_attention"
# By torch's names of its operations. What is not here has none that are counted: norms, activations, pooling, sums.
FORMULAS: dict[str, Formula] = {
    "aten::convolution": _convolution,
    "aten::_convolution": _convolution,
    "torchvision::deform_conv2d": _deformable,
    "aten::linear": _linear,
    "aten::_trilinear": _bilinear,
    "aten::mkldnn_rnn_layer": _recurrent,
    "aten::_cudnn_rnn": _recurrent,
    **{f"aten::{name}": _product for name in _PRODUCTS.split()},
    **{f"aten::{name}": _added_product for name in _ADDED_PRODUCTS.split()},
    **{f"quantized::conv{n}d{end}": _quantized_convolution for n in (1, 2, 3) for end in ("", "_relu")},
    **{f"quantized::conv_transpose{n}d": _quantized_transposed for n in (1, 2, 3)},
    **{f"quantized::linear{end}": _quantized_linear for end in ("", "_relu", "_dynamic", "_relu_dynamic")},
    **{f"aten::_scaled_dot_product_{name}": _attention for name in _ATTENTIONS.split()},
}


_FASTPATH = RLock()  # a flag of the whole process: one thread at a time sets it and sets it back


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells `note`, for every operation, its multiply-adds and the bytes of the activations that it made; `ways` more.

    It sees what runs below modules and functions, so that it makes no difference how a model is written. An
    activation is a floating-point tensor with memory of its own that was made of the input, as `ways` says:
    views and in-place operations make none, nor does what is calculated from weights alone.
    """

    def __init__(self, note: Callable[[int, int], None], ways: Ways) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._note = note
        self._ways = ways

    def __torch_dispatch__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name if isinstance(func, OpOverload) else ""
        if name and name not in FORMULAS:
            with self:  # under inference_mode() operations come as they are written, and not in their parts
                result = func.decompose(*args, **kwargs)  # type: ignore[attr-defined]
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        operands = list(tensors_in((args, kwargs)))
        made = list(tensors_in(result))
        multiply_adds = FORMULAS[name](args, result) if name in FORMULAS else 0
        new = 0
        if origins := self._ways.origins(operands):
            before = {_memory(tensor) for tensor in operands}
            self._ways.operation(func, args, kwargs, origins, made, multiply_adds)
            for tensor in made:
                if _memory(tensor) not in before and (tensor.is_floating_point() or tensor.is_complex()):
                    new += tensor.numel() * tensor.element_size()
        self._note(multiply_adds, new)
        return result


def _memory(tensor: Tensor) -> int | None:
    storage = storage_of(tensor)
    return None if storage is None else int(storage._cdata)


@contextmanager
def attention_in_parts() -> Iterator[None]:
    """Inside the block `nn.MultiheadAttention` runs without its fused kernel, which shows none of its operations."""
    with _FASTPATH:
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(before)
