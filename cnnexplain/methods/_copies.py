"""Gradients of many pictures made out of each one; here noisy copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def noisy(model: Model, inputs: Tensor, index: Tensor, samples: int, noise: float) -> tuple[Tensor, Tensor]:
    """Mean and variance (N, C, H, W each) of the gradient of class `index` (N,) over noisy copies of `inputs`.

    A sample's noise is the same for every picture but for its size, whatever pictures share a batch.
    """
    import torch

    low, high = inputs.flatten(1).amin(1), inputs.flatten(1).amax(1)
    deviation = (noise * (high - low))[:, None, None, None]
    mean = torch.zeros_like(inputs, dtype=torch.float32)
    squares = torch.zeros_like(mean)

    seen = [0] * len(inputs)

    def make(rows: range) -> tuple[Tensor, Tensor]:
        picture = torch.tensor([row // samples for row in rows], device=inputs.device)
        drawn = torch.stack([_noise(model.seed, row % samples, inputs) for row in rows])
        return inputs[picture] + deviation[picture] * drawn, picture

    def take(rows: range, _score: Tensor, gradients: Tensor) -> None:
        # Welford's way, so that a small variance does not drown in large squares.
        for row, gradient in zip(rows, gradients, strict=True):
            picture = row // samples
            seen[picture] += 1
            change = gradient - mean[picture]
            mean[picture] += change / seen[picture]
            squares[picture] += change * (gradient - mean[picture])

    at_each(model, index, samples * len(inputs), make, take)
    return mean, squares / samples


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

    def work(chunk: range) -> None:
        made, picture = make(chunk)
        pixels = made.detach().requires_grad_()
        score = model.score(model.forward(pixels.clone()), index[picture])
        take(chunk, score.detach(), model.gradient_to_input(score, pixels))

    model.chunks.over(rows, index.device, work)


def _noise(seed: int, sample: int, inputs: Tensor) -> Tensor:
    """Standard normal noise (C, H, W) that depends on nothing but the seed and the sample's number."""
    import numpy as np
    import torch

    generator = np.random.default_rng((seed, sample))
    drawn = generator.standard_normal(inputs.shape[1:], dtype=np.float32)
    return torch.from_numpy(drawn).to(inputs)
