"""How alike two maps are, whatever their scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["rank_correlation"]


def rank_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of the signed values of two maps, equal values sharing their ranks.

    Spearman 1904 (doi:10.2307/1412159); of maps, as in Adebayo et al. 2018 (arXiv:1810.03292).

    Args:
        a: A map of any shape; a tensor on the CPU is converted by `numpy()`.
        b: A map of the same shape.

    Returns:
        From -1 to 1; NaN where one map is the same everywhere.

    Example:
        >>> import numpy as np
        >>> a = np.array([[1, 2], [3, 4]], np.float32)
        >>> round(rank_correlation(a, a**3), 6), round(rank_correlation(a, -a), 6)
        (1.0, -1.0)
    """
    import numpy as np

    first, second = (_ranks(values.reshape(-1)) for values in (a, b))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size else float("nan")


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ranks less their mean; of equal values each has the mean of their ranks."""
    import numpy as np

    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared = last - (counts - 1) / 2
    ranks: NDArray[np.float64] = shared[group.reshape(-1)] - (len(values) + 1) / 2
    return ranks
