"""The first principal component of maps, for Eigen-CAM and Eigen-Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CANCELLED = 1e-6  # about float32's own precision


def first_component(x: Tensor) -> Tensor:
    """Project the places of a map on the direction of their largest variance.

    The sign, which a decomposition leaves open, is such that the result rises with the mean over the channels; where
    that mean is rounding noise (after a layer norm over the channels), such that its largest value is positive.

    Args:
        x: (N, C, h, w).

    Returns:
        (N, h, w), centred; NaN for a picture whose values are not finite.
    """
    import torch

    # On the CPU in float64: the matrices are small, and squaring them costs half of the digits.
    places = x.detach().flatten(2).transpose(1, 2).cpu().double()  # (N, h*w, C)
    finite = places.isfinite().all(2).all(1)[:, None]  # a broken picture must not cost the others theirs
    places = places.where(finite[:, :, None], 0)
    mean, size = places.mean(2), places.abs().mean(2)  # (N, h*w)
    places = places - places.mean(1, keepdim=True)
    if places.shape[1] <= places.shape[2]:
        values, vectors = torch.linalg.eigh(places @ places.mT)
        component = vectors[..., -1] * values[..., -1:].clamp(min=0).sqrt()
    else:
        _, vectors = torch.linalg.eigh(places.mT @ places)
        component = (places @ vectors[..., -1:])[..., 0]
    agrees = (component * (mean - mean.mean(1, keepdim=True))).sum(1, keepdim=True)
    noise = CANCELLED * (component.abs() * size).sum(1, keepdim=True)
    peaks = component.amax(1, keepdim=True) + component.amin(1, keepdim=True)
    component = component.where(agrees.where(agrees.abs() > noise, peaks) >= 0, -component).where(
        finite, torch.nan
    )
    projected: Tensor = component.reshape(x.shape[0], *x.shape[2:]).to(x)
    return projected
