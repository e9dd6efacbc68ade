"""Maps that know nothing of a model, beside which the scores of other maps mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["centred", "edges"]


def edges(images: Tensor) -> Tensor:
    """Where an image changes most from pixel to pixel: the length of Sobel's gradient of the mean of its channels.

    An edge detector, which looks like many maps and knows no model (Adebayo et al. 2018, arXiv:1810.03292).

    Args:
        images: (N, C, H, W), of any precision.

    Returns:
        (N, H, W), float32, never negative; the pixels at the edge of the image are repeated beyond it.

    Example:
        >>> import torch
        >>> edges(torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4))[0, 1]
        tensor([0., 4., 4., 0.])
    """
    import torch.nn.functional as F

    grey = F.pad(images.float().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")[:, 0]
    across, down = grey[:, :, 2:] - grey[:, :, :-2], grey[:, 2:] - grey[:, :-2]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return (across.square() + down.square()).sqrt()


def centred(height: int, width: int) -> Tensor:
    """How near each place is to the middle, by a Gaussian of half the sides: what people photograph is mostly there.

    The guess at the centre that maps are held against in the pointing game (Zhang et al. 2016, arXiv:1608.00507).

    Args:
        height: Rows.
        width: Columns.

    Returns:
        (height, width), float32, at most 1.

    Example:
        >>> centred(1, 3)
        tensor([[0.4111, 1.0000, 0.4111]])
    """
    import torch

    down, across = (
        ((torch.arange(length) + 0.5) / length * 2 - 1).square() * 2 for length in (height, width)
    )
    return torch.exp(-(down[:, None] + across[None, :]))
