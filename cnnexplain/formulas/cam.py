"""The formulas of class activation maps: from a layer's maps and their gradients to one signed map.

A formula takes `a`, the maps, and `g`, the gradient of the class score with respect to them, both (N, C, h, w), and
returns (N, h, w) before any rectification. To add one, write it and put it into `CAMS`.

    >>> import torch
    >>> a, g = torch.ones(1, 2, 3, 3), torch.full((1, 2, 3, 3), 0.5)
    >>> gradcam(a, g)[0, 0]
    tensor([1., 1., 1.])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.core import registry

if TYPE_CHECKING:
    from torch import Tensor

SIGN_IS_ARBITRARY = (
    "The sign of a principal component is arbitrary: it is the one that rises with the mean over the channels, and "
    "says neither for nor against."
)


@dataclass(frozen=True)
class Cam:
    """A formula, and what is to be known of its maps. Entry points of `cnnexplain.formulas` name such objects."""

    formula: Callable[[Tensor, Tensor], Tensor]  # maps and gradients (N, C, h, w) -> (N, h, w), signed
    of_class: bool = True  # False where no class enters, and so no gradient is needed
    component: bool = False  # whether it is a principal component, whose sign is arbitrary


def gradcam(a: Tensor, g: Tensor) -> Tensor:
    """Selvaraju et al. 2017 (arXiv:1610.02391), eq. 1-2: channels weighted by their mean gradient."""
    return (g.mean((2, 3), keepdim=True) * a).sum(1)


def gradcam_pp(a: Tensor, g: Tensor) -> Tensor:
    """Chattopadhyay et al. 2018 (arXiv:1710.11063), eq. 5 and 19; their g² is cancelled from the fraction."""
    denominator = 2 + a.sum((2, 3), keepdim=True) * g
    alpha = (1 / denominator).where((g != 0) & (denominator != 0), 0)
    return ((alpha * g.relu()).sum((2, 3), keepdim=True) * a).sum(1)


def xgradcam(a: Tensor, g: Tensor) -> Tensor:
    """Fu et al. 2020 (arXiv:2008.02312), eq. 8: the gradient's mean weighted by the map itself."""
    total = a.sum((2, 3), keepdim=True)
    # Where positive and negative values cancel to rounding noise the weight is not defined, and is left out.
    defined = total.abs() > CANCELLED * a.abs().sum((2, 3), keepdim=True)
    weight = ((a * g).sum((2, 3), keepdim=True) / total).where(defined, 0)
    return (weight * a).sum(1)


def layercam(a: Tensor, g: Tensor) -> Tensor:
    """Jiang et al. 2021 (doi:10.1109/TIP.2021.3089943), eq. 6: every place weighted by its positive gradient."""
    return (g.relu() * a).sum(1)


def hirescam(a: Tensor, g: Tensor) -> Tensor:
    """Draelos & Carin 2020 (arXiv:2011.08891), eq. 3: gradient times map, place by place."""
    return (g * a).sum(1)


def eigencam(a: Tensor, g: Tensor | None = None) -> Tensor:  # noqa: ARG001  (every formula takes both)
    """Muhammad & Yeasin 2020 (arXiv:2008.00299): the first principal component of the maps; no class in it."""
    return _first_component(a)


def eigengradcam(a: Tensor, g: Tensor) -> Tensor:
    """The first principal component of gradient times map, which makes Eigen-CAM depend on the class."""
    return _first_component(g * a)


CANCELLED = 1e-6  # about float32's own precision
CAMS: dict[str, Cam] = {
    "gradcam": Cam(gradcam),
    "gradcam++": Cam(gradcam_pp),
    "xgradcam": Cam(xgradcam),
    "layercam": Cam(layercam),
    "hirescam": Cam(hirescam),
    "eigencam": Cam(eigencam, of_class=False, component=True),
    "eigengradcam": Cam(eigengradcam, component=True),
}


def cams() -> dict[str, Cam]:
    """Every formula by its name as `--method` takes it, those of other packages included."""
    others = {name: registry.load(plugin) for name, plugin in registry.plugins("cnnexplain.formulas").items()}
    return {**others, **CAMS}


def _first_component(x: Tensor) -> Tensor:
    """Project the places of (N, C, h, w) on the direction of their largest variance.

    The sign, which a decomposition leaves open, is such that the result rises with the mean over the channels; where
    that mean is rounding noise (after a layer norm over the channels), such that its largest value is positive.
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
    projected: Tensor = component.reshape(x.shape[0], *x.shape[2:]).to(x.dtype)
    return projected
