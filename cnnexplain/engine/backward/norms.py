"""Batch normalisation on the way back, at the cost of what it is in evaluation mode: one multiplication, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.backward.rectifiers import RULED, as_rectifier
from cnnexplain.engine.trace.functions import Args, Function

Normalise = Callable[[Tensor], Tensor]


class FixedNorms(TorchFunctionMode):
    """While it is active, batch normalisation by fixed statistics keeps nothing for its way back but a factor.

    With `to_input` that factor goes into the weights of the convolution before it, where there is one: on the way back
    only, where it then costs nothing. No gradient arrives at what lies between the two.

    torch's own backward on the CPU reads the input again and takes sums that only training needs: in
    EfficientNet-Lite0 a third of the whole way back. The forward pass is torch's own, to the last bit. Clamps that are
    rectifiers have its gradient (`as_rectifier`), but where rectifiers obey a rule, which sees to that.
    """

    def __init__(self, *, to_input: bool = False) -> None:
        super().__init__()
        self._to_input = to_input
        self._last: Convolved | None = None

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            before, self._last = self._last, None
            return _batch_norm(before, *args, **(kwargs or {}))
        if func is torch.conv2d and self._to_input and not kwargs:
            output = func(*args)
            self._last = Convolved.of(output, *args)
            return output
        if not RULED.get() and (call := as_rectifier(func, args, kwargs or {})):
            func, args, kwargs = call
        return func(*args, **(kwargs or {}))


def _batch_norm(  # the arguments of torch.nn.functional.batch_norm, after the convolution that was carried out last
    before: Convolved | None,
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

    def normalise(maps: Tensor) -> Tensor:
        return F.batch_norm(maps, *fixed, False, momentum, eps)

    normed: Tensor
    if before is not None and before.made(input):
        normed = _FixedAfterConvolution.apply(before.inputs, factor, input.detach(), normalise, before.way)
    else:
        normed = _Fixed.apply(input, factor, normalise)
    return normed


@dataclass(frozen=True, eq=False)
class Convolution:
    """The way back from what a convolution returned to what it was given."""

    weight: Tensor
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int
    shape: torch.Size  # of its input
    strides: tuple[int, ...]

    def back(self, gradient: Tensor, factor: Tensor) -> Tensor:
        """The gradient of its input; that of its output is `gradient` times `factor`, one for each channel."""
        weight, by_channel = self.weight, factor.view(-1, 1, 1, 1)
        if gradient.numel() < weight.numel():  # the smaller one is multiplied
            gradient = gradient * by_channel[:, 0]
        else:
            weight = weight * by_channel
        if self._pointwise and gradient.is_contiguous(memory_format=torch.channels_last):
            return self._pointwise_back(gradient.permute(0, 2, 3, 1), weight.flatten(1))
        like = torch.empty_strided(self.shape, self.strides, dtype=gradient.dtype)  # nobody reads it
        below: Tensor = torch.ops.aten.convolution_backward(
            gradient, like, weight, None, self.stride, self.padding, self.dilation, False, (0, 0), self.groups,
            (True, False, False),
        )[0]  # fmt: skip
        return below

    def _pointwise_back(self, rows: Tensor, weight: Tensor) -> Tensor:
        """The gradient of its input out of that of its output, (N, h, w, C), where it sees a single pixel each."""
        below = (rows.flatten(0, 2) @ weight).view(*rows.shape[:3], -1)
        if below.shape[1:3] != self.shape[2:]:  # pixels that a stride leaves out have none
            down, across = self.stride
            every = below.new_zeros((len(below), *self.shape[2:], below.shape[3]))
            every[:, ::down, ::across] = below
            below = every
        return below.permute(0, 3, 1, 2)

    @property
    def _pointwise(self) -> bool:
        return self.groups == 1 and all(size == 1 for size in self.weight.shape[2:]) and not any(self.padding)


@dataclass(frozen=True, eq=False)
class Convolved:
    """A convolution that was carried out: what it was given and what it returned, and the way back."""

    inputs: Tensor
    output: Tensor
    version: int  # of `output`: an in-place operation raises it
    way: Convolution

    @classmethod
    def of(  # what torch.conv2d returned, and its arguments
        cls,
        output: Tensor,
        input: Tensor,
        weight: Tensor,
        _bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Convolved | None:
        """The convolution; None where its way back needs more than its weights."""
        usual = all(isinstance(sizes, (tuple, list)) for sizes in (stride, padding, dilation))
        if not usual or input.ndim != 4 or not input.requires_grad or weight.requires_grad:
            return None
        if not input.dtype == weight.dtype == output.dtype:
            return None
        way = Convolution(weight, stride, padding, dilation, groups, input.shape, input.stride())
        return cls(input, output, output._version, way)

    def made(self, maps: Tensor) -> bool:
        """Whether `maps` are what it returned, and nobody has changed or watches them."""
        return maps is self.output and maps._version == self.version and not maps._backward_hooks


class _FixedAfterConvolution(torch.autograd.Function):
    """y = factor (weights * x) + constant, of which the convolution was carried out already."""

    @staticmethod
    def forward(
        ctx: Any, _x: Tensor, factor: Tensor, maps: Tensor, normalise: Normalise, way: Convolution
    ) -> Tensor:
        ctx.factor, ctx.way = factor, way
        return normalise(maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ctx.way.back(gradient, ctx.factor), None, None, None, None


class _Fixed(torch.autograd.Function):
    """y = factor x + constant, with one factor for each channel, which stands second."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor, normalise: Normalise) -> Tensor:
        ctx.factor = factor.reshape(-1, *[1] * (x.dim() - 2))
        return normalise(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.factor, None, None
