"""Whether a map marks what a score hangs on: cells are deleted, and inserted, in the order of the map.

Petsiuk et al. 2018 (arXiv:1806.07421), with few cells and few steps, beside random orders of the same
cells, as in Samek et al. 2017 (doi:10.1109/TNNLS.2016.2599820).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnnexplain.formulas.perturbation import replaced

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["advantage", "area", "coarse", "deletion_curves", "faithfulness_curves", "masks", "order"]

# Shares of the cells; alike from both ends, so that one order serves deleting and inserting.
STEPS = (0.2, 0.5, 0.8)


def coarse(maps: Tensor, cells: int = 8) -> Tensor:
    """Maps of a few cells at most, so that what is deleted at once has the size of things.

    Means over cells, the regions that are deleted in Samek et al. 2017 (doi:10.1109/TNNLS.2016.2599820).

    Args:
        maps: (N, h, w).
        cells: How many cells there may be along each side.

    Returns:
        (N, min(h, cells), min(w, cells)), the mean of each cell.

    Example:
        >>> import torch
        >>> coarse(torch.arange(4.0).reshape(1, 1, 4), cells=2)
        tensor([[[0.5000, 2.5000]]])
    """
    import torch.nn.functional as F

    size = min(cells, maps.shape[1]), min(cells, maps.shape[2])
    return F.adaptive_avg_pool2d(maps[:, None], size)[:, 0]


def order(maps: Tensor) -> Tensor:
    """The cells of each map, the most marked first; of equal ones, as they stand in rows.

    Petsiuk et al. 2018 (arXiv:1806.07421), the deletion and insertion metrics.

    Args:
        maps: (N, h, w).

    Returns:
        (N, h * w), the numbers of the cells, row by row.

    Example:
        >>> import torch
        >>> order(torch.tensor([[[0.0, 2.0], [2.0, 1.0]]]))
        tensor([[1, 2, 3, 0]])
    """
    return maps.flatten(1).argsort(dim=1, descending=True, stable=True)


def masks(cells: Tensor, shape: Sequence[int], steps: Sequence[float] = STEPS) -> Tensor:
    """Which cells are deleted at each step.

    Petsiuk et al. 2018 (arXiv:1806.07421), the deletion and insertion metrics, at a few steps.

    Args:
        cells: The numbers of all cells, in the order in which they are deleted, (h * w,).
        shape: Rows and columns of the cells, (h, w).
        steps: The share of the cells that is deleted by then, of each step.

    Returns:
        (steps, h, w), 1 where a cell is deleted, else 0; float32, on the device of `cells`.

    Example:
        >>> import torch
        >>> masks(torch.tensor([3, 1, 0, 2]), (2, 2), steps=(0.5,))
        tensor([[[0., 1.],
                 [0., 1.]]])
    """
    import torch

    deleted = torch.zeros(len(steps), len(cells), device=cells.device)
    for place, share in enumerate(steps):
        deleted[place, cells[: round(share * len(cells))]] = 1
    return deleted.reshape(-1, *shape)


def deletion_curves(
    score: Callable[[Tensor], Tensor],
    image: Tensor,
    other: Tensor,
    orders: Sequence[Tensor],
    shape: Sequence[int],
    ends: Tensor,
    steps: Sequence[float] = STEPS,
) -> Tensor:
    """The score while more and more cells of an image are replaced, for several orders of its cells.

    Petsiuk et al. 2018 (arXiv:1806.07421), the deletion and insertion metrics. The insertion curve of an order is the
    deletion curve of the opposite order, read backwards.

    Args:
        score: From images (n, C, H, W) to one score each (n,), such as the probability of the class.
        image: (C, H, W).
        other: What is put in place of deleted cells, (C, H, W); see `averaged`.
        orders: The cells (h * w,) in the order in which they are deleted, K times.
        shape: Rows and columns of the cells, (h, w).
        ends: The scores of `image` and of `other`, (2,).
        steps: The share of the cells that is deleted by then, of each step.

    Returns:
        (K, steps + 2): the score of the image, of each step, and of `other`.

    Example:
        >>> import torch
        >>> light = lambda images: images.mean((1, 2, 3))
        >>> image, other = torch.tensor([[[0.0, 1.0], [2.0, 5.0]]]), torch.zeros(1, 2, 2)
        >>> marked = order(image)[0]
        >>> curves = deletion_curves(light, image, other, [marked, marked.flip(0)], (2, 2), torch.tensor([2.0, 0.0]))
        >>> curves[:, [0, 2, 4]]
        tensor([[2.0000, 0.2500, 0.0000],
                [2.0000, 1.7500, 0.0000]])
    """
    import torch

    changed = replaced(
        image, other, torch.cat([masks(cells.to(image.device), shape, steps) for cells in orders])
    )
    between = score(changed).reshape(-1, len(steps))
    whole = ends.expand(len(between), 2)
    return torch.cat((whole[:, :1], between, whole[:, 1:]), 1)


def area(curves: Tensor, steps: Sequence[float] = STEPS) -> Tensor:
    """The area under curves over the share of cells: their mean height.

    Petsiuk et al. 2018 (arXiv:1806.07421): by the trapezoidal rule.

    Args:
        curves: (..., steps + 2), as `deletion_curves` gives them.
        steps: The share of the cells that is deleted by then, of each step.

    Returns:
        (...).

    Example:
        >>> import torch
        >>> area(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]))
        tensor(0.1000)
    """
    import torch

    return torch.trapezoid(curves, torch.tensor((0.0, *steps, 1.0), device=curves.device))


def faithfulness_curves(
    score: Callable[[Tensor], Tensor],
    image: Tensor,
    other: Tensor,
    cells: Tensor,
    orders: Sequence[Tensor],
    ends: Tensor,
    steps: Sequence[float] = STEPS,
) -> tuple[Tensor, Tensor, Tensor]:
    """The score while what a map marks is deleted and inserted, and beside it while other cells are deleted.

    Petsiuk et al. 2018 (arXiv:1806.07421), the deletion and insertion metrics.

    Args:
        score: From images (n, C, H, W) to one score each (n,), such as the probability of the class.
        image: (C, H, W).
        other: What is put in place of deleted cells, (C, H, W); see `averaged`.
        cells: The map, (h, w); see `coarse`.
        orders: Other orders of its cells, such as random ones, (h * w,) each, one or more.
        ends: The scores of `image` and of `other`, (2,).
        steps: The share of the cells that is deleted by then, of each step; alike from both ends.

    Returns:
        Three curves (steps + 2,) over the share of cells: deleted, the most marked first; inserted, the most marked
        first; and the mean of the other orders, deleted.

    Example:
        >>> import torch
        >>> light = lambda images: images.mean((1, 2, 3))
        >>> image, other = torch.tensor([[[0.0, 1.0], [2.0, 5.0]]]), torch.zeros(1, 2, 2)
        >>> curves = faithfulness_curves(light, image, other, image[0], [torch.arange(4)], torch.tensor([2.0, 0.0]))
        >>> [curve[2].item() for curve in curves]
        [0.25, 1.75, 1.75]
    """
    marked = order(cells[None])[0]
    curves = deletion_curves(score, image, other, [marked, marked.flip(0), *orders], cells.shape, ends, steps)
    # What is left when all but the most marked is deleted, read backwards.
    return curves[0], curves[1].flip(0), curves[2:].mean(0)


def advantage(
    deleted: Tensor, inserted: Tensor, random: Tensor, steps: Sequence[float] = STEPS
) -> tuple[Tensor, Tensor]:
    """By how much the order of a map moves the score more than other orders do; their mean is the map's faithfulness.

    Areas of Petsiuk et al. 2018 (arXiv:1806.07421), less those of random orders, as in Samek et al. 2017
    (doi:10.1109/TNNLS.2016.2599820).

    Args:
        deleted: The score while cells are deleted, the most marked first, (..., steps + 2).
        inserted: The score while cells are inserted, the most marked first, (..., steps + 2).
        random: The score while cells are deleted in other orders, (..., steps + 2).
        steps: The share of the cells that is deleted by then, of each step; alike from both ends.

    Returns:
        The advantage in deletion and in insertion, (...) each; 0 is none.

    Example:
        >>> import torch
        >>> deleted, inserted = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
        >>> advantage(deleted, inserted, torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0]))
        (tensor(0.4000), tensor(0.4000))
    """
    return area(random - deleted, steps), area(inserted - random.flip(-1), steps)
