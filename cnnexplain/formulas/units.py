"""How a unit fires over many pictures, what it matters for the score, and how much of its kernel is colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ablation_importance", "colour_share", "sparseness", "top_share"]


def ablation_importance(drops: Tensor) -> Tensor:
    """What a unit matters for the score: how much the score falls without it, in the mean over pictures.

    (1/N) sum_n (s(x_n) - s(x_n without the unit)), as Morcos et al. 2018 (arXiv:1803.06959) and, by class, Zhou et al.
    2018 (arXiv:1806.02891) set units to zero; they look at accuracy, which few units change. Positive where the unit
    speaks for the answer, negative where it speaks against it.

    Args:
        drops: (N, U), by how much the score of each of N pictures falls without each of U units; what is not finite is
            left out.

    Returns:
        (U,), float64; NaN where no drop is finite.

    Example:
        >>> import torch
        >>> ablation_importance(torch.tensor([[1.0, -2.0], [3.0, torch.nan]]))
        tensor([ 2., -2.], dtype=torch.float64)
    """
    finite = drops.isfinite()
    return drops.double().where(finite, 0).sum(0) / finite.sum(0)


def colour_share(kernels: Tensor) -> Tensor:
    """Which part of a kernel is colour, what differs from the mean of its colours, by the sum of squares.

    Krizhevsky et al. 2012 (doi:10.1145/3065386) found both kinds in a first layer, grey kernels and coloured ones.

    Args:
        kernels: (U, C, h, w), of U units that read C colours.

    Returns:
        (U,), float64, from 0, the same for all colours, to 1, where they cancel; NaN of kernels without weights.

    Example:
        >>> import torch
        >>> colour_share(torch.tensor([[1.0, 1.0], [1.0, -1.0]]).reshape(2, 2, 1, 1))
        tensor([0., 1.], dtype=torch.float64)
    """
    values = kernels.double()
    colours = values - values.mean(1, keepdim=True)
    return colours.square().sum((1, 2, 3)) / values.square().sum((1, 2, 3))


def sparseness(activations: Tensor) -> Tensor:
    """How sparsely units fire, by Treves and Rolls 1991 (doi:10.1088/0954-898X/2/4/004), scaled to 0 .. 1.

    (1 - mean(a)^2 / mean(a^2)) / (1 - 1/N) of the activations a, those below zero taken as zero. It is 0 where a unit
    fires alike for all pictures, 1 where it fires for one alone.

    Args:
        activations: (N, U), of U units for N pictures.

    Returns:
        (U,), float64; NaN of units that never fire, and where there is but one picture.

    Example:
        >>> import torch
        >>> sparseness(torch.tensor([[1.0, 4.0], [1.0, 0.0]]))
        tensor([0., 1.], dtype=torch.float64)
    """
    positive = activations.double().clamp(min=0)
    count = len(positive)
    ratio = positive.mean(0).square() / positive.square().mean(0)
    return (1 - ratio).clamp(min=0) / (1 - 1 / count)


def top_share(activations: Tensor, share: float = 0.005) -> Tensor:
    """What part of a unit's activation its strongest pictures hold, the top 0.5 % (Bau et al. 2017, arXiv:1704.05796).

    Args:
        activations: (N, U), of U units for N pictures; those below zero are taken as zero.
        share: Which part of the pictures is counted as the strongest; at least one picture is.

    Returns:
        (U,), float64, from 0 to 1; NaN of units that never fire.

    Example:
        >>> import torch
        >>> top_share(torch.tensor([[1.0, 3.0], [1.0, 1.0]]))
        tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    positive = activations.double().clamp(min=0)
    count = max(1, round(share * len(positive)))
    return positive.topk(count, dim=0).values.sum(0) / positive.sum(0)
