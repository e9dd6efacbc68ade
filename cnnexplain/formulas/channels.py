"""Maps whose channels are weighted by what the score becomes with an image, or a layer's map, that was changed.

No gradient is needed. A formula takes `a`, the maps of a layer (N, C, h, w), and scores of the class, one for every
channel, and returns (N, h, w) before any rectification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ablation_scale", "ablationcam", "channel_masks", "scorecam", "scorecam_bound"]

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


def scorecam_bound(a: Tensor, scores: Tensor) -> Tensor:
    """By how much the map of Wang et al. 2020 (arXiv:1910.01279) could change if no channel were left out.

    Let w be the weights of the channels that were asked, and M their map. With all channels asked the map would be, but
    for its scale, M + sum_r u_r A_r, where r goes over those left out. If none of them scores more than the best of
    those that were asked, u_r <= max(w), and no cell changes by more than max(w) max_ij sum_r |A_r,ij|.

    Args:
        a: The maps of a layer, (N, C, h, w).
        scores: As of `scorecam`, minus infinity for channels that were left out, (N, C).

    Returns:
        (N,): that bound as a share of the map's range. Infinite where the map is the same everywhere.

    Example:
        >>> import torch
        >>> a = torch.tensor([0.0, 2.0, 0.1, 0.0]).reshape(1, 2, 1, 2)
        >>> scorecam_bound(a, torch.tensor([[1.0, -torch.inf]]))
        tensor([0.0500])
    """
    left_out = scores.isneginf()[:, :, None, None]
    rest = a.abs().where(left_out, 0).sum(1).amax((1, 2))
    asked = scorecam(a, scores)
    spread = asked.amax((1, 2)) - asked.amin((1, 2))
    return (scores.softmax(1).amax(1) * rest / spread).where(rest > 0, 0)


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
