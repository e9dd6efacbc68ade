"""Means of random maps with their standard errors, for every pixel and for larger and larger cells of pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SampledMean", "pooled", "resolutions"]

COARSEST = 7  # cells along the shorter side, below which no map is pooled


def resolutions(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """The sizes that a map may be pooled to: halved again and again, down to 7 cells along the shorter side.

    The levels of the pyramid of Burt & Adelson 1983 (doi:10.1109/TCOM.1983.1095851), with means of cells.

    Args:
        height: Pixels of the map.
        width: The same.

    Returns:
        Rows and columns, the map's own size first. Halves of odd numbers are rounded up.

    Example:
        >>> resolutions(224, 224)
        ((224, 224), (112, 112), (56, 56), (28, 28), (14, 14), (7, 7))
        >>> resolutions(8, 30)
        ((8, 30),)
    """
    sizes = [(height, width)]
    while min(sizes[-1]) >= 2 * COARSEST:
        rows, columns = sizes[-1]
        sizes.append(((rows + 1) // 2, (columns + 1) // 2))
    return tuple(sizes)


def pooled(values: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of each cell of a grid that is laid on a map.

    One level of the pyramid of Burt & Adelson 1983 (doi:10.1109/TCOM.1983.1095851). Signs are kept: of a gradient, a
    cell has the change of the score, by pixel, with all of its pixels together. Where cells do not have whole pixels,
    both of two neighbours have the one between them.

    Args:
        values: (..., H, W), of three or four dimensions.
        size: Rows and columns of the grid.

    Returns:
        (..., rows, columns).

    Example:
        >>> import torch
        >>> pooled(torch.tensor([[[1.0, 3.0, -5.0, 5.0]]]), (1, 2))
        tensor([[[2., 0.]]])
    """
    import torch.nn.functional as F

    return values if tuple(values.shape[-2:]) == size else F.adaptive_avg_pool2d(values, size)


@dataclass(eq=False)
class SampledMean:
    """The weighted mean of random maps (C, H, W) with its standard error at several resolutions; no map is kept.

    Welford 1962 (doi:10.1080/00401706.1962.10490022), at each resolution for itself: noise of neighbouring pixels is
    correlated, so that the error of a cell does not follow from those of its pixels. Levels count resolutions from 0.

    Attributes:
        sizes: The resolutions, the maps' own first; see `resolutions`.
        count: How many maps were added.
        weight: The sum of their weights.

    Example:
        >>> import torch
        >>> mean = SampledMean(((1, 2), (1, 1)))
        >>> for values in ([1.0, 5.0], [3.0, 3.0]):
        ...     mean.add(torch.tensor(values).reshape(1, 1, 1, 2))
        >>> mean.mean(0).flatten().tolist(), mean.error(0).flatten().tolist()  # each pixel differs
        ([2.0, 4.0], [1.0, 1.0])
        >>> mean.mean(1).item(), mean.error(1).item()  # the two together do not
        (3.0, 0.0)
    """

    sizes: tuple[tuple[int, int], ...]
    count: int = 0
    weight: int = 0
    _means: list[Tensor] = field(default_factory=list, repr=False)  # of each level, float64
    _squares: list[Tensor] = field(default_factory=list, repr=False)  # weighted, of differences from the mean

    def add(self, values: Tensor, weight: int = 1) -> None:
        """Count further maps.

        Args:
            values: (K, C, H, W), independent of each other and of the maps before them.
            weight: How many samples each is the mean of; its variance is taken to be that of one over so many.
        """
        import torch

        # All that mps has is float32.
        precise = values.to(torch.float32 if values.device.type == "mps" else torch.float64).contiguous()
        if not self._means:
            self._means = [precise.new_zeros(*values.shape[1:-2], *size) for size in self.sizes]
            self._squares = [torch.zeros_like(mean) for mean in self._means]
        before, added = self.weight, weight * len(values)
        self.count += len(values)
        self.weight += added
        cells = precise
        for level, size in enumerate(self.sizes):
            # Where halves are whole, cells are the means of four smaller ones, which is faster.
            cells = pooled(cells if self._halves(level) else precise, size)
            mean, squares = self._means[level], self._squares[level]
            own = cells.mean(0)
            away = own - mean
            squares.add_((cells - own).square_().sum(0), alpha=weight)
            squares.addcmul_(away, away, value=added * before / self.weight)
            mean.add_(away, alpha=added / self.weight)

    def _halves(self, level: int) -> bool:
        return level == 0 or all(
            2 * cells == finer for cells, finer in zip(self.sizes[level], self.sizes[level - 1], strict=True)
        )

    def mean(self, level: int = 0) -> Tensor:
        """The mean of every cell.

        Args:
            level: Which resolution.

        Returns:
            (C, h, w), float64.
        """
        return self._means[level]

    def error(self, level: int = 0) -> Tensor:
        """The standard error of every cell's mean.

        Args:
            level: Which resolution.

        Returns:
            (C, h, w), float64; NaN where there are fewer than two maps.
        """
        if self.count < 2:
            return self._squares[level] * nan
        return (self._squares[level] / ((self.count - 1) * self.weight)).sqrt()

    def share(self, level: int = 0) -> float:
        """The largest standard error of a cell, as a share of the largest absolute mean.

        Args:
            level: Which resolution.

        Returns:
            The share; infinite where it is not known, or there is nothing but error.
        """
        if self.count < 2:
            return inf
        error, largest = float(self.error(level).max()), float(self._means[level].abs().max())
        return 0.0 if error == 0 else error / largest if largest > 0 else inf

    def finest(self, tolerance: float) -> int | None:
        """The finest resolution at which no standard error is above a share of the largest mean.

        Args:
            tolerance: The share.

        Returns:
            The level; None where there is none.
        """
        return next(
            (level for level in range(len(self.sizes)) if self.within(tolerance, level)),
            None,
        )

    def within(self, tolerance: float, level: int) -> bool:
        """Whether the share of a level is at most a tolerance, to 1 in 256 of that: last digits do not decide.

        Args:
            tolerance: The share that is allowed.
            level: Which resolution.

        Returns:
            Whether it is.
        """
        share = self.share(level)
        return share < 2 * tolerance and round(256 * share / tolerance) <= 256 if tolerance else share == 0
