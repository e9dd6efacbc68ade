"""How far a map is from what the score loses when parts are taken away, and how far noise changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["infidelity", "max_sensitivity"]


def infidelity(perturbations: Tensor, attributions: Tensor, drops: Tensor, *, scaled: bool = False) -> Tensor:
    """How far what a map predicts of perturbed images is from what the score does: the mean squared difference.

    Yeh et al. 2019 (arXiv:1901.09392), definition 2.1: E[(I . map - (f(x) - f(x - I)))^2].

    Args:
        perturbations: What is taken away from the image each time, I, (K, n); or of cells 1 where one is taken away.
        attributions: The map, (n,): what a unit of each is worth, or each cell.
        drops: What the score loses each time, (K,).
        scaled: Whether the map is first multiplied by the factor, not negative, that fits best: for maps that have no
            unit. The result then is a share of the mean squared drop, from 0 to 1; NaN where the score loses nothing.

    Returns:
        One number, not negative; 0 for the gradient of a linear scorer.

    Example:
        >>> import torch
        >>> taken = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> infidelity(taken, torch.tensor([3.0, 1.0]), torch.tensor([3.0, 3.0]))
        tensor(2.)
        >>> infidelity(taken, torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]), scaled=True)
        tensor(0.)
    """
    predicted = perturbations @ attributions
    if scaled:
        size = predicted.square().sum()
        factor = ((predicted * drops).sum() / size).clamp(min=0) if float(size) else size
        return (predicted * factor - drops).square().sum() / drops.square().sum()
    return (predicted - drops).square().mean()


def max_sensitivity(attributions: Tensor, noisy: Tensor) -> Tensor:
    """By how much a map changes at most where the image is changed a little, as a share of its own length.

    Yeh et al. 2019 (arXiv:1901.09392), definition 2.2: max of norm(map(x + r) - map(x)) / norm(map(x)).

    Args:
        attributions: The map of the image, of any shape.
        noisy: The maps of its noisy copies, (K, ...).

    Returns:
        One number, not negative; 0 for the gradient of a linear scorer.

    Example:
        >>> import torch
        >>> max_sensitivity(torch.tensor([3.0, 4.0]), torch.tensor([[3.0, 4.0], [3.0, 5.0]]))
        tensor(0.2000)
    """
    changes = (noisy - attributions).flatten(1).norm(dim=1)
    largest: Tensor = changes.max() / attributions.norm()
    return largest
