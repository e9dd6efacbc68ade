"""What is put in the place of an image, or of parts of it, so that there is nothing to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["averaged", "blurred", "mean_colour", "replaced"]


def mean_colour(images: Tensor) -> Tensor:
    """Images of the colour that the model was normalised by, usually the mean of its training images: zero.

    A baseline of integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

    Args:
        images: Normalised, (N, C, H, W).

    Returns:
        (N, C, H, W), zero everywhere, without memory of its own.

    Example:
        >>> import torch
        >>> mean_colour(torch.rand(2, 3, 4, 4)).abs().sum()
        tensor(0.)
    """
    return images.new_zeros(()).expand_as(images)


def blurred(images: Tensor, share: float = 0.1) -> Tensor:
    """Images without detail, by a Gaussian: colours and light stay where they are.

    A baseline of integrated gradients (Sturmfels et al. 2020, doi:10.23915/distill.00022).

    Args:
        images: (N, C, H, W), of any precision.
        share: The Gaussian's standard deviation, as a share of the shorter side; never less than half a pixel.

    Returns:
        (N, C, H, W), in the precision of `images`.

    Example:
        >>> import torch
        >>> checkered = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(8, 8)[None, None]
        >>> round(float(blurred(checkered).std() / checkered.std()), 3)
        0.0
    """
    from torchvision.transforms.functional import gaussian_blur

    short = min(images.shape[2:])
    sigma = max(share * short, 0.5)
    reach = min(round(3 * sigma), short - 1)
    # In float32: for bfloat16 it may never end.
    smooth: Tensor = gaussian_blur(images.float(), [2 * reach + 1] * 2, [sigma] * 2)
    return smooth.to(images)


def averaged(images: Tensor, cells: int = 4) -> Tensor:
    """Images of which only the means of a few cells are left, with smooth transitions, so that no thing is left.

    Stronger than `blurred`: no value of the result depends on single pixels. What is deleted is replaced by it, as by
    the blurred image of Petsiuk et al. 2018 (arXiv:1806.07421).

    Args:
        images: (N, C, H, W), of any precision.
        cells: How many cells there are along each side.

    Returns:
        (N, C, H, W), in the precision of `images`.

    Example:
        >>> import torch
        >>> averaged(torch.arange(4.0).reshape(1, 1, 1, 4), cells=1)
        tensor([[[[1.5000, 1.5000, 1.5000, 1.5000]]]])
    """
    import torch.nn.functional as F

    small = F.adaptive_avg_pool2d(images.float(), cells)
    return F.interpolate(small, images.shape[2:], mode="bilinear", align_corners=False).to(images)


def replaced(image: Tensor, other: Tensor, masks: Tensor) -> Tensor:
    """Copies of an image, parts of which are taken from another one.

    Args:
        image: (C, H, W).
        other: What is put in place, (C, H, W).
        masks: Which cells are replaced in each copy, (K, h, w): those above zero. Cells are rectangles of the image.

    Returns:
        (K, C, H, W).

    Example:
        >>> import torch
        >>> replaced(torch.ones(1, 2, 4), torch.zeros(1, 2, 4), torch.tensor([[[1.0, 0.0]]]))
        tensor([[[[0., 0., 1., 1.],
                  [0., 0., 1., 1.]]]])
    """
    import torch
    import torch.nn.functional as F

    masks = F.interpolate(masks.to(image)[:, None], image.shape[1:], mode="nearest")
    return torch.where(masks > 0, other, image)
