"""Gradients of many pictures made out of each one, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def at_each(
    model: Model,
    index: Tensor,
    rows: int,
    make: Callable[[range], tuple[Tensor, Tensor]],
    take: Callable[[range, Tensor, Tensor], None],
) -> None:
    """Score and gradient of many inputs, in chunks that fit into memory.

    For a range of rows `make` returns their inputs (n, C, H, W) and the numbers (n,) of the pictures that they were
    made of, whose class is in `index` (N,); `take` gets the range, the scores (n,) and the gradients (n, C, H, W).
    """

    def work(chunk: range) -> tuple[Tensor, Tensor]:
        made, picture = make(chunk)
        pixels = made.detach().requires_grad_()
        score = model.score(model.forward(pixels.clone()), index[picture])
        return score.detach(), model.gradient_to_input(score, pixels)

    height, width = model.preprocess.input_size
    size = height * width / 224**2
    most = 1 if model.chunks.alone else None
    for chunk, (scores, gradients) in model.chunks.over(rows, index.device, work, size, most):
        take(chunk, scores, gradients)
