"""Where in a model values stop being finite, and its weights in half precision for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.activity import naming
from cnnexplain.engine.borrow import restored
from cnnexplain.engine.fields.axes import tensors_in
from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.trace.functions import Args, Function, unwatched
from cnnexplain.engine.weights.layers import is_finite, is_plain

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

# Functions that put infinities into a tensor on purpose, as attention does where it masks.
FILLS = frozenset({
    "masked_fill", "masked_scatter", "full", "full_like", "new_full", "fill", "where", "index_fill", "index_put",
    "index_copy", "scatter", "__setitem__", "triu", "tril", "tensor", "pad", "copy",
})  # fmt: skip
# Functions that divide by what may be zero, and those that have no value for zero or less.
DIVIDING = frozenset({
    "div", "divide", "true_divide", "rdiv", "rtruediv", "reciprocal", "rsqrt", "pow", "normalize", "cosine_similarity",
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm",
})  # fmt: skip
LOGARITHMS = frozenset({"log", "log2", "log10", "log1p", "logit"})
MASK = 1e30  # sizes from here on stand for infinity, as in masks
ANSWER = "what the model returns"
Cause = Literal["", "overflow", "divides", "logarithm", "undefined", "within"]


@dataclass(frozen=True)
class Overflow:
    """One place of a model whose output is not finite everywhere."""

    name: str  # of a layer; of a function the layer in whose code it stands too
    infinite: int  # values, of all pictures
    nan: int
    total: int
    pictures: int  # in which there are some
    # Of the first place, where it is a function that could be repeated in float64; see `_cause`.
    cause: Cause = ""

    def and_of(self, other: Overflow) -> Overflow:
        """This overflow with the counts of `other`, the same place over other pictures, added."""
        return Overflow(
            self.name,
            self.infinite + other.infinite,
            self.nan + other.nan,
            self.total + other.total,
            self.pictures + other.pictures,
            self.cause or other.cause,
        )


class _FirstFunction(TorchFunctionMode):
    """Notes functions that make something infinite, or NaN, of finite values, until one was found."""

    def __init__(self, pictures: int, inside: list[str], note: Callable[[str, Tensor, Cause], None]) -> None:
        super().__init__()
        self._pictures, self._inside, self._note = pictures, inside, note
        self._noted = False

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, and look at what it returns."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if self._noted or name.strip("_") in FILLS or name in FILLS:
            return func(*args, **kwargs)
        # A function that works in place overwrites its arguments.
        in_place = name.endswith("_") and not name.startswith("__")
        arguments = (args, kwargs)
        if in_place:
            if not _all_finite((*args, *kwargs.values())):
                return func(*args, **kwargs)
            arguments = _each_tensor(arguments, torch.clone)
        result = func(*args, **kwargs)
        for tensor in _tensors(result, self._pictures):
            if not is_finite(tensor) and (in_place or _all_finite((*args, *kwargs.values()))):
                where = f"{name.strip('_')} in {self._inside[-1] or 'its own code'}"
                self._note(where, tensor, _cause(func, name.strip("_"), arguments, tensor))
                self._noted = True
        return result


def _cause(func: Function, name: str, arguments: tuple[Any, Any], result: Tensor) -> Cause:
    """Why a function makes something infinite or NaN of finite values, as repeating it in float64 shows.

    `overflow`: float64 has room for it. `divides`, `logarithm`, `undefined`: there is no such number in float64 either.
    `within`: what it gives back has room, but not what it computes on the way, as an epsilon that becomes zero. Empty
    for a function that cannot be repeated so.
    """
    args, kwargs = _each_tensor(arguments, lambda x: x.double() if x.is_floating_point() else x)
    try:
        exact = func(*args, **kwargs)
    except (RuntimeError, TypeError, ValueError):  # it knows no float64, or this device does not
        return ""
    if not isinstance(exact, Tensor) or exact.shape != result.shape:
        return ""
    if exact.dtype is not torch.float64:  # a cast, of finite values
        return "overflow"
    lost = exact[~result.isfinite()]
    if bool(lost.isfinite().all()):
        return "overflow" if float(lost.abs().max()) > torch.finfo(result.dtype).max else "within"
    return "divides" if name in DIVIDING else "logarithm" if name in LOGARITHMS else "undefined"


def _each_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Arguments of a function with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(_each_tensor(entry, change) for entry in value)
    if type(value) is dict:
        return {key: _each_tensor(entry, change) for key, entry in value.items()}
    return value


def overflows(model: Model, inputs: Tensor) -> tuple[Tensor, list[Overflow]]:
    """The class scores, and every layer whose output is not finite everywhere, in the order of the pass.

    Where a function in a layer's code makes the first such values, that is named before the layer. Infinities that are
    put in on purpose, as by `masked_fill`, are none. Costs one forward pass of `inputs` (N, C, H, W), without
    gradients. Leaves no hook behind.
    """
    module = model.module
    places: dict[str, Overflow] = {}
    pictures = len(inputs)
    inside = [""]

    def note(name: str, values: Tensor, cause: Cause = "") -> None:
        if name not in places:
            infinite, nan = values.isinf(), values.isnan()
            hit = (infinite | nan).reshape(pictures, -1).any(1)
            counts = int(infinite.sum()), int(nan.sum()), values.numel(), int(hit.sum())
            places[name] = Overflow(name, *counts, cause)

    @unwatched
    def look(name: str, _layer: nn.Module, _arguments: Any, output: Any) -> None:
        for values in _tensors(output, pictures):
            if not is_finite(values):
                note(name or ANSWER, values)

    leaves = {name for name, child in module.named_modules() if next(child.children(), None) is None}

    def note_function(name: str, values: Tensor, cause: Cause) -> None:
        layer = name.partition(" in ")[2]
        # A layer that holds no others is named in place of its function.
        note(layer if layer in leaves else name, values, cause)

    first_function = _FirstFunction(pictures, inside, note_function)
    with hooked(module.named_modules(), after=look), naming(module, inside), torch.no_grad(), first_function:
        result = model.forward(inputs)
    return result, list(places.values())


def merged(batches: Iterable[list[Overflow]]) -> list[Overflow]:
    """The overflows of several batches, as `overflows` gives them, added up: each place of the model once."""
    total: dict[str, Overflow] = {}
    for overflow in (overflow for batch in batches for overflow in batch):
        before = total.get(overflow.name)
        total[overflow.name] = before.and_of(overflow) if before else overflow
    return list(total.values())


def beyond(model: Model, dtype: torch.dtype) -> list[str]:
    """The names of weights and buffers with finite values that `dtype` has no room for.

    Values from `MASK` on may become infinite.
    """
    largest = torch.finfo(dtype).max
    named = (*model.module.named_parameters(), *model.module.named_buffers())
    return [
        name
        for name, tensor in named
        if any(bool(((size > largest) & (size < MASK)).any()) for size in map(torch.abs, _tensors(tensor, 1)))
    ]


@contextmanager
def cast(model: Model, dtype: torch.dtype) -> Iterator[None]:
    """Inside the block weights and buffers of floating point are of `dtype`, as after `module.half()`.

    After it each is the very tensor that it was, also on errors: they are put aside, not converted back.
    """
    weights = [(weight, weight.data) for weight in model.module.parameters() if weight.is_floating_point()]
    buffers = [
        (owner, name, tensor)
        for owner in model.module.modules()
        for name, tensor in owner._buffers.items()
        if tensor is not None and tensor.is_floating_point()
    ]
    made: dict[int, Tensor] = {}

    def restore() -> None:
        for parameter, values in weights:
            parameter.data = values
        for owner, name, tensor in buffers:
            owner._buffers[name] = tensor

    with restored(restore):
        for parameter, values in weights:
            parameter.data = values.to(dtype)
        for owner, name, tensor in buffers:
            owner._buffers[name] = made.setdefault(id(tensor), tensor.to(dtype))
        yield


def _all_finite(arguments: Iterable[Any]) -> bool:
    return all(map(is_finite, _tensors(list(arguments), 1)))


def _tensors(value: Any, rows: int) -> Iterator[Tensor]:
    """The tensors of floating point in an output whose first axis is a whole number of so many rows."""
    for tensor in tensors_in(value):
        numbers = is_plain(tensor) and tensor.is_floating_point() and tensor.ndim and tensor.numel()
        if numbers and len(tensor) % rows == 0:
            yield tensor
