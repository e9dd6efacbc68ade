"""Maps out of layers, as leaves of the graph, without a trace left on the module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from cnnexplain.engine.ending_rules import is_dense
from cnnexplain.errors import LayerError

HINT = "name a layer whose output has height and width; leave --layer out to have one chosen"
CHANNELS_FIRST = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.BatchNorm2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.MaxPool2d,
)
CHANNELS_LAST = (nn.LayerNorm, nn.Linear)
ASPECT_SLACK = 1  # cells, from rounding


@contextmanager
def capture(
    module: nn.Module, layers: Mapping[str, nn.Module], input_size: tuple[int, int]
) -> Iterator[dict[str, Tensor]]:
    """Collect the output of each named layer during one forward of `module` in the `with` block: (N, C, h, w).

    Where nothing before a layer needs gradients its output becomes a leaf, so that autograd records only what
    comes after. What goes on downstream is a copy: a later in-place operation cannot reach the captured map.
    A layer that is run several times keeps its last map; what it does to pooled values after that is left alone.
    """
    maps: dict[str, Tensor] = {}
    pictures: list[int] = []  # how many went in

    def count(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and not pictures:  # a module that calls itself does so with whatever it likes
            pictures.append(len(arguments[0]))

    handles = [module.register_forward_pre_hook(count)]
    try:
        for name, layer in layers.items():
            handles.append(layer.register_forward_hook(_keeper(name, maps, pictures, input_size)))
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def map_layout(
    shape: tuple[int, ...], input_size: tuple[int, int], layer: nn.Module | None = None
) -> str | None:
    """How an output of `shape` is laid out: "NCHW", "NHWC", or None where it is not a map of the picture.

    `input_size` is (height, width). Convolutional networks keep the aspect ratio to within a cell, but for what
    convolutions without padding cut off; this tells rows and columns from channels, and maps from attention
    heads. Where the kind of `layer` says it, that decides; otherwise an output that reads both ways is NCHW.
    """
    if len(shape) != 4 or 0 in shape:
        return None
    _, a, b, c = shape
    errors = {
        "NCHW": 0 if _is_cut(b, c, input_size) else _distortion(b, c, input_size),
        "NHWC": _distortion(a, b, input_size),
    }
    layout = min(errors, key=errors.__getitem__)
    if isinstance(layer, CHANNELS_FIRST):
        layout = "NCHW"
    elif type(layer) in CHANNELS_LAST:  # not those derived from them, which may do as they like
        layout = "NHWC"
    return layout if errors[layout] <= ASPECT_SLACK else None


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


def _keeper(name: str, maps: dict[str, Tensor], pictures: list[int], input_size: tuple[int, int]) -> Any:
    def keep(layer: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Tensor | None:
        try:
            layout = layout_of(name, layer, output, pictures[0], input_size)
        except LayerError:
            if name in maps:
                return None
            raise
        last = layout == "NHWC"
        as_map: Tensor = output.permute(0, 3, 1, 2) if last else output
        if name in maps and as_map.shape[2:].numel() == 1:
            return None
        if not as_map.requires_grad:
            as_map = as_map.detach().requires_grad_()
        maps[name] = as_map
        return (as_map.permute(0, 2, 3, 1) if last else as_map).clone()

    return keep


def layout_of(name: str, layer: nn.Module, output: Any, pictures: int, input_size: tuple[int, int]) -> str:
    """How the output of a layer that was named is laid out, "NCHW" or "NHWC"; `LayerError` where it is no map."""
    if not is_dense(output):
        kind = "nested or sparse tensor" if isinstance(output, Tensor) else type(output).__name__
        raise LayerError(f"layer {name!r} returns a {kind}, not one map per picture", HINT)
    if output.ndim != 4:
        what = {2: "a vector", 3: "a sequence of tokens"}.get(output.ndim, "no map")
        raise LayerError(
            f"layer {name!r} returns {what} of shape {tuple(output.shape[1:])} per picture", HINT
        )
    if output.shape[0] != pictures:
        raise LayerError(
            f"layer {name!r} works on pieces of pictures: {output.shape[0]} come out for {pictures} in all",
            HINT,
        )
    layout = map_layout(tuple(output.shape), input_size, layer)
    if layout is None:
        raise LayerError(
            f"layer {name!r} returns {tuple(output.shape[1:])} per picture, which is no map of an input of "
            f"{input_size[0]}x{input_size[1]}",
            HINT,
        )
    return layout
