"""Gradients averaged over the straight way between two inputs: every rectifier passes on its mean slope on that way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.backward.rectifiers import kind_of, works_in_place
from cnnexplain.engine.backward.slopes import Pooled, Product, Single
from cnnexplain.engine.scoring.scores import score_of
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument, name_of, plain_name

if TYPE_CHECKING:
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model

# Functions whose result is linear in what depends on the input, or constant plus linear. Names without underscores.
_LINEAR = """
conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution linear batch_norm
add radd iadd sub rsub isub subtract neg mean sum nansum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample pad flatten unflatten view reshape squeeze unsqueeze
getitem select narrow permute transpose swapaxes movedim contiguous clone alias expand expand_as view_as reshape_as
split chunk unbind cat concat concatenate stack hstack vstack flip roll float to type type_as dropout dropout2d
alpha_dropout feature_dropout pixel_shuffle pixel_unshuffle channel_shuffle unfold fold tile repeat
repeat_interleave native_channel_shuffle cumsum gather index_select take_along_dim t mt h
"""
LINEAR = frozenset(_LINEAR.replace("_", "").split())
# Functions that are linear where only one of their arguments depends on the input.
SCALING = frozenset(("mul", "rmul", "imul", "multiply", "matmul", "rmatmul", "mm", "bmm", "addmm", "einsum"))
DIVIDING = frozenset(("div", "truediv", "itruediv", "divide", "idiv"))
MULTIPLYING = frozenset(("mul", "rmul", "multiply"))
# Functions of single values that are exactly constant or exactly their argument between corners.
CORNERED = frozenset(("ReLU", "ReLU6", "Hardtanh", "clamp(min=0)", "maximum(0)"))
CURVED = frozenset(("sigmoid", "tanh", "hardsigmoid", "hardswish", "logsigmoid", "softsign"))
# Functions that say something of a tensor and compute nothing of its values.
_ASKING = """
size dim shape ndim stride dtype device layout is_floating_point numel len requires_grad is_contiguous is_nested
is_inference is_cuda is_quantized is_sparse ndimension storage_offset version grad grad_fn is_leaf element_size is_conj
is_neg is_complex hash
"""
ASKING = frozenset(_ASKING.replace("_", "").split())
WEIGHTED = frozenset(("PReLU", "RReLU"))  # rectifiers with weights of their own


APART = (
    0.01  # the share of the rise of the score that averaged gradients may miss before they are not believed
)
ROUNDED = 1e-5  # the share of the score that is rounding


class UnknownSlopeError(Exception):
    """A model calls an operation whose mean slope on a way is not known."""


def averaged(model: Model, inputs: Tensor, target: Target, images: Tensor) -> Tensor:
    """The gradient of a score, averaged on the straight way from each input to the next.

    Args:
        model: The model, borrowed.
        inputs: The ends of the ways, (n + 1, C, H, W).
        target: What is asked of the images of a batch.
        images: The number of the image in that batch which each input was made of, (n + 1,).

    Returns:
        (n, C, H, W), float32. Each, times its way, adds up to the rise of the score on it.

    Raises:
        UnknownSlopeError: The model calls an operation that `Secants` does not know; or one that it cannot see, so that
            the averages do not add up.
    """
    _ = model.head, model.trace  # before operations are watched: these may take passes of their own
    mode = Secants()
    first = mode.first(model.forward, inputs[:1])
    pixels = inputs[1:].detach().requires_grad_()
    with mode:
        logits = model.forward(pixels.clone())
    scores = score_of(model.require_count(logits), target, images[1:])
    gradients = model.gradient_to_input(scores, pixels)
    mode.require_known()
    ends = torch.cat((score_of(model.require_count(first), target, images[:1]), scores.detach()))
    missed = (gradients * inputs.diff(dim=0)).flatten(1).sum(1) - ends.diff()
    rounding = ROUNDED * float(ends.abs().max()) * len(missed)
    # Also NaN is not believed.
    if not float(missed.abs().sum()) <= APART * float(ends.diff().abs().sum()) + rounding:
        raise UnknownSlopeError("an operation out of sight")
    return gradients


class Secants(TorchFunctionMode):
    """While it is active a way back gives each row the gradient averaged over the way from the row before to it.

    A straight way in the input crosses the corners of rectifiers. Between two inputs a and b of a unit a rectifier φ
    has the mean slope (φ(b) - φ(a)) / (b - a), which is exact where the unit's input moves straight, wherever on the
    way it crosses the corner. It is the multiplier of DeepLIFT's rescale rule (Shrikumar et al. 2017,
    arXiv:1704.02685, section 3.5.1), taken for a short part of the way. A max-pooling whose largest cell changes has
    the share of the way of each; a product has the means of its factors. The gradients so averaged, times the way,
    add up to the difference of the scores.

    What lies before the first row goes through first, alone, in `first()`; then the rows go through once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[Tensor, ...]] = []
        self._unknown: str | None = None
        self._met: int | None = (
            None  # the operations met so far; None while the row before the first is noted
        )

    def first(self, forward: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Send what lies before the first row, (1, C, H, W), through `forward`; what it gives back, detached."""
        with self:
            scores = forward(inputs.detach().requires_grad_().clone())
        self._met = 0
        return scores.detach()

    def require_known(self) -> None:
        """Raise `UnknownSlopeError` where the way back passed an operation that is not known."""
        if self._unknown is not None:
            raise UnknownSlopeError(self._unknown)

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, with its mean slope for the way back where that is known."""
        kwargs = kwargs or {}
        depending = _depending(args, kwargs) if torch.is_grad_enabled() else 0
        name = name_of(func)
        name = (plain_name(func) if name == "__get__" else name).replace("_", "")
        if not depending or _is_linear(name, args, kwargs, depending):
            return func(*args, **kwargs)
        inputs = argument(args, kwargs, 0, "input")
        if depending == 1 and isinstance(inputs, Tensor) and "out" not in kwargs:
            kind = kind_of(func, args, kwargs)
            if name in CURVED or (kind is not None and kind not in WEIGHTED):
                return self._single(func, inputs, args, kwargs, kind in CORNERED)
            if "maxpool2d" in name and "adaptive" not in name and not kwargs.get("return_indices"):
                return self._pooled(inputs, args, kwargs)
        elif name in MULTIPLYING and len(args) == 2 and not name_of(func).endswith("l_"):
            return self._product(*args)
        return self._watched(name, func(*args, **kwargs))

    def _watched(self, name: str, result: Any) -> Any:
        """The result of an operation that is not known: noted when the way back passes it, or could not."""
        tensors = [
            part for part in (result if isinstance(result, (tuple, list)) else [result]) if _depends(part)
        ]
        for tensor in tensors:
            tensor.register_hook(lambda _: self._miss(name))
        if not tensors:
            self._miss(name)
        return result

    def _miss(self, name: str) -> None:
        self._unknown = self._unknown or name

    def _note(self, *values: Tensor) -> tuple[Tensor, ...] | None:
        """The same values of the row before the first; None while these are noted themselves."""
        if self._met is None:
            self._before.append(tuple(value.detach() for value in values))
            return None
        self._met += 1
        before = self._before[self._met - 1] if self._met <= len(self._before) else ()
        if [(1, *value.shape[1:]) for value in values] != [tuple(each.shape) for each in before]:
            self._unknown = self._unknown or "an operation that depends on its batch"
            return None
        return before

    def _single(self, func: Function, x: Tensor, args: Args, kwargs: Kwargs, cornered: bool) -> Tensor:
        options = {name: value for name, value in kwargs.items() if name != "input"}
        in_place = works_in_place(func, args, options)

        def rectify(value: Tensor) -> Tensor:
            y: Tensor = func(value, *args[1:], **options)
            return y

        before = self._note(x.clone() if in_place and self._met is None else x)
        y: Tensor = rectify(x) if before is None else Single.apply(x, *before, rectify, cornered, in_place)
        return y

    def _pooled(self, x: Tensor, args: Args, kwargs: Kwargs) -> Tensor:
        options = {name: value for name, value in kwargs.items() if name not in ("input", "return_indices")}

        def pool(value: Tensor) -> tuple[Tensor, Tensor]:
            pooled: tuple[Tensor, Tensor] = F.max_pool2d_with_indices(value, *args[1:], **options)
            return pooled

        before = self._note(x)
        if before is None:
            return pool(x)[0]
        y: Tensor = Pooled.apply(x, before[0], pool)
        return y

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        before = self._note(a, b)
        y: Tensor = a * b if before is None else Product.apply(a, b, *before)
        return y


def _is_linear(name: str, args: Args, kwargs: Kwargs, depending: int) -> bool:
    """Whether a call needs no mean slope: it is linear in what depends on the input, or computes nothing."""
    if name in DIVIDING:
        return not _depends(argument(args, kwargs, 1, "other"))
    return name in LINEAR or name in ASKING or (name in SCALING and depending == 1)


def _depends(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _depending(args: Args, kwargs: Kwargs) -> int:
    """How many arguments depend on the input."""
    count = 0
    for value in (*args, *kwargs.values()):
        count += any(map(_depends, value)) if isinstance(value, (list, tuple)) else _depends(value)
    return count
