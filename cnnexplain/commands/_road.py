"""ROAD: what the score loses when cells are removed without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnexplain.commands._copies import class_values
from cnnexplain.formulas.faithfulness import masks
from cnnexplain.formulas.imputation import noisy_linear

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model

TOLERANCE = 3e-3  # of the equations: what is left of them is far smaller than the noise


def road(
    model: Model,
    image: Batch,
    orders: Sequence[Tensor],
    shape: tuple[int, int],
    shares: Sequence[float],
    index: Tensor,
    score: str,
) -> list[float]:
    """Of each order of the cells: half of what the score is higher where the least marked cells are removed first.

    Rong et al. 2022 (arXiv:2202.00449): the mean over the shares of the cells of (least first - most first) / 2.

    Args:
        model: The model. Called inside `borrowed()`.
        image: The image, as a batch of one.
        orders: The cells, the most marked first, (h * w,) each.
        shape: Rows and columns of the cells.
        shares: Of the cells, that are removed.
        index: The class (1,).
        score: `probability` or `logit`.

    Raises:
        ImageError: A score is not finite.
    """
    import torch
    import torch.nn.functional as F

    inputs = image.inputs
    scores: dict[tuple[int, ...], float] = {}  # maps that mark alike share one
    named = [tuple(cells.tolist()) for cells in orders]
    for name, cells in zip(named, orders, strict=True):
        if name in scores:
            continue
        removed = torch.cat([masks(order, shape, shares) for order in (cells, cells.flip(0))])
        removed = F.interpolate(removed[:, None], inputs.shape[2:], mode="nearest")[:, 0]
        generator = torch.Generator().manual_seed(model.seed)
        copies = noisy_linear(inputs[0], removed, generator=generator, tolerance=TOLERANCE).to(inputs)

        def some(rows: range, copies: Tensor = copies) -> Tensor:
            return copies[rows.start : rows.stop]

        values = class_values(model, inputs, len(copies), some, index, score)
        most_first, least_first = values.chunk(2)
        scores[name] = float((least_first - most_first).mean()) / 2
    return [scores[name] for name in named]
