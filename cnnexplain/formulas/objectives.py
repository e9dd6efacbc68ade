"""What a synthesised picture shall make large: one number for each picture, out of a layer's maps or of scores.

Objectives add up, and a minus before one asks for the opposite: `channel_objective(a, 3) - unit_objective(a, 7)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "channel_objective",
    "class_objective",
    "direction_objective",
    "diversity_objective",
    "unit_objective",
]


def unit_objective(maps: Tensor, channel: int, cell: tuple[int, int] | None = None) -> Tensor:
    """The activation of one unit: of a channel at one place of the map.

    Erhan et al. 2009, "Visualizing higher-layer features of a deep network"; the neuron of Olah, Mordvintsev &
    Schubert 2017 (doi:10.23915/distill.00007).

    Args:
        maps: (N, C, h, w), or (N, C) of a layer without places.
        channel: From 0.
        cell: Row and column; left out, the middle of the map.

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> unit_objective(torch.arange(9.0).reshape(1, 1, 3, 3), 0).tolist()
        [4.0]
    """
    if maps.ndim == 2:
        return maps[:, channel]
    row, column = cell or (maps.shape[2] // 2, maps.shape[3] // 2)
    return maps[:, channel, row, column]


def channel_objective(maps: Tensor, channel: int) -> Tensor:
    """The mean activation of a channel over all places.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007).

    Args:
        maps: (N, C, h, w), or (N, C) of a layer without places.
        channel: From 0.

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> channel_objective(torch.arange(9.0).reshape(1, 1, 3, 3), 0).tolist()
        [4.0]
    """
    return maps[:, channel].flatten(1).mean(1) if maps.ndim > 2 else maps[:, channel]


def class_objective(scores: Tensor, index: int) -> Tensor:
    """The score of a class before the softmax, which would also grow where other classes lose.

    Simonyan, Vedaldi & Zisserman 2013 (arXiv:1312.6034), section 2.

    Args:
        scores: (N, K), logits.
        index: Of the class, from 0.

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> class_objective(torch.tensor([[1.0, 3.0]]), 1).tolist()
        [3.0]
    """
    return scores[:, index]


def direction_objective(maps: Tensor, direction: Tensor) -> Tensor:
    """The mean over all places of how far activations go in a direction of the space of channels.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007). A direction along one axis is a channel; with
    several entries channels add up, and those with a minus are avoided.

    Args:
        maps: (N, C, h, w), or (N, C) of a layer without places.
        direction: (C,), or (N, C) with one for each picture.

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> maps = torch.tensor([[1.0, 5.0, 2.0]])
        >>> direction_objective(maps, torch.tensor([1.0, 0.0, -1.0])).tolist()
        [-1.0]
    """
    means = maps.flatten(2).mean(2) if maps.ndim > 2 else maps
    return (means * direction).sum(1)


def diversity_objective(maps: Tensor, together: int) -> Tensor:
    """How little pictures of the same target resemble each other: minus the mean cosine of their Gram matrices.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007), after Gatys et al. 2015 (arXiv:1508.06576).

    Args:
        maps: (N, C, h, w), of which each `together` in a row are of one target.
        together: How many pictures a target has; N is a multiple of it.

    Returns:
        (N,), from -1, where all are alike, upwards; 0 of a picture alone.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 0.0]])[:, :, None, None]
        >>> diversity_objective(maps, 2).tolist()
        [-0.0, -0.0, -1.0, -1.0]
    """
    import torch

    flat = maps.flatten(2) if maps.ndim > 2 else maps[:, :, None]
    grams = torch.einsum("nip,njp->nij", flat, flat).flatten(1)
    grams = torch.nn.functional.normalize(grams, dim=1).view(-1, together, grams.shape[1])
    alike = torch.einsum("tik,tjk->tij", grams, grams)
    alike = alike.sum(2) - alike.diagonal(dim1=1, dim2=2)
    return -(alike / max(1, together - 1)).flatten()
