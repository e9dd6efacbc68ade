"""Maps out of layers, as leaves of the graph, without a trace left on the module."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cnnexplain.core.words import run_name
from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.errors import LayerError

HINT = "name a layer whose output has height and width; leave --layer out to have one chosen"
# Kinds whose output is (N, C, h, w) by what they compute, whatever its shape.
CHANNELS_FIRST = (
    nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d,
    nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d, nn.PixelShuffle,
    nn.PixelUnshuffle,
)  # fmt: skip
CHANNELS_LAST = (nn.LayerNorm, nn.Linear)
ASPECT_SLACK = 1  # cells, from rounding

# Sizes (h, w) of the maps of layers whose kind says how they are laid out.
Grids = Collection[tuple[int, int]]


@dataclass(frozen=True)
class CapturedLayer:
    """A layer that a user named: every run of it, or only run number `run`, counted from 1."""

    name: str
    module: nn.Module
    run: int | None = None


@contextmanager
def capture(
    module: nn.Module, layers: Sequence[CapturedLayer], input_size: tuple[int, int], grids: Grids = ()
) -> Iterator[dict[str, Tensor]]:
    """Collect the output of each named layer during one forward of `module` in the `with` block: (N, C, h, w).

    The maps are keyed by `run_name`, in the order of `layers` and then of the runs. Where nothing before a layer
    needs gradients its output becomes a leaf, so that autograd records only what comes after. What goes on downstream
    is a copy: a later in-place operation cannot reach the captured map.

    Of a layer that runs several times the runs without a map are left out, and so are maps of one cell beside larger
    ones. `grids`: see `map_layout`.

    Raises:
        LayerError: When the block ends, where none of the named runs of a layer has a map.
    """
    maps: dict[str, Tensor] = {}
    with counted(module) as pictures:
        keepers = {layer.name: _Keeper(pictures, input_size, grids) for layer in layers}
        for layer in layers:
            keepers[layer.name].runs.add(layer.run)
        modules = {layer.name: layer.module for layer in layers}
        try:
            with hooked(modules.items(), after=lambda name, *run: keepers[name].keep(name, *run)):
                yield maps
        finally:
            for keeper in keepers.values():
                maps.update(keeper.shown())
    for keeper in keepers.values():
        if keeper.refused and not keeper.maps:
            raise keeper.refused


@contextmanager
def counted(module: nn.Module) -> Iterator[list[int]]:
    """A list that has the number of pictures, once they went into the module inside the block; empty before."""
    pictures: list[int] = []

    def count(_name: str, _module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and not pictures:  # a module that calls itself does so with whatever it likes
            pictures.append(len(arguments[0]))

    with hooked([("", module)], before=count):
        yield pictures


def map_layout(
    shape: tuple[int, ...], input_size: tuple[int, int], layer: nn.Module | None = None, grids: Grids = ()
) -> str | None:
    """How an output of `shape` is laid out: "NCHW", "NHWC", or None where it is not a map of the picture.

    Where the kind of `layer` says it, that decides, for any shape. Where the size of a map of such a layer, one of
    `grids` (h, w), is found on one side of the shape, that is the side of rows and columns: strides may differ by
    direction. Otherwise the aspect ratio of the input, `input_size` (height, width), tells rows and columns from
    channels, and maps from attention heads: networks keep it to within a cell, but for what convolutions without
    padding cut off. An output that reads both ways is NCHW.
    """
    if len(shape) != 4 or 0 in shape:
        return None
    if isinstance(layer, CHANNELS_FIRST):
        return "NCHW"
    _, a, b, c = shape
    first, last = (b, c) in grids, (a, b) in grids
    if type(layer) not in CHANNELS_LAST and (first or last):
        return "NCHW" if first else "NHWC"
    errors = {
        "NCHW": 0 if _is_cut(b, c, input_size) else _distortion(b, c, input_size),
        "NHWC": 0 if last else _distortion(a, b, input_size),
    }
    layout = min(errors, key=errors.__getitem__)
    if type(layer) in CHANNELS_LAST:  # not those derived from them, which may do as they like
        layout = "NHWC"
    return layout if errors[layout] <= ASPECT_SLACK else None


def map_shape(
    shape: tuple[int, ...], input_size: tuple[int, int], layer: nn.Module, grids: Grids
) -> tuple[int, int, int] | None:
    """The map (C, h, w) that an output of `shape` is of one picture; None where it is none. See `map_layout`."""
    layout = map_layout(shape, input_size, layer, grids) if shape[:1] == (1,) else None
    if layout is None:
        return None
    _, a, b, c = shape
    return (a, b, c) if layout == "NCHW" else (c, a, b)


def note_grid(shape: Sequence[int], layer: nn.Module, grids: set[tuple[int, int]]) -> None:
    """Add the size (h, w) of an output to `grids`, where its layer's kind says how it lies; not of a single cell."""
    if len(shape) == 4 and isinstance(layer, CHANNELS_FIRST) and shape[2] * shape[3] > 1:
        grids.add((int(shape[2]), int(shape[3])))


def _distortion(rows: int, columns: int, input_size: tuple[int, int]) -> float:
    """By how many cells a map departs from the input's aspect ratio."""
    aspect = input_size[0] / input_size[1]
    return abs(rows - columns * aspect) / max(1, aspect)


def _is_cut(rows: int, columns: int, input_size: tuple[int, int]) -> bool:
    """Whether a map is a smaller copy of an oblong input that lost as many rows as columns, at most half."""
    height, width = input_size
    if height == width:
        return False
    scale = (columns - rows) / (width - height)
    return 0 < scale <= 1 and 0 <= height * scale - rows <= rows and width * scale - columns <= columns


@dataclass
class _Keeper:
    """Keeps the maps of the runs of a layer that were named."""

    pictures: list[int]
    input_size: tuple[int, int]
    grids: Grids
    runs: set[int | None] = field(default_factory=set)  # None: all of them
    calls: int = 0
    maps: dict[str, Tensor] = field(default_factory=dict)
    refused: LayerError | None = None

    def shown(self) -> dict[str, Tensor]:
        """The maps; those of one cell only where there are no larger ones."""
        large = {name: values for name, values in self.maps.items() if values.shape[2:].numel() > 1}
        return large or self.maps

    def keep(self, name: str, module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Tensor | None:
        self.calls += 1
        if not self.runs & {None, self.calls}:
            return None
        try:
            layout = layout_of(name, module, output, self.pictures[0], self.input_size, self.grids)
        except LayerError as error:
            self.refused = self.refused or error
            return None
        # No gradient leads there, and the model goes on with its own.
        aside = output.is_quantized or output.is_inference()
        output = as_floats(output)
        last = layout == "NHWC"
        as_map: Tensor = output.permute(0, 3, 1, 2) if last else output
        if self.shown() is not self.maps and as_map.shape[2:].numel() == 1:
            return None  # what a layer does to pooled values after its maps is left alone
        if not as_map.requires_grad:
            as_map = as_map.detach().requires_grad_()
        self.maps[run_name(name, self.calls)] = as_map
        return None if aside else (as_map.permute(0, 2, 3, 1) if last else as_map).clone()


def as_floats(output: Tensor) -> Tensor:
    """The output as an ordinary tensor, where it is one of quantised integers, or was made under inference_mode()."""
    if not output.is_quantized and not output.is_inference():
        return output
    with torch.inference_mode(False):
        return output.dequantize() if output.is_quantized else output.clone()


def layout_of(
    name: str, layer: nn.Module, output: Any, pictures: int, input_size: tuple[int, int], grids: Grids = ()
) -> str:
    """How the output of a layer that was named is laid out, "NCHW" or "NHWC"; `LayerError` where it is no map."""
    if not is_dense(output):
        kind = "nested or sparse tensor" if isinstance(output, Tensor) else type(output).__name__
        raise LayerError(f"layer {name!r} returns a {kind}, not one map per picture", HINT)
    if output.ndim != 4:
        kind = {2: "a vector", 3: "a sequence of tokens"}.get(output.ndim, "no map")
        raise LayerError(
            f"layer {name!r} returns {kind} of shape {tuple(output.shape[1:])} per picture", HINT
        )
    if output.shape[0] != pictures:
        raise LayerError(
            f"layer {name!r} works on pieces of pictures: {output.shape[0]} come out for {pictures} in all",
            HINT,
        )
    layout = map_layout(tuple(output.shape), input_size, layer, grids)
    if layout is None:
        raise LayerError(
            f"layer {name!r} returns {tuple(output.shape[1:])} per picture, which is no map of an input of "
            f"{input_size[0]}x{input_size[1]}",
            HINT,
        )
    return layout
