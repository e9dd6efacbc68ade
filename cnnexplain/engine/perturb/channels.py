"""The scores of an image with channels of a layer's map set to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.engine.capture import layout_of
from cnnexplain.engine.trace.runs import named_layer

if TYPE_CHECKING:
    from cnnexplain.engine.perturb.scores import Perturbed

VALUES_AT_ONCE = 2**24  # of the layer's map, in all variants
FEWEST, MOST = 8, 512  # variants at once


def without_channels(perturbed: Perturbed, run: str, shape: tuple[int, int, int], scores: Tensor) -> Tensor:
    """The scores with one channel after another set to zero. Use it inside `borrowed()`.

    What comes before the layer is computed once for many channels, if the model's code allows it.

    Args:
        perturbed: The model and the image.
        run: The run of the layer, as `Model.capture` calls it: `features`, or `features #2`.
        shape: Channels, rows and columns (C, h, w) of its map.
        scores: The scores (K,) of the image as it is: what comes out must agree when nothing is set to zero.

    Returns:
        (C, K), float32.
    """
    model = perturbed.model
    layer = named_layer(model.module, run)
    count = shape[0]

    def maps(rows: range, own: Tensor) -> Tensor:
        layout = layout_of(layer.name, layer.module, own, 1, model.preprocess.input_size, model.trace.grids)
        kept = torch.arange(rows.start, rows.stop, device=own.device)[:, None] != torch.arange(
            count, device=own.device
        )
        here = kept[:, :, None, None] if layout == "NCHW" else kept[:, None, None, :]
        if not own.is_quantized:
            return own.where(here, 0)
        values = own.dequantize().where(here, 0)  # zero is one of the values that there are
        return torch.quantize_per_tensor(values, own.q_scale(), own.q_zero_point(), own.dtype)

    most = max(FEWEST, min(MOST, VALUES_AT_ONCE // (shape[0] * shape[1] * shape[2])))
    changed = perturbed.layer(
        run, maps, count + 1, scores=scores, most=most
    )  # the last one leaves all as it is
    return changed[:count]
