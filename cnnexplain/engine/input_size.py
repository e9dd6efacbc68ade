"""The size of picture that a model was made for, found where nobody says it: tried out, at small cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from cnnexplain.core.choice import Choice
from cnnexplain.engine.borrow import borrowed, buffers_kept
from cnnexplain.engine.fields.axes import tensors_in
from cnnexplain.engine.model import Model
from cnnexplain.engine.oblong_size import SHOWN, SIDES, fitting
from cnnexplain.engine.trace.functions import Args, Function
from cnnexplain.errors import ModelError, is_out_of_memory, memory_behind, text_of

USUAL = (
    32, 28, 64, 96, 128, 256, 299, 227, 112, 160, 192, 48, 40, 36, 84, 100, 150, 200, 240, 288, 384, 448, 512,
)  # fmt: skip
LARGEST = 1024
NAMED = 4  # numbers of an error's text that are tried
LARGEST_SHAPE = 8192  # of shapes alone, which cost nothing
SQUARE = 224  # pixels: a side that most get as far with as their first linear layer
AROUND = 16  # pixels: poolings round so many sizes to the same map
# Of all pictures that are tried beside the usual: no clock, or else the size would depend on how busy a machine is.
PIXELS = 4_000_000

Size = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class _Search:
    """The size that fits, where one was chosen, and by what; or sizes among which only a person can choose."""

    size: Size | None = None
    reason: str = ""
    fitting: tuple[str, ...] = ()


@dataclass
class _Way:
    """How far one picture got through a model."""

    passed: bool = False
    too_large: bool = False  # more numbers came to a layer than it takes
    reason: str = ""  # which layer takes as many numbers as its map has
    map: Size | None = None  # that was laid out as other numbers than it has,
    capacity: int = 0  # as so many
    named: tuple[int, ...] = ()  # numbers in the words of the error, which may be of a size


class _FlattenMode(TorchFunctionMode):
    """Notes where a map is flattened, and how its numbers compare with those that the next layer takes."""

    def __init__(self, way: _Way, names: dict[int, str]) -> None:
        super().__init__()
        self._way, self._names = way, names  # of weights, by identity
        self._map: tuple[int, ...] = ()

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and len(args) > 1:
            self._meet(args[0], args[1])
        try:
            result = func(*args, **kwargs)
        except RuntimeError:
            if _lays_out(func):
                self._refuse(args[0].numel(), _numbers(args[1:]))
            raise
        if isinstance(result, Tensor):
            if _lays_out(func) and len(args[0]) == 1 and result.ndim == 2 and len(result) > 1:
                self._refuse(args[0].numel(), result.shape[1])  # one picture became several rows
            if result.ndim == 4:
                self._map = tuple(result.shape)
        return result

    def _meet(self, values: Tensor, weight: Tensor) -> None:
        capacity = weight.shape[1]
        if values.shape[-1] != capacity:
            self._refuse(values.shape[-1], capacity)
        if self._map and not self._way.reason and capacity == torch.Size(self._map).numel():
            _, channels, height, width = self._map
            name = self._names.get(id(weight), "").rpartition(".")[0]
            words = f"layer {name}" if name.isdigit() else name or "a linear layer"
            self._way.reason = f"{words} takes {capacity} numbers: {channels} channels of {height}x{width}"

    def _refuse(self, numbers: int, capacity: int) -> None:
        """Note that `numbers` of a picture came to where so many are `taken`."""
        self._way.too_large |= numbers > capacity
        if self._way.map is None and self._map and numbers == torch.Size(self._map).numel():
            _, *shape = self._map
            self._way.map, self._way.capacity = (shape[0], shape[1], shape[2]), capacity


def _lays_out(func: Function) -> bool:
    return getattr(func, "__name__", "") in ("view", "reshape")


def _numbers(sides: tuple[Any, ...]) -> int:
    """How many numbers a row, or a tensor, of these sides has."""
    numbers = sides[0] if sides and isinstance(sides[0], (tuple, list)) else sides
    return torch.Size(int(side) for side in numbers if isinstance(side, int) and side > 0).numel()


def _tried(model: Model, size: Size, *, shapes: bool = False) -> _Way:
    """How far a blank picture gets through a model: whatever the model's own code raises, it does not get through.

    `shapes`: without values, on the meta device, as far as the module's code gets there.
    """
    way = _Way()
    names = {id(tensor): name for name, tensor in model.module.named_parameters()}
    try:
        with torch.no_grad(), _FlattenMode(way, names):
            if shapes:
                tensors = (*model.module.named_parameters(), *model.module.named_buffers())
                weights = {name: tensor.to("meta") for name, tensor in tensors}
                output = functional_call(model.module, weights, torch.empty((1, *size), device="meta"))
            else:
                output = model.module(model.blank().new_zeros((1, *size)))
            way.passed = _is_for_single_picture(output)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the model's own run tells why
        way.too_large |= is_out_of_memory(error)
        way.named = tuple(int(word) for word in re.findall(r"\b[1-9]\d{1,3}\b", text_of(error))[:NAMED])
    return way


def _is_for_single_picture(output: Any) -> bool:
    """Whether an answer is of one picture: in all of its tensors, or as the list of one dict that detectors return."""
    if isinstance(output, (tuple, list)) and len(output) == 1 and isinstance(output[0], dict):
        return True
    return all(tensor.shape[:1] == (1,) for tensor in tensors_in(output))


def with_size(model: Model, crop_pct: float) -> tuple[Model, tuple[Choice, ...]]:
    """A copy of the model with the size of input that it takes; the model itself where it takes the size that it has.

    So many sizes are tried at most, the same everywhere, and none where the model gets through a picture or memory is
    short: that says nothing of a size, and is told when a picture is looked at. `crop_pct` is the share of the resized
    picture that the input keeps.
    """
    usual: Size = (model.preprocess.channels, *model.preprocess.input_size)
    try:
        model.trace  # noqa: B018 - which is needed later anyway
        return model, ()
    except ModelError as error:
        if memory_behind(error) is not None:
            return model, ()
        with borrowed(model.module, exact=False), buffers_kept(model), model.layout.plain(model.module):
            search = _search(model, usual)
    if search.size is None:
        return replace(model, tried_sizes=search.fitting), ()
    channels, height, width = search.size
    preprocess = replace(model.preprocess, channels=channels)
    if (height, width) != preprocess.input_size:
        preprocess = preprocess.with_crop((height, width), crop_pct)
    other = (height, width) != usual[1:]  # or else the channels alone are, of which the layer says nothing
    why = (
        other and search.reason
    ) or f"it gets through a picture of this size, and not through {'x'.join(map(str, usual))}"
    choice = Choice("input size", f"{channels}x{height}x{width}", f"{why}; --input-size gives another")
    return replace(model, preprocess=preprocess), (choice,)


def _search(model: Model, usual: Size) -> _Search:
    """The first size that fits, of squares that are usual, else of all squares, else of oblong sizes."""
    first = _tried(model, usual)
    if first.passed:
        return _Search()  # that it cannot be explained has another reason, which is none of a size
    named = [side for side in first.named if side <= LARGEST]
    # Channels of the first convolution, or as pictures have them.
    channel_counts = tuple(dict.fromkeys((usual[0], 3, 1)))
    for channels in channel_counts:
        low, high = 1, LARGEST
        for height, width in (usual[1:], *((side, side) for side in (*USUAL, *named))):
            way = _tried(model, (channels, height, width))
            if way.passed:
                reason = "its error names this size" if height in named else way.reason
                return _Search((channels, height, width), reason)
            low, high = (low, min(high, height - 1)) if way.too_large else (max(low, height + 1), high)
        shapes = _solved(
            model, channels, low, max(high, LARGEST_SHAPE) if high == LARGEST else high, shapes=True
        )
        if shapes is not None:
            way = _tried(model, (channels, shapes, shapes))
            if way.passed:
                return _Search((channels, shapes, shapes), way.reason)
        if (side := _solved(model, channels, low, high)) is not None:
            size = (channels, side, side)
            return _Search(size, _tried(model, size).reason)
    return next(filter(None, (_oblong(model, channels) for channels in channel_counts)), _Search())


def _oblong(model: Model, channels: int) -> _Search | None:
    """What fits of the sizes that are no squares; None where nothing shows, or nothing does.

    The rows of a map follow from the height of a picture alone, and its columns from the width, so that squares show
    both.
    """
    shapes = _tried(model, (channels, SQUARE, SQUARE), shapes=True).map is not None
    if not shapes and _tried(model, (channels, SQUARE, SQUARE)).map is None:
        return None
    pixels, maps, capacity = 0, {}, 0
    for side in SIDES:
        pixels += side * side
        if not shapes and pixels > PIXELS:
            break
        way = _tried(model, (channels, side, side), shapes=shapes)
        if way.map is not None:
            maps[side], capacity = way.map, way.capacity
    depth = next(iter(maps.values()))[0]
    if capacity % depth:
        return None
    fits = fitting(
        capacity // depth,
        {side: rows for side, (_, rows, _) in maps.items()},
        {side: columns for side, (_, _, columns) in maps.items()},
    )
    others = [size for size in fits.others[: 2 * SHOWN] if _tried(model, (channels, *size)).passed][:SHOWN]
    words = tuple(f"{channels}x{height}x{width}" for height, width in others)
    if fits.usual is None:
        return _Search(fitting=words) if words else None
    size = (channels, *fits.usual)
    way = _tried(model, size)
    if not way.passed:
        return _Search(fitting=words) if words else None
    beside = f"; {', '.join(words)} fit too" if words else ""
    return _Search(size, f"{way.reason or 'no square gets through'}, and this size is in wide use{beside}")


def _solved(model: Model, channels: int, low: int, high: int, *, shapes: bool = False) -> int | None:
    """The roundest side that fits, found by halving: the larger a picture, the more numbers it is flattened to."""
    pixels = 0
    while low <= high and (shapes or pixels < PIXELS):
        side = (low + high) // 2
        pixels += side * side
        way = _tried(model, (channels, side, side), shapes=shapes)
        if way.passed:
            around = range(max(low, side - AROUND), min(high, side + AROUND) + 1)
            fits = [near for near in around if _tried(model, (channels, near, near), shapes=shapes).passed]
            return max(fits, key=lambda near: near & -near)  # the highest power of two that divides it
        low, high = (low, side - 1) if way.too_large else (side + 1, high)
    return None
