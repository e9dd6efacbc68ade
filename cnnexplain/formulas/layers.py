"""What is done with maps of layers, whatever formula they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["branch_shares", "enlarged"]


def enlarged(
    cam: Tensor, size: tuple[int, int], box: tuple[float, float, float, float] = (0, 0, 1, 1)
) -> Tensor:
    """A map at the size of the input, as guided Grad-CAM needs it, by bilinear interpolation.

    Selvaraju et al. 2017 (arXiv:1610.02391), section 3.2.

    Args:
        cam: (N, h, w).
        size: Height and width of the input.
        box: Left, top, right and bottom of what the map covers, as shares of the input's width and height.

    Returns:
        (N, 1, height, width), zero outside the box.

    Example:
        >>> import torch
        >>> enlarged(torch.ones(1, 1, 1), (2, 4), box=(0.5, 0, 1, 1))
        tensor([[[[0., 0., 1., 1.],
                  [0., 0., 1., 1.]]]])
    """
    from torch.nn.functional import interpolate

    height, width = size
    left, top, right, bottom = (
        round(edge * side) for edge, side in zip(box, (width, height) * 2, strict=True)
    )
    high, wide = max(1, bottom - top), max(1, right - left)
    whole = cam.new_zeros((len(cam), 1, height, width))
    whole[:, :, top : top + high, left : left + wide] = interpolate(
        cam[:, None], size=(high, wide), mode="bilinear"
    )
    return whole


def branch_shares(maps: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """How much of what counts for a class lies in each of several maps, as of parallel branches.

    Gradient times map, summed without its sign: to first order, by how much the score would change if single values
    were taken away (Molchanov et al. 2017, arXiv:1611.06440).

    Args:
        maps: One or more, (N, C, h, w), each of a size of its own.
        gradients: The gradient of the class score with respect to each; None where there is none.

    Returns:
        The share of each map, (N,), float32, on the CPU; they add up to 1, or are NaN where nothing counts.

    Example:
        >>> import torch
        >>> branch_shares([torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 3)], [torch.ones(1, 1, 1, 1), None])
        [tensor([1.]), tensor([0.])]
    """
    import torch

    counted = torch.stack(
        [
            torch.zeros(len(a)) if g is None else (g * a.detach()).abs().float().flatten(1).sum(1).cpu()
            for a, g in zip(maps, gradients, strict=True)
        ]
    )
    return list(counted / counted.sum(0))
