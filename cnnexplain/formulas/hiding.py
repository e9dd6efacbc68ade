"""What a score loses where a part of the image is hidden: sliding windows, and random masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Rise", "occlusion", "rise_masks", "window_starts"]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side: evenly, from edge to edge, about `stride` apart.

    For the occlusion of Zeiler and Fergus 2013 (arXiv:1311.2901), who do not say what becomes of the edges.
    Every window lies within the image, so that none hides less than another, and every pixel is hidden by at least
    one. Where whole strides do not fit, the steps are a little longer or shorter.

    Args:
        length: Pixels of the side.
        window: Pixels of a window, at most `length`.
        stride: Pixels from one window to the next, at most `window`.

    Returns:
        The first pixels of the windows, ascending.

    Raises:
        ValueError: A window is longer than the side, or than the stride would leave pixels that nothing hides.

    Example:
        >>> window_starts(11, 5, 3)
        [0, 3, 6]
        >>> window_starts(12, 5, 3)
        [0, 4, 7]
    """
    if not 0 < window <= length or not 0 < stride <= window:
        raise ValueError(f"windows of {window} every {stride} pixels do not cover {length}")
    room = length - window
    steps = max(round(room / stride), math.ceil(room / window))
    return [round(place * room / steps) for place in range(steps + 1)] if steps else [0]


def occlusion(drops: Tensor, starts: tuple[list[int], list[int]], window: tuple[int, int]) -> Tensor:
    """What hiding a pixel takes from the score: the mean over all windows that hide it.

    Zeiler and Fergus 2013 (arXiv:1311.2901), section 4.2, who draw the score itself. All pixels count alike, at the
    edges too, where fewer windows hide them.

    Args:
        drops: The score of the image less that with a window hidden, (..., rows, columns).
        starts: The first pixels of the windows, down and across.
        window: Rows and columns of a window.

    Returns:
        (..., H, W), in the precision of `drops`; H and W end with the last windows.

    Example:
        >>> import torch
        >>> occlusion(torch.tensor([[1.0, 3.0]]), ([0], [0, 1]), (1, 2))
        tensor([[1., 2., 3.]])
    """
    down, across = (_cover(first, side).to(drops) for first, side in zip(starts, window, strict=True))
    hidden = down.sum(0)[:, None] * across.sum(0)
    total: Tensor = down.double().T @ drops.double() @ across.double()
    return (total / hidden).to(drops)


def _cover(starts: list[int], window: int) -> Tensor:
    """Return (windows, pixels), 1 where a window hides a pixel."""
    import torch

    first = torch.tensor(starts)[:, None]
    pixels = torch.arange(starts[-1] + window)
    return ((pixels >= first) & (pixels < first + window)).double()


def rise_masks(
    count: int,
    size: tuple[int, int],
    *,
    grid: int = 7,
    probability: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Smooth random masks: cells of a grid are kept by chance, enlarged, and shifted by a part of a cell.

    Petsiuk et al. 2018 (arXiv:1806.07421), section 3.2.

    Args:
        count: How many masks.
        size: Rows and columns of the image.
        grid: Cells along each side.
        probability: The chance that a cell is kept, which is also every pixel's mean over all masks.
        generator: What is random comes from it.

    Returns:
        (count, H, W), float32, from 0 (hidden) to 1 (kept).

    Example:
        >>> import torch
        >>> masks = rise_masks(500, (8, 8), grid=2, generator=torch.Generator().manual_seed(0))
        >>> round(float(masks.mean()), 1)
        0.5
    """
    import torch
    import torch.nn.functional as F

    cell = [math.ceil(side / grid) for side in size]
    kept = (torch.rand(count, 1, grid + 1, grid + 1, generator=generator) < probability).float()
    large = F.interpolate(kept, [(grid + 1) * side for side in cell], mode="bilinear", align_corners=False)
    down, across = (torch.randint(side, (count,), generator=generator).tolist() for side in cell)
    return torch.stack(
        [
            mask[0, top : top + size[0], left : left + size[1]]
            for mask, top, left in zip(large, down, across, strict=True)
        ]
    )


@dataclass
class Rise:
    """Evidence out of the scores of randomly masked images, with the standard error of every pixel.

    Petsiuk et al. 2018 (arXiv:1806.07421), eq. 6, S = mean(f M) / p for scores f and masks M of mean p. Since the mean
    of the masks is known, its chance part, mean(f) (mean(M) - p) / p, is taken away: the same expectation, and a
    standard error that no longer grows with a constant in the score. `map` is S less the mean score, so that a pixel
    which changes nothing has 0.

    Attributes:
        probability: The mean of the masks, p.
        count: How many masks were added.

    Example:
        >>> import torch
        >>> rise = Rise(0.5)
        >>> masks = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
        >>> rise.add(masks, 2.0 * masks[:, 0, 1] + 5)  # a score that sees the second pixel alone
        >>> rise.map
        tensor([[0., 1.]], dtype=torch.float64)
    """

    probability: float
    count: int = 0
    _sums: Tensor | None = None  # (3, 3, H, W), float64: f^i M^j for powers i and j up to 2
    _first: float = 0.0  # scores are counted from the first one, so that their squares keep their digits

    def add(self, masks: Tensor, scores: Tensor) -> None:
        """Take further masks and the scores of the images that they were laid on.

        Args:
            masks: (N, H, W), of mean p.
            scores: (N,).
        """
        import torch

        if self._sums is None:
            self._first = float(scores[0])
            self._sums = torch.zeros(3, 3, *masks.shape[1:], dtype=torch.float64)
        f, m = scores.double().cpu() - self._first, masks.double().cpu()
        powers_of_f = torch.stack((torch.ones_like(f), f, f * f))
        for power in range(3):
            self._sums[:, power] += torch.tensordot(powers_of_f, m**power, 1)
        self.count += len(f)

    @property
    def mean(self) -> float:
        """The mean score of all masks.

        Returns:
            The mean.
        """
        return self._first + float(self._means()[1, 0].mean())

    @property
    def map(self) -> Tensor:
        """How much higher the score is where a pixel is kept than on the whole.

        Returns:
            (H, W), float64.
        """
        means = self._means()
        return (means[1, 1] - means[1, 0] * means[0, 1]) / self.probability

    @property
    def error(self) -> Tensor:
        """The standard error of `map`, which is a covariance.

        Returns:
            (H, W), float64.
        """
        means = self._means()
        f, m = means[1, 0], means[0, 1]
        by_f = means[2] - 2 * f * means[1] + f * f * means[0]  # of (f - mean)^2 M^j
        squares = by_f[2] - 2 * m * by_f[1] + m * m * by_f[0]
        variance = squares - (self.probability * self.map) ** 2
        error: Tensor = (variance.clamp_min(0) / max(self.count - 1, 1)).sqrt() / self.probability
        return error

    def _means(self) -> Tensor:
        if self._sums is None:
            raise ValueError("no mask was added")
        return self._sums / self.count
