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
    Solved by conjugate gradients, whose steps see all scales at once: the preconditioner of Bramble, Pasciak and Xu
    1990 (Mathematics of Computation 55).

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

    known = image.float()[:, None]  # channels are pictures of their own
    gone = (removed.to(image.device) > 0).float()[:, None, None]
    # One copy after another: each takes as many steps as it needs, and stays in the processor's cache.
    filled = torch.stack([_solved(known, mask, tolerance, most)[:, 0] for mask in gone])
    gone = gone[:, 0]
    if noise:
        filled = filled + noise * gone * torch.randn(filled.shape, generator=generator).to(filled)
    return known[:, 0] * (1 - gone) + filled * gone


def _solved(known: Tensor, gone: Tensor, tolerance: float, most: int) -> Tensor:
    """Return removed pixels (C, 1, H, W), zero elsewhere, of an image and of where it is `gone` (1, 1, H, W)."""
    import torch

    weights = _neighbours(torch.ones_like(gone))
    levels = _levels(gone)
    right = gone * _neighbours(known * (1 - gone))
    filled = gone * _filled(known, 1 - gone)
    rest = right - gone * (weights * filled - _neighbours(filled))
    enough = tolerance**2 * _product(right, right)
    along, size = torch.zeros_like(rest), torch.ones_like(enough)
    for _ in range(most):
        if bool((_product(rest, rest) <= enough).all()):
            break
        scaled = _smoothed(rest / weights, levels)
        size, before = _product(rest, scaled), size
        along = scaled + size / before.clamp(min=1e-30) * along
        image_of = gone * (weights * along - _neighbours(along))
        step = size / _product(along, image_of).clamp(min=1e-30)
        filled, rest = filled + step * along, rest - step * image_of
    return filled


def _neighbours(values: Tensor) -> Tensor:
    """Return the weighted sums of the neighbours of each pixel (N, 1, H, W)."""
    import torch.nn.functional as F

    sums = F.pad(values, (1, 1, 1, 1))
    for _ in range(2):  # sums of two, twice, weigh three by 1, 2, 1
        sums = sums[..., :-1] + sums[..., 1:]
        sums = sums[..., :-1, :] + sums[..., 1:, :]
    return sums.sub_(values, alpha=4).div_(12)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((2, 3), keepdim=True)


def _levels(gone: Tensor) -> list[Tensor]:
    """Return removed pixels, then ever coarser ones: every second, where all that it stands for is removed."""
    import torch.nn.functional as F

    levels = [gone]
    while min(levels[-1].shape[2:]) > 3:
        left = F.max_pool2d(1 - levels[-1], 3, stride=2, padding=1)  # beyond the edge nothing is left
        if not bool((left < 1).any()):
            break
        levels.append(1 - left)
    return levels


def _smoothed(rest: Tensor, levels: list[Tensor]) -> Tensor:
    """Return what is left of the equations (N, 1, H, W), to which its smooth parts on all coarser levels are added."""
    parts = [rest]
    for _ in levels[1:]:
        parts.append(_halved(_halved(parts[-1], 2), 3))
    total = parts[-1] * levels[-1]
    for part, level in zip(reversed(parts[:-1]), reversed(levels[:-1]), strict=True):
        smooth = _doubled(_doubled(total, 3, part.shape[3]), 2, part.shape[2])
        total = smooth.addcmul_(part, level)
    return total * levels[0]


def _halved(values: Tensor, axis: int) -> Tensor:
    """Return every second value along an axis, with half of its two neighbours added; `_doubled` transposed."""
    even, odd = _along(values, axis, 0, 2), _along(values, axis, 1, 2) / 2
    halved = even.clone()
    _along(halved, axis, 0, 1, odd.shape[axis]).add_(odd)
    _along(halved, axis, 1).add_(_along(odd, axis, 0, 1, even.shape[axis] - 1))
    return halved


def _doubled(values: Tensor, axis: int, size: int) -> Tensor:
    """Return values along an axis with the means of neighbours between them, where beyond the edge there is 0."""
    shape = list(values.shape)
    shape[axis] = size
    doubled = values.new_empty(shape)
    _along(doubled, axis, 0, 2).copy_(values)
    between = _along(doubled, axis, 1, 2)
    between.copy_(_along(values, axis, 0, 1, between.shape[axis]))
    _along(between, axis, 0, 1, values.shape[axis] - 1).add_(_along(values, axis, 1))
    between.div_(2)
    return doubled


def _along(values: Tensor, axis: int, first: int, step: int = 1, stop: int | None = None) -> Tensor:
    """Return a slice of an axis, as a view."""
    return values[(slice(None),) * axis + (slice(first, stop, step),)]


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
