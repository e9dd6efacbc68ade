"""FullGrad: a network of rectifiers as its input's gradient and those of all its biases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["full_gradient_sum", "fullgrad"]


def fullgrad(parts: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Srinivas & Fleuret 2019 (arXiv:1905.00780): sizes of all parts, each channel scaled to 0..1, added up.

    Args:
        parts: Input times gradient (N, C, H, W), and of every layer its bias times the gradient of what it returns,
            (N, c, h, w).
        size: Height and width of the map.

    Returns:
        (N, height, width), never negative: it says how much, and not for or against.

    Example:
        >>> import torch
        >>> part = torch.tensor([-2.0, 1.0, 0.0]).reshape(1, 1, 1, 3)
        >>> fullgrad([part, part], (1, 3))
        tensor([[[2., 1., 0.]]])
    """
    import torch
    from torch.nn.functional import interpolate

    total = parts[0].new_zeros((len(parts[0]), 1, *size))
    for part in parts:
        sizes = part.abs()
        least = sizes.amin((2, 3), keepdim=True)
        spread = sizes.amax((2, 3), keepdim=True) - least
        scaled = torch.where(spread > 0, (sizes - least) / spread, 0)
        # Enlarging is linear: the sum over channels is enlarged once.
        total = total + interpolate(scaled.sum(1, keepdim=True), size=size, mode="bilinear")
    return total[:, 0]


def full_gradient_sum(parts: Sequence[Tensor]) -> Tensor:
    """What the full gradient adds up to, which is the score: Srinivas & Fleuret 2019 (arXiv:1905.00780).

    f = x . df/dx + sum b . df/db, where a network is made of convolutions, linear layers, batch norms with fixed
    statistics, rectifiers and pooling alone.

    Args:
        parts: As of `fullgrad`, and those of layers without places (N, c).

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> full_gradient_sum([torch.ones(1, 1, 2, 2), torch.tensor([[0.5, -2.0]])])
        tensor([2.5000])
    """
    import torch

    return torch.stack([part.flatten(1).sum(1) for part in parts]).sum(0)
