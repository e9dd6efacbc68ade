"""Maps out of layers, as leaves of the graph, without a trace left on the module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from cnnexplain.errors import LayerError

HINT = "name a layer whose output has height and width; leave --layer out to have one chosen"
ASPECT_SLACK = 1  # cells, from rounding


@contextmanager
def capture(layers: Mapping[str, nn.Module], input_size: tuple[int, int]) -> Iterator[dict[str, Tensor]]:
    """Collect the output of each named layer during one forward inside the `with` block, as (N, C, h, w).

    Where nothing before a layer needs gradients its output becomes a leaf, so that autograd records only what
    comes after. What goes on downstream is a copy: a later in-place operation cannot reach the captured map.
    A layer that is run several times keeps its last output.
    """
    maps: dict[str, Tensor] = {}
    handles = [layer.register_forward_hook(_keeper(name, maps, input_size)) for name, layer in layers.items()]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def map_layout(shape: tuple[int, ...], input_size: tuple[int, int]) -> str | None:
    """How an output of `shape` is laid out: "NCHW", "NHWC", or None where it is not a map of the picture.

    `input_size` is (height, width). Convolutional networks keep the aspect ratio to within a cell, which
    tells rows and columns from channels, and maps from attention heads. An output that reads both ways is NCHW.
    """
    if len(shape) != 4 or 0 in shape:
        return None
    _, a, b, c = shape
    aspect = input_size[0] / input_size[1]
    errors = {"NCHW": abs(b - c * aspect) / max(1, aspect), "NHWC": abs(a - b * aspect) / max(1, aspect)}
    layout = min(errors, key=errors.__getitem__)
    return layout if errors[layout] <= ASPECT_SLACK else None


def _keeper(name: str, maps: dict[str, Tensor], input_size: tuple[int, int]) -> Any:
    def keep(_module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Tensor:
        checked = _checked(name, output, arguments)
        layout = map_layout(tuple(checked.shape), input_size)
        if layout is None:
            raise LayerError(
                f"layer {name!r} returns {tuple(checked.shape[1:])} per picture, which is no map of an input of "
                f"{input_size[0]}x{input_size[1]}",
                HINT,
            )
        last = layout == "NHWC"
        as_map = checked.permute(0, 3, 1, 2) if last else checked
        if not as_map.requires_grad:
            as_map = as_map.detach().requires_grad_()
        maps[name] = as_map
        return (as_map.permute(0, 2, 3, 1) if last else as_map).clone()

    return keep


def _checked(name: str, output: Any, arguments: tuple[Any, ...]) -> Tensor:
    if not isinstance(output, Tensor):
        raise LayerError(f"layer {name!r} returns a {type(output).__name__}, not one map per picture", HINT)
    if output.ndim != 4:
        what = {2: "a vector", 3: "a sequence of tokens"}.get(output.ndim, "no map")
        raise LayerError(
            f"layer {name!r} returns {what} of shape {tuple(output.shape[1:])} per picture", HINT
        )
    given = next((argument for argument in arguments if isinstance(argument, Tensor)), None)
    if given is not None and given.ndim == 4 and given.shape[0] != output.shape[0]:
        raise LayerError(
            f"layer {name!r} cuts pictures into pieces: {given.shape[0]} go in, {output.shape[0]} come out",
            HINT,
        )
    return output
