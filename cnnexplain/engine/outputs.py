"""What layers give back, maps or single values, without gradients and without a trace left on the module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnexplain.engine.capture import (
    CapturedLayer,
    Grids,
    as_floats,
    counted,
    layout_of,
    map_layout,
    note_grid,
)
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.errors import LayerError

# Tokens before those of the picture: none, a class token, one for distillation too, or four registers.
EXTRA_TOKENS = (0, 1, 2, 4, 5)

Size = tuple[int, int]
# What is kept of a layer's output, by the layer's name and the values: maps (N, C, h, w), or one value a unit (N, K).
Take = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Output:
    """What a layer gave back for a batch: maps (N, C, h, w), or one value a unit (N, K); float32, a copy.

    Or whatever else was taken of them.
    """

    values: Tensor
    extra: int = 0  # tokens that stand for no place of the picture, and were left out
    runs: int = 1  # how often the module was run for one batch
    run: int = 1  # which of these runs this is


def copied(_name: str, values: Tensor) -> Tensor:
    """A copy, float32, which no later in-place operation can reach."""
    return values.to(torch.float32, copy=True)


@contextmanager
def outputs(
    module: nn.Module,
    layers: Mapping[str, CapturedLayer],
    input_size: Size,
    grids: Collection[Size],
    known: Grids = (),
    take: Take = copied,
) -> Iterator[dict[str, Output]]:
    """Collect what each named layer gives back during one forward of `module` in the `with` block.

    `grids` are the sizes of the maps that the model has, by which tokens are told from channels, `known` those of
    layers whose kind says how they are laid out (see `map_layout`). Of a module that
    is run several times the last map is kept, or where there is none the last vector. What cannot be shown is a
    `LayerError` when the block ends. `take` is called when a layer has run, before the model goes on.
    """
    shown: dict[str, Output] = {}
    refused: dict[str, LayerError] = {}
    calls: Counter[str] = Counter()

    def read(name: str, layer: nn.Module, output: Any) -> Output | None:
        if layers[name].run not in (None, calls[name]):
            return None
        try:
            return _read(layers[name].name, layer, output, pictures[0], input_size, grids, known)
        except LayerError as error:
            refused[name] = error
            return None

    def keep(name: str, layer: nn.Module, _arguments: Any, output: Any) -> None:
        calls[name] += 1
        runs, earlier, latest = calls[name], shown.get(name), read(name, layer, output)
        if latest and not (earlier and earlier.values.ndim > latest.values.ndim):
            with torch.inference_mode(False):
                values = take(name, latest.values.detach())
            shown[name] = replace(latest, values=values, run=runs, runs=runs)
        elif earlier:
            shown[name] = replace(earlier, runs=runs)

    modules = [(name, layer.module) for name, layer in layers.items()]
    with counted(module) as pictures, hooked(modules, after=keep), torch.no_grad():
        yield shown
    for name in layers:
        if name not in shown and name in refused:
            raise refused[name]


@contextmanager
def attached(
    module: nn.Module, layer: CapturedLayer, input_size: Size, grids: Collection[Size], known: Grids
) -> Iterator[list[Tensor]]:
    """The output of one run of a layer inside the block, attached to the graph: maps (N, C, h, w), or (N, K).

    Arguments are those of `outputs`; the layer says which run.

    Raises:
        LayerError: What the layer gives back is neither.
    """
    shown: list[Tensor] = []
    calls = Counter[str]()

    def keep(name: str, of_run: nn.Module, _arguments: Any, output: Any) -> None:
        calls[name] += 1
        if calls[name] == layer.run:
            shown.append(_read(name, of_run, output, pictures[0], input_size, grids, known).values)

    with counted(module) as pictures, hooked([(layer.name, layer.module)], after=keep):
        yield shown


def _read(
    name: str,
    layer: nn.Module,
    output: Any,
    pictures: int,
    input_size: Size,
    grids: Collection[Size],
    known: Grids,
) -> Output:
    """A layer's output as maps or vectors; `LayerError` where it is neither."""
    output = as_floats(output) if isinstance(output, Tensor) else output
    if is_dense(output) and output.shape[:1] == (pictures,):
        if not output.is_floating_point():
            raise LayerError(
                f"layer {name!r} returns {str(output.dtype).removeprefix('torch.')}, not activations",
                "name a layer that returns floating-point numbers",
            )
        if output.ndim in (1, 2) and output.numel():
            return Output(output.reshape(pictures, -1))
        # What a `Flatten` returns is channels by places, the other way round.
        if output.ndim == 3 and output.numel() and not isinstance(layer, nn.Flatten):
            return _of_tokens(name, output, grids)
    last = layout_of(name, layer, output, pictures, input_size, known) == "NHWC"
    as_map: Tensor = output.permute(0, 3, 1, 2) if last else output
    return Output(as_map.flatten(1) if as_map.shape[2:].numel() == 1 else as_map)


def _of_tokens(name: str, output: Tensor, grids: Collection[Size]) -> Output:
    """Tokens (N, T, C) as a map where T is the number of cells of one that the model has."""
    pictures, tokens, channels = output.shape
    if tokens == 1:
        return Output(output[:, 0])
    for extra in EXTRA_TOKENS:
        fits = {grid for grid in grids if grid[0] * grid[1] == tokens - extra > 1}
        if len(fits) == 1:
            ((rows, columns),) = fits
            on_grid = output[:, extra:].transpose(1, 2).reshape(pictures, channels, rows, columns)
            return Output(on_grid, extra)
    raise LayerError(
        f"layer {name!r} returns a sequence of {tokens} tokens, and no map of the model says how they lie on the "
        "picture",
        "name a layer whose output has height and width, or one behind the pooling",
    )


@dataclass(frozen=True)
class Broken:
    """A layer whose output for one picture is not finite everywhere."""

    layer: str
    nan: bool  # or else infinite
    count: int  # how many of all its values
    total: int
    channels: tuple[int, ...]  # which ones, where the output is a map


def first_broken(
    module: nn.Module, forward: Callable[[Tensor], Tensor], inputs: Tensor
) -> list[Broken | None]:
    """For each picture of `inputs` the first layer whose output is not finite everywhere; None where no layer's is.

    Costs one forward pass. Leaves no hook behind.
    """
    first: list[Broken | None] = [None] * len(inputs)
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))
    grids: set[Size] = set()

    def note(name: str, layer: nn.Module, _arguments: Any, output: Any) -> None:
        if not is_dense(output) or output.shape[:1] != (len(inputs),):
            return
        note_grid(output.shape, layer, grids)
        if bool(output.isfinite().all()):
            return
        layout = map_layout(tuple(output.shape), size, layer, grids)
        for row, values in enumerate(output):
            if first[row] is None and not bool(values.isfinite().all()):
                first[row] = _broken(name, values, layout)

    with hooked(submodules(module), after=note), torch.no_grad():
        forward(inputs.clone())
    return first


def _broken(name: str, values: Tensor, layout: str | None) -> Broken:
    bad = ~values.isfinite()
    channels: tuple[int, ...] = ()
    if layout:
        hit = bad.any(2).any(1) if layout == "NCHW" else bad.any(0).any(0)
        channels = tuple(hit.nonzero()[:, 0].tolist())
    return Broken(name, bool(values.isnan().any()), int(bad.sum()), values.numel(), channels)
