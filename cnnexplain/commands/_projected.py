"""What single units of a layer see in one picture, and what of it counted: one pass, and one back for each unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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


def projected(
    model: Model, batch: Batch, layer: str, units: Sequence[tuple[int, int | None, bool]], rule: str
) -> Iterator[Reconstruction]:
    """Yield what units of a layer see in a picture, one after another; see `UnitAtlas.projected`.

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
        run_head(model, pixels.clone(), (layer,))
    (maps,) = captured.values()
    if rectifiers is not None:
        rectifiers.use(cast("Rule", rule))
    height, width = (int(side) for side in pixels.shape[2:])
    size = (int(maps.shape[2]), int(maps.shape[3]))
    field, laying = model.field(layer), model.runs.laying(layer)
    for channel, place, wanted in units:
        own = maps.detach()[0, channel].float().flatten()
        cell = divmod(int(own.argmax()) if place is None else place, size[1])
        activation = float(own[cell[0] * size[1] + cell[1]])
        box = field.box(cell, (height, width))
        values = None
        if wanted and activation > 0:
            values = _back(model, maps[:, channel, cell[0], cell[1]], pixels)[0]
            if not _holds(values, box):  # this picture went another way than the blank one
                box = (0, 0, width, height)
        left, top, right, bottom = box
        kept = (
            np.zeros((pixels.shape[1], bottom - top, right - left), np.float32)
            if values is None
            else values[:, top:bottom, left:right].cpu().numpy().copy()
        )
        yield Reconstruction(
            rule=rule,
            layer=layer,
            channel=channel,
            cell=cell,
            map_size=size,
            activation=activation,
            sees=box,
            values=kept,
            input_size=(height, width),
            geometry=batch.geometry(0),
            detail=obeyed(rectifiers),
            laying=laying,
        )


def _back(model: Model, score: Tensor, pixels: Tensor) -> Tensor:
    return model.gradient_to_input(score, pixels, keep_graph=True)


def _holds(values: Tensor, box: tuple[int, int, int, int]) -> bool:
    """Whether all that is not zero of (C, H, W) lies in the box."""
    left, top, right, bottom = box
    return bool(values[:, top:bottom, left:right].count_nonzero() == values.count_nonzero())
