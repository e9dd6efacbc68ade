"""Values at some places out of those at others, each with what is not known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["kriging"]

LENGTHS = (0.5, 1.0, 2.0, 4.0)  # of the middle distance between known places: how far values are alike
NUGGETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the smooth part's variance: what a value has of its own


def kriging(places: Tensor, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Values where they are not known, expected from those at other places, and the covariance of what they are off.

    Ordinary kriging, or regression by a Gaussian process; section 2.2 of
    Rasmussen & Williams 2006 (doi:10.7551/mitpress/3206.001.0001). The covariance of two values is
    v (exp(-d^2 / 2 l^2) + s [they are the same]), d being the distance of their places. Of a few l and s those are
    taken that foretell each known value best from the others (section 5.4.2), and v is such that these errors
    are as large as they are held to be.

    Args:
        places: (N, D).
        values: (N,); what stands there for values that are not known does not matter.
        known: (N,), bool; two at least.

    Returns:
        The expected values (U,) where none is known, no lower than the lowest known one and no higher than the highest,
        and the covariance (U, U) of their errors; in the order of `places`, float64.

    Example:
        >>> import torch
        >>> places = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> known = torch.tensor([True, True, False, True])
        >>> values, covariance = kriging(places, torch.tensor([0.0, 1.0, 0.0, 3.0]), known)
        >>> round(float(values[0])), tuple(covariance.shape)
        (2, (1, 1))
    """
    import torch

    x, y = places[known].double(), values[known].double()
    new = places[~known].double()
    length, nugget, inverse, variance = _fitted(x, y)
    mean = inverse.sum(1) @ y / inverse.sum()
    across = _alike(torch.cdist(new, x), length)
    expected = mean + across @ (inverse @ (y - mean))
    covariance = _alike(torch.cdist(new, new), length) - across @ inverse @ across.T
    covariance.diagonal().add_(nugget)
    return expected.clamp(y.min(), y.max()), variance * covariance


def _fitted(x: Tensor, y: Tensor) -> tuple[float, float, Tensor, Tensor]:
    """The length and the nugget that foretell values (n,) at places (n, D) best.

    Returns:
        Both, the inverse of the covariance (n, n) but for its scale, and that scale.
    """
    import torch

    apart = torch.cdist(x, x)
    middle = float(apart[apart > 0].median()) if bool((apart > 0).any()) else 1.0
    fits = []
    for length in (middle * part for part in LENGTHS):
        spread, axes = torch.linalg.eigh(_alike(apart, length))
        for nugget in NUGGETS:
            inverse = (axes / (spread.clamp_min(0) + nugget)) @ axes.T
            own = inverse.diagonal()
            errors = (
                inverse @ (y - inverse.sum(1) @ y / inverse.sum()) / own
            )  # of each value foretold from all others
            fits.append((float((errors**2).mean()), length, nugget, inverse, (errors**2 * own).mean()))
    return min(fits, key=lambda fit: fit[0])[1:]


def _alike(apart: Tensor, length: Tensor | float) -> Tensor:
    return (-0.5 * (apart / length) ** 2).exp()
