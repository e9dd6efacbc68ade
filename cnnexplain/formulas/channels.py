"""Maps whose channels are weighted by what the score becomes with an image, or a layer's map, that was changed.

No gradient is needed. A formula takes `a`, the maps of a layer (N, C, h, w), and scores of the class, one for every
channel, and returns (N, h, w) before any rectification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ablation_scale",
    "ablationcam",
    "channel_masks",
    "scorecam",
    "scorecam_bound",
    "scorecam_turns",
]

SMALLEST_SCALE = 1e-3  # of the largest drop: what a score near zero is taken as


def ablationcam(a: Tensor, score: Tensor, without: Tensor) -> Tensor:
    """Desai & Ramaswamy 2020 (doi:10.1109/WACV45572.2020.9093360): channels weighted by what they are worth.

    A channel's weight is the share of the score that is lost when the channel is set to zero. What the drops are
    divided by is positive (see `ablation_scale`), so that a positive weight is that of a channel which speaks for
    the class, also where the score is negative.

    Args:
        a: The maps of a layer, (N, C, h, w).
        score: The score of the class, (N,).
        without: The score with each channel set to zero, (N, C).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a = torch.tensor([1.0, 2.0, 4.0, 0.0]).reshape(1, 2, 1, 2)
        >>> ablationcam(a, torch.tensor([4.0]), torch.tensor([[2.0, 5.0]]))
        tensor([[[-0.5000,  1.0000]]])
    """
    scale = ablation_scale(score, without)[:, None]
    drops = score[:, None] - without
    weights = (drops / scale).where(scale > 0, 0)
    return (weights[:, :, None, None] * a).sum(1)


def ablation_scale(score: Tensor, without: Tensor) -> Tensor:
    """What the drops of Ablation-CAM are divided by: the size of the score, but no less than a thousandth of a drop.

    Desai & Ramaswamy 2020 (doi:10.1109/WACV45572.2020.9093360) divide by the score, which they take to be positive. It
    is the same for all channels, and decides on nothing but the scale of the map.

    Args:
        score: The score of the class, (N,).
        without: The score with each channel set to zero, (N, C).

    Returns:
        (N,), positive; zero where the score is zero and nothing changes it.

    Example:
        >>> import torch
        >>> ablation_scale(torch.tensor([-4.0]), torch.tensor([[-2.0, -5.0]]))
        tensor([4.])
    """
    import torch

    largest = (score[:, None] - without).abs().amax(1)
    return torch.maximum(score.abs(), SMALLEST_SCALE * largest)


def scorecam(a: Tensor, scores: Tensor) -> Tensor:
    """Wang et al. 2020 (arXiv:1910.01279): channels weighted by how well they do as masks of the image.

    The weights are the softmax over channels of the scores; subtracting that of a baseline, as the paper does, leaves
    them as they are.

    Args:
        a: The maps of a layer, (N, C, h, w).
        scores: The score of the class of the image under each channel's mask (see `channel_masks`), (N, C). Minus
            infinity for a channel that has no part in the map; at least one channel has.

    Returns:
        (N, h, w): before the paper's rectification.

    Example:
        >>> import torch
        >>> a = torch.tensor([1.0, 2.0, 4.0, 0.0]).reshape(1, 2, 1, 2)
        >>> scorecam(a, torch.tensor([[0.0, 0.0]]))
        tensor([[[2.5000, 1.0000]]])
    """
    return (scores.softmax(1)[:, :, None, None] * a).sum(1)


def scorecam_bound(a: Tensor, scores: Tensor, asked: Tensor) -> Tensor:
    """By how much the map of Wang et al. 2020 (arXiv:1910.01279) can be off where scores are estimated, in any cell.

    Let w be the weights by the scores, estimated ones included. If no channel r that was not asked scores higher or
    lower than all of those that were, its weight lies between min(w) and max(w), those of the asked channels; so, but
    for the map's scale, no cell is off by more than max_ij sum_r max(max(w) - w_r, w_r - min(w)) |A_r,ij|.

    Args:
        a: The maps of a layer, (N, C, h, w).
        scores: As of `scorecam`, (N, C).
        asked: (N, C), bool: which of the scores are the model's; the others are estimates.

    Returns:
        (N,): that bound as a share of the map's range; 0 where every channel was asked. Infinite where the map is the
        same everywhere.

    Example:
        >>> import torch
        >>> a = torch.tensor([0.0, 2.0, 0.1, 0.0, 0.0, 2.0]).reshape(1, 3, 1, 2)
        >>> scorecam_bound(a, torch.zeros(1, 3), torch.tensor([[True, False, True]]))
        tensor([0.])
    """
    import torch

    weights = scores.softmax(1)
    left_out = ~(asked | scores.isneginf())
    least = weights.where(asked, torch.inf).amin(1, keepdim=True)
    most = weights.where(asked, -torch.inf).amax(1, keepdim=True)
    off = torch.maximum(most - weights, weights - least).clamp_min(0).where(left_out, 0)
    most_off = (off[:, :, None, None] * a.abs()).sum(1).amax((1, 2))
    made = scorecam(a, scores)
    return (most_off / (made.amax((1, 2)) - made.amin((1, 2)))).where(left_out.any(1), 0)


def scorecam_turns(a: Tensor, scores: Tensor) -> Tensor:
    """How far the score of each channel turns the map of Wang et al. 2020 (arXiv:1910.01279) away from itself.

    The derivative of the map M by a score, w_k (A_k - M), less its mean over cells and what only changes the map's
    scale, beside the size of M less its mean. If scores are off by e_k, the map correlates with the right one by
    1 / sqrt(1 + |sum_k e_k t_k|^2), to first order.

    Args:
        a: The maps of a layer, (N, C, h, w).
        scores: As of `scorecam`, (N, C).

    Returns:
        t (N, C, h * w); infinite where the map is the same everywhere.

    Example:
        >>> import torch
        >>> a = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 2.0]).reshape(1, 2, 1, 3)
        >>> turns = scorecam_turns(a, torch.zeros(1, 2))
        >>> bool(torch.allclose(turns.sum(1), torch.zeros(3), atol=1e-6))
        True
    """
    import torch

    centred = a.flatten(2) - a.flatten(2).mean(2, keepdim=True)
    parts = scores.softmax(1)[:, :, None] * centred
    made = parts.sum(1, keepdim=True)
    size = made.norm(dim=2, keepdim=True)
    turns: Tensor = (parts - (parts @ made.mT / size**2) * made) / size
    return turns.where(size > 0, torch.inf)


def channel_masks(a: Tensor, size: tuple[int, int]) -> Tensor:
    """Channels as masks of an image: enlarged to its size and scaled to 0..1.

    Wang et al. 2020 (arXiv:1910.01279).

    Args:
        a: Channels of a layer's map, (C, h, w), none of which is the same everywhere.
        size: Height and width of the image.

    Returns:
        (C, height, width), from 0 to 1.

    Example:
        >>> import torch
        >>> channel_masks(torch.tensor([[[1.0, 3.0]]]), (1, 4))
        tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    from torch.nn.functional import interpolate

    large = interpolate(a[:, None], size=size, mode="bilinear")[:, 0]
    least, most = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    return (large - least) / (most - least)
