"""Scores and gradients of many inputs made out of each image, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.formulas.gradients import Evaluate, Inputs


def evaluator(model: Model, target: Target) -> Evaluate:
    """What formulas ask for scores and gradients of a target, at their inputs."""
    from cnnexplain.engine.scoring.scores import score_of

    def evaluate(rows: int, inputs: Inputs) -> Iterator[tuple[range, Tensor, Tensor]]:
        def work(chunk: range) -> tuple[Tensor, Tensor]:
            copies, image = inputs(chunk)
            pixels = copies.detach().requires_grad_()
            scores = score_of(model.require_count(model.forward(pixels.clone())), target, image)
            return scores.detach(), model.gradient_to_input(scores, pixels)

        height, width = model.preprocess.input_size
        size = height * width / 224**2
        limit = 1 if model.chunks.alone else None
        for chunk, (scores, gradients) in model.chunks.over(rows, target.index.device, work, size, limit):
            yield chunk, scores, gradients

    return evaluate
