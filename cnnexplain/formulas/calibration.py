"""Whether probabilities are as often right as they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["expected_calibration_error"]


def expected_calibration_error(confidence: Tensor, right: Tensor, bins: int = 15) -> float:
    """How far the probabilities of first answers are from how often these are right, on average.

    Guo et al. 2017 (arXiv:1706.04599), eq. 3, with bins of equal width.

    Args:
        confidence: The probability of each image's first answer, (N,), 0 to 1.
        right: Whether it is right, (N,).
        bins: How many bins the probabilities are sorted into.

    Returns:
        From 0 to 1; NaN of no images.

    Example:
        >>> import torch
        >>> round(expected_calibration_error(torch.tensor([0.9, 0.9]), torch.tensor([True, False])), 4)
        0.4
    """
    import torch

    if not len(confidence):
        return float("nan")
    confidence, right = confidence.double(), right.double()
    places = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, places, right - confidence)
    return float(gaps.abs().sum() / len(confidence))
