"""Steps of an ascent on pixels: where a picture may go, and what keeps it from becoming noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "in_ball",
    "moved_view",
    "small_contributions_removed",
    "small_norms_removed",
    "smoothed",
    "steepest_step",
]


def in_ball(pictures: Tensor, radius: float) -> Tensor:
    """The nearest pictures whose norm is at most a radius, so that activations cannot grow without bounds.

    Erhan et al. 2009, "Visualizing higher-layer features of a deep network", eq. 1; a step of projected gradients is
    from Goldstein 1964 (doi:10.1090/S0002-9904-1964-11178-2).

    Args:
        pictures: (N, C, H, W), with 0 for the middle of the ball.
        radius: Positive.

    Returns:
        (N, C, H, W).

    Example:
        >>> import torch
        >>> in_ball(torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2), 1.0).flatten().tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    norms = pictures.flatten(1).norm(dim=1)[:, None, None, None]
    inside: Tensor = pictures * (radius / norms.clamp(min=radius))
    return inside


def steepest_step(gradients: Tensor, length: float) -> Tensor:
    """The step of a given length along which each score rises most: the gradient, brought to that length.

    Goldstein 1964 (doi:10.1090/S0002-9904-1964-11178-2), in the Euclidean norm, after Cauchy.

    Args:
        gradients: (N, C, H, W).
        length: Of the step, in the Euclidean norm.

    Returns:
        (N, C, H, W); 0 where the gradient is 0.

    Example:
        >>> import torch
        >>> steepest_step(torch.tensor([0.0, -2.0]).reshape(1, 1, 1, 2), 0.5).flatten().tolist()
        [0.0, -0.5]
    """
    norms = gradients.flatten(1).norm(dim=1)[:, None, None, None]
    step: Tensor = gradients * (length / norms.clamp(min=1e-30))
    return step


def smoothed(pictures: Tensor, deviation: float) -> Tensor:
    """Pictures through a Gaussian filter: high frequencies, which gradients are full of, are damped.

    Yosinski et al. 2015 (arXiv:1506.06579), section 3, where it is done every few steps.

    Args:
        pictures: (N, C, H, W).
        deviation: Of the filter, in pixels; 0 changes nothing.

    Returns:
        (N, C, H, W); beyond the edges pictures go on as at the edge.

    Example:
        >>> import torch
        >>> impulse = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 5)
        >>> [round(value, 3) for value in smoothed(impulse, 0.5).flatten().tolist()]
        [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    import torch
    import torch.nn.functional as F

    if deviation <= 0:
        return pictures
    reach = max(1, round(3 * deviation))
    places = torch.arange(-reach, reach + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    for axes in ((2, 3), (3, 2)):
        padded = F.pad(pictures.permute(0, 1, *axes), (reach, reach, 0, 0), mode="replicate")
        pictures = F.conv2d(padded, kernel, groups=pictures.shape[1]).permute(0, 1, *axes)
    return pictures


def small_norms_removed(pictures: Tensor, share: float) -> Tensor:
    """Pixels whose norm over the channels is among the smallest are set to 0: what does not matter becomes grey.

    Yosinski et al. 2015 (arXiv:1506.06579), section 3.

    Args:
        pictures: (N, C, H, W), with 0 for grey.
        share: Of the pixels, from 0 to below 1.

    Returns:
        (N, C, H, W).

    Example:
        >>> import torch
        >>> small_norms_removed(torch.tensor([1.0, -3.0, 2.0, 0.5]).reshape(1, 1, 1, 4), 0.5).flatten().tolist()
        [0.0, -3.0, 2.0, 0.0]
    """
    return _largest(pictures, pictures.norm(dim=1), share)


def small_contributions_removed(pictures: Tensor, gradients: Tensor, share: float) -> Tensor:
    """Pixels that matter least are set to 0: those whose removal changes the score least, to first order.

    Yosinski et al. 2015 (arXiv:1506.06579), section 3: the contribution of a pixel is the absolute value of the sum
    over channels of value times gradient.

    Args:
        pictures: (N, C, H, W), with 0 for grey.
        gradients: (N, C, H, W), of the score.
        share: Of the pixels, from 0 to below 1.

    Returns:
        (N, C, H, W).

    Example:
        >>> import torch
        >>> pictures = torch.tensor([1.0, -3.0, 2.0, 0.5]).reshape(1, 1, 1, 4)
        >>> gradients = torch.tensor([9.0, 0.1, 1.0, 2.0]).reshape(1, 1, 1, 4)
        >>> small_contributions_removed(pictures, gradients, 0.5).flatten().tolist()
        [1.0, 0.0, 2.0, 0.0]
    """
    return _largest(pictures, (pictures * gradients).sum(1).abs(), share)


def moved_view(
    pictures: Tensor,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    degrees: float = 0.0,
    background: float = 0.5,
) -> Tensor:
    """Pictures moved, enlarged and turned, of the same size: what stays strong in such views is no noise.

    Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007), "transformation robustness". All in one resampling,
    so that pictures are blurred once.

    Args:
        pictures: (N, C, H, W).
        shift: To the right and down, in pixels.
        scale: Above 1 enlarges.
        degrees: Turns against the clock, around the middle.
        background: What is seen beyond the edges.

    Returns:
        (N, C, H, W), bilinearly interpolated.

    Example:
        >>> import torch
        >>> row = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> moved_view(row, shift=(1.0, 0.0), background=0.0).flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    import math

    import torch
    import torch.nn.functional as F

    height, width = pictures.shape[2:]
    cosine, sine = math.cos(math.radians(degrees)) / scale, math.sin(math.radians(degrees)) / scale
    # From a place in the view to the one in the picture, in units of half a side.
    right, down = -2 * shift[0] / width, -2 * shift[1] / height
    across, along = -sine * height / width, sine * width / height
    matrix = [
        [cosine, across, cosine * right + across * down],
        [along, cosine, along * right + cosine * down],
    ]
    theta = torch.tensor([matrix], dtype=pictures.dtype, device=pictures.device)
    grid = F.affine_grid(theta, [1, 1, height, width], align_corners=False)
    # All pictures as the channels of one: where a pixel comes from is found out once.
    together = (pictures - background).reshape(1, -1, height, width)
    view = F.grid_sample(together, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return view.reshape(pictures.shape) + background


def _largest(pictures: Tensor, sizes: Tensor, share: float) -> Tensor:
    """Return pictures with a share of their pixels, those of the smallest sizes (N, H, W), set to 0."""
    count = int(share * sizes[0].numel())
    if count < 1:
        return pictures
    limits = sizes.flatten(1).kthvalue(count, dim=1).values
    return pictures.where((sizes > limits[:, None, None])[:, None], 0)
