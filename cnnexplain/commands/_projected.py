"""What single units of a layer see in one picture, and what of it counted: one pass, and as few back as boxes allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from cnnexplain.commands._rules import obeyed
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.engine.stopping import run_head

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.backward.rectifiers import Rule
    from cnnexplain.engine.model import Model

Box = tuple[int, int, int, int]  # left, top, right, bottom
OPEN = 64  # ways back that are looked at for room; of more the oldest are full, as good as ever


@dataclass(frozen=True)
class PlacedUnit:
    """A unit in a picture: its place among those that were asked for, its cell, and the box that this sees."""

    place: int
    channel: int
    cell: tuple[int, int]
    activation: float
    box: Box


def projected(
    model: Model, batch: Batch, layer: str, units: Sequence[tuple[int, int | None, bool]], rule: str
) -> Iterator[tuple[int, Reconstruction]]:
    """Yield what units of a layer see in a picture, by their places in `units`; see `UnitAtlas.projected`.

    Units whose boxes have no pixel in common share a way back: no cell on it belongs to two of them, so that each box
    holds what its unit alone would have brought there.

    Args:
        model: Is borrowed.
        batch: The picture alone.
        layer: Which one.
        units: Of each the channel, the cell counted row by row (None: where it is strongest), and whether it is
            projected back.
        rule: What rectifiers do on the way back.
    """
    back = any(wanted for _, _, wanted in units)
    pixels = batch.inputs.detach().requires_grad_(back)
    with ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(back))
        captured = stack.enter_context(model.capture(layer))
        rectifiers = stack.enter_context(model.rectifiers()) if back and rule != "gradient" else None
        run_head(model, pixels.clone(), (layer,), to_input=True)
    (maps,) = captured.values()
    if rectifiers is not None:
        rectifiers.use(cast("Rule", rule))
    height, width = (int(side) for side in pixels.shape[2:])
    laying = model.runs.laying(layer)

    def made(unit: PlacedUnit, box: Box, values: Tensor | None) -> tuple[int, Reconstruction]:
        return unit.place, Reconstruction(
            rule=rule,
            layer=layer,
            channel=unit.channel,
            cell=unit.cell,
            map_size=(int(maps.shape[2]), int(maps.shape[3])),
            activation=unit.activation,
            sees=box,
            values=_within(values, box, pixels.shape[1]),
            input_size=(height, width),
            geometry=batch.geometry(0),
            detail=obeyed(rectifiers),
            laying=laying,
        )

    waiting = []
    for unit in _placed(model, layer, maps.detach()[0], units, (height, width)):
        if units[unit.place][2] and unit.activation > 0:
            waiting.append(unit)
        else:
            yield made(unit, unit.box, None)
    ways = _ways(waiting)[::-1]
    while ways:
        way = ways.pop()
        here = torch.zeros_like(maps)  # which lies in memory as the maps do: the way back is faster so
        for unit in way:
            here[0, unit.channel, unit.cell[0], unit.cell[1]] = 1
        values = model.gradient_to_input((maps * here).flatten(1).sum(1), pixels, keep_graph=True)[0]
        fits = _hold(values, [unit.box for unit in way])
        if not fits and len(way) > 1:  # this picture went another way than the blank one
            ways += [[unit] for unit in reversed(way)]
            continue
        for unit in way:
            yield made(unit, unit.box if fits else (0, 0, width, height), values)


def _placed(
    model: Model,
    layer: str,
    maps: Tensor,
    units: Sequence[tuple[int, int | None, bool]],
    size: tuple[int, int],
) -> Iterator[PlacedUnit]:
    field, columns = model.field(layer), int(maps.shape[2])
    for place, (channel, cell, _) in enumerate(units):
        own = maps[channel].float().flatten()
        where = divmod(int(own.argmax()) if cell is None else cell, columns)
        activation = float(own[where[0] * columns + where[1]])
        yield PlacedUnit(place, channel, where, activation, field.box(where, size))


def _ways(units: Sequence[PlacedUnit]) -> list[list[PlacedUnit]]:
    """The units of each way back, which have no pixel in common: each in the first that has room for it."""
    ways: list[list[PlacedUnit]] = []
    for unit in units:
        room = (way for way in ways[-OPEN:] if not any(_meet(unit.box, other.box) for other in way))
        if (way := next(room, None)) is None:
            ways.append([unit])
        else:
            way.append(unit)
    return ways


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _hold(values: Tensor, boxes: Sequence[Box]) -> bool:
    """Whether all that is not zero of (C, H, W) lies in boxes, which have no pixel in common."""
    inside = (values[:, top:bottom, left:right].count_nonzero() for left, top, right, bottom in boxes)
    return bool(sum(map(int, inside)) == int(values.count_nonzero()))


def _within(
    values: Tensor | None, box: Box, channels: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    left, top, right, bottom = box
    if values is None:
        return np.zeros((channels, bottom - top, right - left), np.float32)
    kept: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (
        values[:, top:bottom, left:right].cpu().numpy().copy()
    )
    return kept
