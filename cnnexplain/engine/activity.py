"""How units behave over many pictures: in how many a rectified one fires, and how often a bounded one is at an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnexplain.core.words import run_name
from cnnexplain.engine.backward.rectifiers import kind_of
from cnnexplain.engine.capture import map_layout
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

# Where each rectifier is shut: below, its slope is nought or, where it bends, within a thousandth of it.
SHUT = {
    "ReLU": 0.0, "ReLU6": 0.0, "clamp(min=0)": 0.0, "maximum(0)": 0.0, "Hardswish": -3.0,
    "ELU": -7.0, "SELU": -7.0, "CELU": -7.0, "Softplus": -7.0, "SiLU": -10.0, "Mish": -10.0, "GELU": -4.0,
}  # fmt: skip
# Between which values each bounded function lies. A ReLU6 at its lower end is a unit that is silent, which most are
# in most places; only its upper one counts.
ENDS = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "relu6": (float("-inf"), 6.0),
    "softmax": (float("-inf"), 1.0),
}
NEAR = 0.01  # of the range: so near to an end a unit is at it


@dataclass(frozen=True, eq=False)
class Activity:
    """One activation function, at one place of the model, over all pictures."""

    name: str  # of the layer, or of a function "ReLU after fc1"; a second one there is `name #2`
    kind: str
    fired: Tensor | None  # (C,): in how many pictures each channel opened at all; None where it has no floor
    # (C,): the sum over the pictures of each channel's share of places at an end; None where it has no end
    at_end: Tensor | None
    pictures: int
    single: bool = False  # whether each channel has one value a picture, and not a map


class _ActivityMode(TorchFunctionMode):
    """While it is active every activation function is noted, wherever it stands in the code."""

    def __init__(
        self, input_size: tuple[int, int], scores: int, pictures: int, leaves: Collection[str]
    ) -> None:
        super().__init__()
        self._leaves = leaves  # the names of modules that hold no others
        self.activities: dict[tuple[str, str], Activity] = {}
        self.inside: list[str] = [""]  # the modules whose code is running, the innermost last
        self.finished: list[str] = []  # the module that ran last
        self.pictures = pictures  # that go through together
        self._calls: Counter[str] = Counter()
        self._size, self._scores = input_size, scores

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, and note it where it is an activation function."""
        kwargs = kwargs or {}
        plain = getattr(func, "__name__", "").strip("_")
        rectifier = kind_of(func, args, kwargs)
        bounded = "relu6" if rectifier == "ReLU6" else plain
        inputs = argument(args, kwargs, 0, "input")
        watched = rectifier in SHUT or bounded in ENDS
        if not watched or not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            return func(*args, **kwargs)
        # Before the call: a function that works in place overwrites its input.
        fired = None
        if rectifier in SHUT and (axes := self._places(inputs)):
            opened = self._per_picture(inputs).amax(axes) > SHUT[rectifier]
            fired = opened.sum(0).cpu()
        result = func(*args, **kwargs)
        at_end = self._at_end(bounded, result, args, kwargs) if bounded in ENDS else None
        if fired is not None or at_end is not None:
            values = self._per_picture(result)
            axes = self._places(result)
            # Along each axis: the number of values does not say which of them are channels.
            single = bool(axes) and all(values.shape[axis] == 1 for axis in axes)
            self._note(rectifier or plain, fired, at_end, single)
        return result

    def _at_end(self, kind: str, result: Any, args: Args, kwargs: Kwargs) -> Tensor | None:
        """The sum over the pictures of each channel's share of places that are at an end."""
        if not isinstance(result, Tensor) or tuple(result.shape) == (self.pictures, self._scores):
            return None  # the answer itself may be certain
        low, high = ENDS[kind]
        if kind == "hardtanh":
            low, high = argument(args, kwargs, 1, "min_val", low), argument(args, kwargs, 2, "max_val", high)
        if kind == "softmax":
            # Rows of attention that give all their weight to a single place, counted for each head.
            dim = argument(args, kwargs, 1, "dim", -1)
            if dim is None or result.ndim != 4 or result.shape[0] != self.pictures or dim % 4 == 1:
                return None
            rows = result.amax(dim) >= high - NEAR
            return rows.flatten(2).float().mean(2).sum(0).cpu()
        axes = self._places(result)
        if not axes:
            return None
        values = self._per_picture(result)
        near = NEAR * (high - low if low > float("-inf") else high)
        stuck = values >= high - near
        if low > float("-inf"):
            stuck |= values <= low + near
        return stuck.float().mean(axes).sum(0).cpu()

    def _per_picture(self, values: Tensor) -> Tensor:
        """The values with one row a picture, and with places to go over: (N, C, 1), (N, T, C) or a map."""
        if values.ndim == 2:
            return values[:, :, None]
        if values.ndim == 3 and values.shape[0] != self.pictures:
            return values.reshape(self.pictures, -1, values.shape[-1])  # windows of each picture
        return values

    def _places(self, values: Tensor) -> tuple[int, ...]:
        """Which axes of `_per_picture` are places; none where it cannot be told what is a channel."""
        shape = tuple(values.shape)
        if not shape or 0 in shape or not self.pictures or shape[0] % self.pictures:
            return ()
        if len(shape) == 3:
            return (1,)
        if shape[0] != self.pictures:
            return ()
        if len(shape) == 2:
            return (2,)
        layout = map_layout(shape, self._size)
        return {"NCHW": (2, 3), "NHWC": (1, 2)}.get(layout or "", ())

    def _note(self, kind: str, fired: Tensor | None, at_end: Tensor | None, single: bool) -> None:
        name = self.inside[-1]
        if name not in self._leaves:  # a function in the code of the model, or of a block
            name = f"{kind} after {self.finished[0]}" if self.finished else f"{kind} at the start"
        self._calls[name] += 1
        key = (run_name(name, self._calls[name]), kind)
        self.activities[key] = Activity(*key, fired, at_end, self.pictures, single)


def watched(model: Model, batch: Tensor, scores: int) -> list[Activity]:
    """Every activation function that the pictures of `batch` (N, C, H, W) meet, in order. Leaves no hook behind.

    `scores` is how many class scores there are: what squeezes those is the answer, which may be certain.
    """
    module = model.module
    leaves = {name for name, child in module.named_modules() if next(child.children(), None) is None}
    watch = _ActivityMode(model.preprocess.input_size, scores, len(batch), leaves)
    with naming(module, watch.inside, watch.finished), torch.no_grad(), watch:
        model.forward(batch)
    return list(watch.activities.values())


def joined(batches: Sequence[Sequence[Activity]], pictures: int) -> list[Activity]:
    """The activities of several batches added up, each activation function once.

    Args:
        batches: The activities of each batch, as `watched` gives them.
        pictures: How many pictures all batches have together.
    """
    total: dict[tuple[str, str], Activity] = {}
    for activity in (activity for batch in batches for activity in batch):
        key = activity.name, activity.kind
        before = total.setdefault(key, activity)
        if before is not activity:
            fired, at_end = _added(before.fired, activity.fired), _added(before.at_end, activity.at_end)
            total[key] = replace(before, fired=fired, at_end=at_end)
    return [replace(activity, pictures=pictures) for activity in total.values()]


@contextmanager
def naming(module: nn.Module, inside: list[str], finished: list[str] | None = None) -> Iterator[None]:
    """Keep in `inside` the names of the modules whose code is running, and in `finished` that of the last that ran."""

    def enter(name: str, *_: Any) -> None:
        inside.append(name)

    def leave(*_: Any) -> None:
        name = inside.pop()
        if finished is not None:
            finished[:] = [name]

    with hooked(submodules(module), before=enter, after=leave):
        yield


def _added(before: Tensor | None, now: Tensor | None) -> Tensor | None:
    """The sum, where both were counted over the same units."""
    if before is None or now is None or before.shape != now.shape:
        return None
    return before + now
