"""The formulas of class activation maps: from a layer's maps and their gradients to one signed map.

A formula takes `a`, the maps, and `g`, the gradient of the class score with respect to them, both (N, C, h, w), and
returns (N, h, w) before any rectification. To add one, write it and put it into `CAMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.core import registry
from cnnexplain.formulas._component import CANCELLED, first_component

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CAMS",
    "Cam",
    "cams",
    "eigencam",
    "eigengradcam",
    "finer_score",
    "gradcam",
    "gradcam_pp",
    "hirescam",
    "layercam",
    "similar_classes",
    "xgradcam",
]

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
    """Selvaraju et al. 2017 (arXiv:1610.02391), eq. 1-2: channels weighted by their mean gradient.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([3.0, -1.0]).reshape(1, 1, 1, 2)
        >>> gradcam(a, g)
        tensor([[[1., 2.]]])
    """
    return (g.mean((2, 3), keepdim=True) * a).sum(1)


def gradcam_pp(a: Tensor, g: Tensor) -> Tensor:
    """Chattopadhyay et al. 2018 (arXiv:1710.11063), eq. 5 and 19; their g² is cancelled from the fraction.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([2.0, -1.0]).reshape(1, 1, 1, 2)
        >>> gradcam_pp(a, g)
        tensor([[[0.2500, 0.5000]]])
    """
    denominator = 2 + a.sum((2, 3), keepdim=True) * g
    alpha = (1 / denominator).where((g != 0) & (denominator != 0), 0)
    return ((alpha * g.relu()).sum((2, 3), keepdim=True) * a).sum(1)


def xgradcam(a: Tensor, g: Tensor) -> Tensor:
    """Fu et al. 2020 (arXiv:2008.02312), eq. 8: the gradient's mean weighted by the map itself.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2), torch.tensor([4.0, 0.0]).reshape(1, 1, 1, 2)
        >>> xgradcam(a, g)
        tensor([[[1., 3.]]])
    """
    total = a.sum((2, 3), keepdim=True)
    # Where positive and negative values cancel to rounding noise the weight is not defined, and is left out.
    defined = total.abs() > CANCELLED * a.abs().sum((2, 3), keepdim=True)
    weight = ((a * g).sum((2, 3), keepdim=True) / total).where(defined, 0)
    return (weight * a).sum(1)


def layercam(a: Tensor, g: Tensor) -> Tensor:
    """Jiang et al. 2021 (doi:10.1109/TIP.2021.3089943), eq. 6: every place weighted by its positive gradient.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([3.0, -1.0]).reshape(1, 1, 1, 2)
        >>> layercam(a, g)
        tensor([[[3., 0.]]])
    """
    return (g.relu() * a).sum(1)


def hirescam(a: Tensor, g: Tensor) -> Tensor:
    """Draelos & Carin 2020 (arXiv:2011.08891), eq. 3: gradient times map, place by place.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed: before the paper's rectification.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([3.0, -1.0]).reshape(1, 1, 1, 2)
        >>> hirescam(a, g)
        tensor([[[ 3., -2.]]])
    """
    return (g * a).sum(1)


def eigencam(a: Tensor, g: Tensor | None = None) -> Tensor:  # noqa: ARG001  (every formula takes both)
    """Muhammad & Yeasin 2020 (arXiv:2008.00299): the first principal component of the maps; no class in it.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: Not used.

    Returns:
        (N, h, w), signed; the sign is arbitrary, and such that the map rises with the mean over the channels.

    Example:
        >>> import torch
        >>> eigencam(torch.tensor([1.0, 5.0]).reshape(1, 1, 1, 2))
        tensor([[[-2.,  2.]]])
    """
    return first_component(a)


def eigengradcam(a: Tensor, g: Tensor) -> Tensor:
    """The first principal component of gradient times map, which makes Eigen-CAM depend on the class.

    After Muhammad & Yeasin 2020 (arXiv:2008.00299), as pytorch-grad-cam has it.

    Args:
        a: The maps of a layer, (N, C, h, w).
        g: The gradient of the class score with respect to them, (N, C, h, w).

    Returns:
        (N, h, w), signed; the sign is arbitrary, and such that the map rises with the mean over the channels.

    Example:
        >>> import torch
        >>> a, g = torch.tensor([1.0, 5.0]).reshape(1, 1, 1, 2), torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2)
        >>> eigengradcam(a, g)
        tensor([[[-5.,  5.]]])
    """
    return first_component(g * a)


def finer_score(scores: Tensor, index: Tensor, others: Tensor, alpha: float = 1.0) -> Tensor:
    """What sets a class apart, Zhang et al. 2025 (arXiv:2501.11309): its score less those of similar classes.

    Finer-CAM is Grad-CAM (or another formula) of the gradient of this. Of several similar classes the mean counts.

    Args:
        scores: The scores of all classes, (N, K).
        index: The class that is explained, (N,).
        others: The classes that it is compared with, (N, n); see `similar_classes`.
        alpha: How much they count; with 0 it is the score itself.

    Returns:
        (N,).

    Example:
        >>> import torch
        >>> finer_score(torch.tensor([[5.0, 4.0, 2.0]]), torch.tensor([0]), torch.tensor([[1, 2]]))
        tensor([2.])
    """
    return scores.gather(1, index[:, None])[:, 0] - alpha * scores.gather(1, others).mean(1)


def similar_classes(scores: Tensor, index: Tensor, count: int = 3) -> Tensor:
    """The classes whose scores are the nearest to that of another, after Zhang et al. 2025 (arXiv:2501.11309).

    Of the best class these are the next best ones.

    Args:
        scores: The scores of all classes, (N, K).
        index: The class that is explained, (N,).
        count: How many, at most all others.

    Returns:
        (N, count), the nearest first.

    Example:
        >>> import torch
        >>> similar_classes(torch.tensor([[5.0, 1.0, 3.0, 4.0]]), torch.tensor([2]), count=2)
        tensor([[3, 0]])
    """
    import torch

    apart = (scores.detach() - scores.detach().gather(1, index[:, None])).abs()
    apart = apart.scatter(1, index[:, None], torch.inf)
    return apart.argsort(dim=1, stable=True)[:, : min(count, scores.shape[1] - 1)]


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
    """Return every formula by its name as `--method` takes it, those of other packages included."""
    others = {name: registry.load(plugin) for name, plugin in registry.plugins("cnnexplain.formulas").items()}
    return {**others, **CAMS}
