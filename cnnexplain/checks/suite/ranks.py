"""How alike two maps are, whatever their scale: Spearman's rank correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rank_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of the signed values of two maps, equal values sharing their ranks; NaN where one map is the same everywhere."""
    first, second = (_ranks(one.reshape(-1)) for one in (a, b))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size else float("nan")


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ranks less their mean; of equal values each has the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared = last - (counts - 1) / 2
    ranks: NDArray[np.float64] = shared[group.reshape(-1)] - (len(values) + 1) / 2
    return ranks
