"""Softmax, sigmoid and their logarithms: what torch calls them, and what may be done to their results."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnexplain.engine.trace.functions import Args, Kwargs, argument

# What torch calls the operations, without underscores and the prefix special_.
OPERATIONS = {
    "softmax": "softmax",
    "log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "expit": "sigmoid",
    "logsigmoid": "logsigmoid",
    "log_sigmoid": "logsigmoid",
}
LOGARITHMS = {"softmax": "log_softmax", "sigmoid": "logsigmoid"}
EXPONENTIALS = {"log_softmax": "softmax", "logsigmoid": "sigmoid"}
PER_CLASS = frozenset({"sigmoid", "logsigmoid"})
# Functions that hand on every value that they keep, in another shape or number format.
_VIEWS = """
view reshape squeeze unsqueeze flatten getitem select narrow permute transpose swapaxes movedim t contiguous
float double half bfloat16 to type type_as clone detach cpu cuda get view_as reshape_as expand alias unbind split
chunk unsafe_view to_copy copy
"""
VIEWS = frozenset(_VIEWS.split())
# Of these functions not all values may be left.
SELECTING = frozenset(["getitem", "select", "narrow", "unbind", "split", "chunk"])
_LINEAR = "linear conv1d conv2d conv3d convolution matmul mm addmm bmm einsum bilinear baddbmm"
LINEAR = frozenset(_LINEAR.split())
MAPS = frozenset(["conv2d", "convolution", "conv_transpose2d"])
ARITHMETIC = frozenset(["add", "sub", "mul", "div", "true_divide", "addcmul", "rmul", "radd", "rsub"])
JOINING = frozenset(["cat", "concat", "concatenate", "stack", "hstack"])
MULTIPLYING = ("mul", "multiply", "rmul", "imul")
DIVIDING = ("div", "divide", "true_divide", "truediv", "idiv", "itruediv")
TINY = 1e-4  # what is added to, or cut off, probabilities so that their logarithm is finite
LARGEST = 1 << 21  # values a picture: more are attention, not class scores


def is_dense(value: Any) -> TypeGuard[Tensor]:
    """Whether something is a tensor with a shape and values like any other, neither nested nor sparse."""
    return isinstance(value, Tensor) and not value.is_nested and value.layout is torch.strided


def version(tensor: Tensor) -> int:
    """How often a tensor was written to; nought where torch does not count."""
    return 0 if tensor.is_inference() else int(tensor._version)


def probabilities(scores: Tensor, through: tuple[str, ...], *, logarithms: bool = False) -> Tensor:
    """The probabilities (N, K) that the operations `through` make of scores (N, K), as the model does.

    A logarithm at the end is taken back, unless `logarithms`.
    """
    last = through[-1] if logarithms else EXPONENTIALS.get(through[-1], through[-1])
    for operation in (*through[:-1], last):
        if operation in PER_CLASS:
            scores = scores.sigmoid() if operation == "sigmoid" else F.logsigmoid(scores)
        else:
            scores = scores.softmax(1) if operation == "softmax" else scores.log_softmax(1)
    return scores


def dimension(result: Tensor, args: Args, kwargs: Kwargs) -> tuple[int, int] | None:
    """Which dimension a softmax ran over, and how long that is."""
    dim = argument(args, kwargs, 1, "dim")
    if dim is None:
        dim = 0 if result.ndim in (0, 1, 3) else 1  # what torch takes where none is named
    if not isinstance(dim, int) or not result.ndim:
        return None
    return dim % result.ndim, int(result.shape[dim])


def hardly_changes(name: str, args: Args, kwargs: Kwargs, unit: float = 1) -> bool:
    """Whether a call rounds probabilities, or only keeps them from 0 or 1, as `p + 1e-8` and `p.clamp(1e-7)` do.

    `unit` is what stands for a probability of 1.
    """
    if name == "round":
        return True
    numbers = [value for value in (*args[1:], *kwargs.values()) if value is not None]
    if not numbers or not all(isinstance(number, (int, float)) for number in numbers):
        return False
    shares = [number / unit for number in numbers]
    if name == "add":
        return bool(0 <= shares[0] <= TINY)
    if name in ("clamp", "clip", "clamp_min", "clamp_max"):
        return all(0 <= share <= TINY or 1 - TINY <= share <= 1 for share in shares)
    return False


def scale(name: str, args: Args, kwargs: Kwargs) -> float | None:
    """The positive number that a call multiplies all values by, as `p * 100` and `p.div_(0.01)` do; None for others."""
    if name not in (*MULTIPLYING, *DIVIDING) or kwargs.get("rounding_mode") is not None:
        return None
    other = args[1] if len(args) == 2 else kwargs.get("other")
    if is_dense(other) and not other.ndim and not other.is_meta and not other.is_complex():
        other = other.item()
    if not isinstance(other, (int, float)) or not 0 < other < math.inf:
        return None
    return other if name in MULTIPLYING else 1 / other


def is_number(value: Any) -> bool:
    """Whether an argument is a number, also as a tensor without dimensions, or a word or nothing."""
    return not isinstance(value, (Tensor, tuple, list)) or (isinstance(value, Tensor) and not value.ndim)
