"""What is put in the place of pixels so that nothing tells where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["noisy_linear"]


def noisy_linear(
    image: Tensor,
    removed: Tensor,
    *,
    noise: float = 0.01,
    generator: Generator | None = None,
    tolerance: float = 1e-3,
    most: int = 1000,
) -> Tensor:
    """Copies of an image in which each removed pixel is the weighted mean of its neighbours, with a little noise.

    Rong et al. 2022 (arXiv:2202.00449), section 4.2: neighbours at the sides count 1/6, those at the corners 1/12;
    beyond the edge of the image there are none. A linear ramp comes out as it was, but at the edges of the image.
    Solved by conjugate gradients.

    Args:
        image: (C, H, W).
        removed: Which pixels are removed in each copy, (K, H, W): those above zero. Some must be left.
        noise: Standard deviation of what is added to removed pixels.
        generator: Draws the noise, on the CPU; torch's own where None.
        tolerance: At which share of the right side's length the rest of the equations may stop.
        most: Steps, at most.

    Returns:
        (K, C, H, W), float32.

    Example:
        >>> import torch
        >>> ramp = torch.arange(5.0).expand(1, 5, 5)
        >>> removed = torch.zeros(1, 5, 5)
        >>> removed[0, 2, 2] = 1
        >>> round(float(noisy_linear(ramp, removed, noise=0)[0, 0, 2, 2]), 3)
        2.0
    """
    import torch
    import torch.nn.functional as F

    known = image.float()
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]], device=image.device) / 12
    gone = (removed.to(image.device) > 0).float()[:, None]
    weights = F.conv2d(torch.ones_like(gone[:1]), kernel[None, None], padding=1)

    def neighbours(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)[:, None]
        return F.conv2d(flat, kernel[None, None], padding=1).reshape(values.shape)

    def length(values: Tensor) -> Tensor:
        return values.square().sum((2, 3), keepdim=True)

    right = gone * neighbours(known * (1 - gone))
    filled = gone * _filled(known, 1 - gone)
    rest = right - gone * (weights * filled - neighbours(filled))
    along = scaled = rest / weights
    size = (rest * scaled).sum((2, 3), keepdim=True)
    enough = tolerance**2 * length(right)
    for _ in range(most):
        if bool((length(rest) <= enough).all()):
            break
        image_of = gone * (weights * along - neighbours(along))
        step = size / (along * image_of).sum((2, 3), keepdim=True).clamp(min=1e-30)
        filled, rest = filled + step * along, rest - step * image_of
        scaled = rest / weights
        size, before = (rest * scaled).sum((2, 3), keepdim=True), size
        along = scaled + size / before.clamp(min=1e-30) * along
    if noise:
        filled = filled + noise * gone * torch.randn(filled.shape, generator=generator).to(filled)
    return known * (1 - gone) + filled * gone


def _filled(known: Tensor, left: Tensor) -> Tensor:
    """Return a first guess at removed pixels (K, C, H, W): ever larger means of those that are `left` (K, 1, H, W)."""
    import torch
    import torch.nn.functional as F

    values, weights = known * left, left
    levels = [(values, weights)]
    while max(values.shape[2:]) > 1 and not bool((weights > 0).all()):
        values, weights = (F.avg_pool2d(one, 2, ceil_mode=True) for one in (values, weights))
        levels.append((values, weights))
    guess = values / weights.clamp(min=1e-12)
    for values, weights in reversed(levels[:-1]):
        coarse = F.interpolate(guess, values.shape[2:], mode="bilinear", align_corners=False)
        guess = torch.where(weights > 0, values / weights.clamp(min=1e-12), coarse)
    return guess
