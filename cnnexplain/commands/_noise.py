"""Gradients of noisy copies of each picture: their mean and their variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.commands._passes import at_each

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
        picture = torch.tensor([row % len(inputs) for row in rows], device=inputs.device)
        numbers = [row // len(inputs) for row in rows]
        drawn = {number: _noise(model.seed, number, inputs) for number in set(numbers)}
        noises = torch.stack([drawn[number] for number in numbers])
        return inputs[picture] + deviation[picture] * noises, picture

    def take(rows: range, _score: Tensor, gradients: Tensor) -> None:
        # Welford's way, so that a small variance does not drown in large squares.
        for row, gradient in zip(rows, gradients, strict=True):
            picture = row % len(inputs)
            seen[picture] += 1
            change = gradient - mean[picture]
            mean[picture] += change / seen[picture]
            squares[picture] += change * (gradient - mean[picture])

    at_each(model, index, samples * len(inputs), make, take)
    return mean, squares / samples


def _noise(seed: int, sample: int, inputs: Tensor) -> Tensor:
    """Standard normal noise (C, H, W) that depends on nothing but the seed and the sample's number."""
    import numpy as np
    import torch

    generator = np.random.default_rng((seed, sample))
    drawn = generator.standard_normal(inputs.shape[1:], dtype=np.float32)
    return torch.from_numpy(drawn).to(inputs)
