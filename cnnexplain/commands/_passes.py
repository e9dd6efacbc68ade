"""Scores and gradients of many inputs made out of each image, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.formulas.gradients import Evaluate, Inputs
    from cnnexplain.formulas.integrated import Between


def evaluator(model: Model, target: Target) -> Evaluate:
    """What formulas ask for scores and gradients of a target, at their inputs."""
    from cnnexplain.engine.scoring.scores import score_of
    from cnnexplain.engine.streams import over

    def evaluate(rows: int, inputs: Inputs) -> Iterator[tuple[range, Tensor, Tensor]]:
        def work(own: Model, chunk: range) -> tuple[Tensor, Tensor]:
            copies, image = inputs(chunk)
            pixels = copies.detach().requires_grad_()
            scores = score_of(own.require_count(own.forward(pixels.clone(), to_input=True)), target, image)
            return scores.detach(), own.gradient_to_input(scores, pixels)

        for chunk, (scores, gradients) in over(model, rows, work, _size(model)):
            yield chunk, scores, gradients

    return evaluate


def secants(model: Model, target: Target) -> Between:
    """What integrated gradients ask for gradients of a target averaged between neighbouring inputs.

    It raises `UnknownSlopeError` where the model does what `Secants` does not know.
    """
    from cnnexplain.engine.backward.secants import averaged
    from cnnexplain.engine.streams import over

    def between(rows: int, nodes: Inputs) -> Iterator[tuple[range, Tensor]]:
        def work(own: Model, chunk: range) -> Tensor:
            inputs, image = nodes(range(chunk.start, chunk.stop + 1))
            return averaged(own, inputs, target, image)

        yield from over(model, rows, work, _size(model))

    return between


def _size(model: Model) -> float:
    """How many times an input of 224x224 one of a model is."""
    height, width = model.preprocess.input_size
    return height * width / 224**2
