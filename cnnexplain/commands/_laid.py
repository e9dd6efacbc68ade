"""Maps of any method where they lie on the model's input, and on one grid of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.core.results.map import SIGNLESS, Heatmap
from cnnexplain.formulas.faithfulness import coarse
from cnnexplain.formulas.layers import enlarged

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands._randomised import Maps
    from cnnexplain.core.explanation import Batch


def on_input(heatmap: Heatmap, image: Batch) -> Tensor | None:
    """A map (H, W) where it lies on the model's input, zero around it; None where its place is not known.

    Where neither sign speaks for the class, the size of the values.
    """
    import torch

    if not heatmap.placed:
        return None
    size = (image.inputs.shape[2], image.inputs.shape[3])
    left, top, right, bottom = image.geometry(0).box
    box = heatmap.geometry.box
    across = [(edge - left) / (right - left) for edge in box[0::2]]
    down = [(edge - top) / (bottom - top) for edge in box[1::2]]
    values = torch.from_numpy(heatmap.values).float()
    values = values.abs() if heatmap.scale in SIGNLESS else values
    if tuple(values.shape) == size and heatmap.geometry == image.geometry(0):
        return values
    # A canvas with room for what reaches beyond the input, which is cut off again.
    before, after = (min(0.0, down[0]), min(0.0, across[0])), (max(1.0, down[1]), max(1.0, across[1]))
    high, wide = (last - first for first, last in zip(before, after, strict=True))
    canvas = (round(high * size[0]), round(wide * size[1]))
    part = (
        (across[0] - before[1]) / wide,
        (down[0] - before[0]) / high,
        (across[1] - before[1]) / wide,
        (down[1] - before[0]) / high,
    )
    y, x = round(-before[0] * size[0]), round(-before[1] * size[1])
    return enlarged(values[None], canvas, part)[0, 0, y : y + size[0], x : x + size[1]]


def on_cells(laid: Tensor | None, cells: int) -> Tensor | None:
    """A map (H, W) on at most so many cells a side, their means; None as it is."""
    return None if laid is None else coarse(laid[None], cells)[0]


def again_on_cells(heatmap: Heatmap, maps: Maps, image: Batch, cells: int) -> Tensor | None:
    """What another run made of a map, on the cells; None where it made nothing."""
    other = maps.get((heatmap.method, heatmap.layer))
    laid = None if other is None else on_input(other, image)
    return on_cells(laid, cells)
