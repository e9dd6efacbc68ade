"""Backward rules for ReLU and its kin, wherever they stand in the code of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument, name_of

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

Rule = Literal["gradient", "guided", "deconv", "redirected"]

# What a rectifier is called in torch (without the underscore of the in-place form), and by people.
KIN = {
    "relu": "ReLU", "relu6": "ReLU6", "hardtanh": "Hardtanh", "leaky_relu": "LeakyReLU", "prelu": "PReLU",
    "rrelu": "RReLU", "elu": "ELU", "selu": "SELU", "celu": "CELU", "silu": "SiLU", "gelu": "GELU",
    "hardswish": "Hardswish", "mish": "Mish", "softplus": "Softplus", "threshold": "Threshold",
    "clamp": "clamp(min=0)", "clamp_min": "clamp(min=0)", "clip": "clamp(min=0)", "maximum": "maximum(0)",
    "max": "maximum(0)",
}  # fmt: skip
CLAMPS = frozenset(("clamp", "clamp_min", "clip", "maximum", "max"))
RULED = ContextVar("RULED", default=False)  # whether the rectifiers of this thread obey a rule
Call = tuple[Function, Args, Kwargs]

# Which argument says that a function of torch.nn.functional works in place, where it may.
INPLACE = {
    "relu": 1, "relu6": 1, "hardtanh": 3, "leaky_relu": 2, "rrelu": 4, "elu": 2, "selu": 1, "celu": 2, "silu": 1,
    "hardswish": 1, "mish": 1, "_threshold": 3, "threshold": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Nonlinearities:
    """The rectifiers and max-poolings that a picture meets, which backward rules change or undo."""

    rectifiers: tuple[str, ...]  # the kind of each, in order
    switches: int  # max-poolings that made a map smaller


@contextmanager
def unruled() -> Iterator[None]:
    """Rectifiers inside the block obey no rule: they are no part of the model, but of what is made of its answer."""
    before = RULED.set(False)
    try:
        yield
    finally:
        RULED.reset(before)


def nonlinearities(model: Model) -> Nonlinearities:
    """The rectifiers and max-poolings that a blank picture meets. Inside `borrowed()`; costs one forward pass."""
    with model.rectifiers() as rectifiers:
        model.forward(model.blank().requires_grad_().clone())
    return Nonlinearities(tuple(rectifiers.seen), rectifiers.switches)


class Rectifiers(TorchFunctionMode):
    """While it is active every rectifier that the input passes is noted, and obeys `rule` on the way back.

    With φ the rectifier, x what it was given, and g the gradient that arrives from above, what goes on below is

        gradient   φ'(x) g
        guided     max(g, 0) where x > 0, else 0    (Springenberg et al. 2014, arXiv:1412.6806, section 3.4)
        deconv     max(g, 0)                        (Zeiler & Fergus 2013, arXiv:1311.2901, section 2.1)
        redirected g where x is off and g pushes it to where φ rises, for a picture that would get nothing else;
                   φ'(x) g for all others           (Olah et al. 2017, doi:10.23915/distill.00007, in its code)

    Off is x at most 0, and where φ has reached its ceiling. Guided and deconv ask whether a unit was active and not
    how steeply it rises: under them every rectifier is the ReLU that it stands for, also where ReLU6 has reached its
    ceiling and its slope is zero.

    Rectifiers are known by the function that computes them. One that is written as arithmetic, such as
    x * sigmoid(x) or torch.where(x > 0, x, 0), or as an autograd function of its own, is not seen.

    `rule` may be changed between one backward pass and the next over the same graph. The forward pass is untouched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rule: Rule = "gradient"
        self.rows: Tensor | None = None  # (N,), the pictures whose gradient may be redirected; None for all
        self.seen: list[str] = []  # the kind of every rectifier, in the order of the forward pass
        self.switches = 0  # how many max-poolings made a map smaller; their backward pass is the unpooling
        self._passed: set[int] = set()

    def __enter__(self) -> Rectifiers:
        self._ruled = RULED.set(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        RULED.reset(self._ruled)

    def use(self, rule: Rule) -> None:
        """From now on go back by `rule`; and forget what was passed."""
        self.rule = rule
        self._passed.clear()

    def passed(self) -> Counter[str]:
        """How many rectifiers of each kind the signal met on its way back since `use`."""
        return Counter(self.seen[number] for number in sorted(self._passed))

    def meet(self, number: int) -> None:
        """Note that the signal has come to a rectifier."""
        self._passed.add(number)

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, as a rectifier that can be overridden where it is one."""
        kwargs = kwargs or {}
        if not RULED.get():
            return func(*args, **kwargs)
        if func in (torch.maximum, torch.max) and len(args) == 2 and _is_zero(args[0]):
            args = (args[1], args[0])  # max(0, x) as well as max(x, 0)
        kind = kind_of(func, args, kwargs)
        inputs = argument(args, kwargs, 0, "input")
        if kind is None or not isinstance(inputs, Tensor) or not inputs.requires_grad:
            result = func(*args, **kwargs)
            self.switches += _made_smaller(func, inputs, result)
            return result
        func, args, kwargs = as_rectifier(func, args, kwargs) or (func, args, kwargs)
        options = {name: value for name, value in kwargs.items() if name != "input"}
        in_place = works_in_place(func, args, options)

        def rectify(x: Tensor) -> Tensor:
            y: Tensor = func(x.clone() if in_place else x, *args[1:], **options)
            return y

        number = len(self.seen)
        self.seen.append(kind)
        rectified: Tensor = _Rectified.apply(inputs, rectify, kind, number, self)
        if not in_place:
            return rectified
        # The user's own tensor, and every view of it, holds the result.
        return inputs.copy_(rectified)


class _Rectified(torch.autograd.Function):
    """One rectifier of the forward pass. It keeps its slopes, so that later in-place changes cannot reach them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, rectify: Callable[[Tensor], Tensor], kind: str, number: int, mode: Rectifiers
    ) -> Tensor:
        with torch.enable_grad():
            inside = x.detach().requires_grad_()
            y = rectify(inside)
            # The slope of ReLU is all or nothing, which a byte can hold.
            slope = None if kind == "ReLU" else torch.autograd.grad(y.sum(), inside)[0]
        ctx.open, ctx.slope, ctx.number, ctx.mode = x > 0, slope, number, mode
        return y.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        ctx.mode.meet(ctx.number)
        if ctx.mode.rule == "deconv":
            below = gradient.clamp(min=0)
        elif ctx.mode.rule == "guided":
            below = gradient.clamp(min=0).mul_(
                ctx.open
            )  # several times faster than filling where it is closed
        elif ctx.mode.rule == "redirected":
            below = _redirected(gradient, ~ctx.open, ctx.slope, ctx.mode.rows)
        elif ctx.slope is None:
            below = gradient * ctx.open
        else:
            below = gradient * ctx.slope
        return below, None, None, None, None


def _redirected(gradient: Tensor, closed: Tensor, slope: Tensor | None, rows: Tensor | None) -> Tensor:
    """The gradient below a rectifier; where none of it passes an open cell of a picture, let through where it opens."""
    below = gradient.masked_fill(closed, 0) if slope is None else gradient * slope
    lost = ~below.masked_fill(closed, 0).flatten(1).any(1)
    if rows is not None and len(rows) == len(lost):
        lost &= rows
    if not bool(lost.any()):
        return below
    opens = closed & (gradient > 0)
    if slope is not None:
        opens |= (slope == 0) & ~closed & (gradient < 0)
    return gradient.where(opens & lost.view(-1, *[1] * (gradient.ndim - 1)), below)


def kind_of(func: Function, args: Args, kwargs: Kwargs) -> str | None:
    """The kind of rectifier that a call is, such as "ReLU"; None where it is none."""
    name = name_of(func).strip("_")
    kind = KIN.get(name)
    if kind == "Hardtanh":
        low, high = argument(args, kwargs, 1, "min_val", -1.0), argument(args, kwargs, 2, "max_val", 1.0)
        return "ReLU6" if (low, high) == (0, 6) else kind
    if kind == "clamp(min=0)":
        return kind if _is_zero(argument(args, kwargs, 1, "min")) else None
    if kind == "maximum(0)":
        other = argument(args, kwargs, 1, "other")
        return kind if isinstance(other, Tensor) and _is_zero(other) else None
    if kind == "Threshold":
        level, value = argument(args, kwargs, 1, "threshold"), argument(args, kwargs, 2, "value")
        return "ReLU" if (level, value) == (0, 0) else None
    return kind


def works_in_place(func: Function, args: Args, kwargs: Kwargs) -> bool:
    """Whether the call of a rectifier writes its result into its input."""
    name = name_of(func)
    if name.endswith("_"):
        return True
    # Of an operator the form that works in place is another.
    return not isinstance(func, OpOverload) and bool(
        argument(args, kwargs, INPLACE.get(name, 99), "inplace", False)
    )


def as_rectifier(func: Function, args: Args, kwargs: Kwargs) -> Call | None:
    """The call of ReLU, or of ReLU with a ceiling, that a clamp at 0 or a maximum with 0 stands for; None for others.

    The values are the same, the gradients at the corners are not, and differ by version: torch 2.14 gives none at the
    ends of a clamp, earlier ones all of it; a maximum gives half. What is written so must not have another map.
    """
    if getattr(func, "__name__", "").strip("_") not in CLAMPS or "out" in kwargs:
        return None
    if func in (torch.maximum, torch.max) and len(args) == 2 and _is_zero(args[0]):
        args = (args[1], args[0])
    inputs = argument(args, kwargs, 0, "input")
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return None
    kind = kind_of(func, args, kwargs)
    if kind == "maximum(0)":
        other = argument(args, kwargs, 1, "other")
        sides = zip(reversed(other.shape), reversed(inputs.shape), strict=False)
        fits = other.ndim <= inputs.ndim and all(length in (1, side) for length, side in sides)
        return (torch.relu, (inputs,), {}) if fits and other.dtype == inputs.dtype else None
    ceiling = argument(args, kwargs, 2, "max") if kind else None
    in_place = func.__name__.endswith("_")
    if kind is None or not (ceiling is None or (isinstance(ceiling, (int, float)) and ceiling > 0)):
        return None
    if ceiling is None:
        return (torch.relu_ if in_place else torch.relu), (inputs,), {}
    return F.hardtanh, (inputs, 0.0, float(ceiling), in_place), {}


def _made_smaller(func: Function, inputs: Any, result: Any) -> bool:
    """Whether a call was a max-pooling over places, of which there are fewer now."""
    name = name_of(func)
    if "max_pool2d" not in name or "adaptive" in name:
        return False
    pooled = result[0] if isinstance(result, tuple) else result
    tensors = isinstance(inputs, Tensor) and isinstance(pooled, Tensor)
    return tensors and pooled.shape[-2:].numel() < inputs.shape[-2:].numel()


def _is_zero(value: Any) -> bool:
    """Whether an argument is nought, as a number or as a constant tensor."""
    if isinstance(value, Tensor):
        return not value.requires_grad and not bool(value.any())
    return isinstance(value, (int, float)) and value == 0
