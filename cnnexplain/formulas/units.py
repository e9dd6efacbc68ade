"""How a unit fires over many pictures: sparseness, selectivity, and which units fire alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["activation_correlations", "sparseness", "top_share"]

TINY = 1e-12  # of a unit's own scale: what varies less does not vary


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


def activation_correlations(activations: Tensor) -> Tensor:
    """Pearson's correlation of every two units over pictures, as Li et al. 2015 (arXiv:1511.07543) match units.

    Args:
        activations: (N, U), of U units for N pictures.

    Returns:
        (U, U), float64, from -1 to 1; 0 where one of the two is the same for all pictures.

    Example:
        >>> import torch
        >>> activation_correlations(torch.tensor([[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]])).round(decimals=4)
        tensor([[1., 1.],
                [1., 1.]], dtype=torch.float64)
    """
    values = activations.double()
    scale = values.abs().amax(0)
    centred = values - values.mean(0)
    length = centred.norm(dim=0)
    varies = length > TINY * scale
    unit = centred / length.where(varies, length.new_ones(()))
    unit = unit * varies
    products: Tensor = unit.T @ unit
    return products.clamp(-1, 1)
