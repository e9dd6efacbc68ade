"""Batch normalisation on the way back, at the cost of what it is in evaluation mode: one multiplication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.backward.rectifiers import RULED, as_rectifier
from cnnexplain.engine.trace.functions import Args, Function


class FixedNorms(TorchFunctionMode):
    """While it is active, batch normalisation by fixed statistics keeps nothing for its way back but a factor.

    torch's own backward on the CPU reads the input again and takes sums that only training needs: in
    EfficientNet-Lite0 a third of the whole way back. The forward pass is torch's own, to the last bit. Clamps that are
    rectifiers have its gradient (`as_rectifier`), but where rectifiers obey a rule, which sees to that.
    """

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        if not RULED.get() and (call := as_rectifier(func, args, kwargs or {})):
            func, args, kwargs = call
        return func(*args, **(kwargs or {}))


def _batch_norm(  # the arguments of torch.nn.functional.batch_norm
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    fixed = (running_mean, running_var, weight, bias)
    if (
        training
        or running_mean is None
        or running_var is None
        or not input.requires_grad
        or input.device.type != "cpu"
        or any(
            tensor is not None and (tensor.requires_grad or tensor.dtype != input.dtype) for tensor in fixed
        )
    ):
        return F.batch_norm(input, *fixed, training, momentum, eps)
    factor = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    normed: Tensor = _Fixed.apply(input, factor, lambda: F.batch_norm(input, *fixed, False, momentum, eps))
    return normed


class _Fixed(torch.autograd.Function):
    """y = factor x + constant, with one factor for each channel, which stands second."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor, normalise: Callable[[], Tensor]) -> Tensor:
        ctx.factor = factor.reshape(-1, *[1] * (x.dim() - 2))
        return normalise()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.factor, None, None
