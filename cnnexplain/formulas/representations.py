"""How alike two representations of the same images are, and of how many dimensions a matrix makes use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["effective_rank", "gram_matrix", "linear_cka", "unbiased_hsic"]

FEWEST = 4  # images that the unbiased estimate needs


def gram_matrix(x: Tensor) -> Tensor:
    """Inner products of what a layer says of every two images, its mean over the images taken off.

    The linear kernel of Kornblith et al. 2019 (arXiv:1905.00414), section 3. Taking off a mean changes no unbiased
    estimate, and keeps the digits of those that differ little.

    Args:
        x: What a layer gives back, (N, ...): of each image any number of values.

    Returns:
        (N, N), float64.

    Example:
        >>> import torch
        >>> gram_matrix(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    rows = x.reshape(len(x), -1).float()
    rows = rows - rows.mean(0)
    return (rows @ rows.T).double()


def unbiased_hsic(k: Tensor, m: Tensor) -> Tensor:
    """The Hilbert-Schmidt independence criterion, estimated without bias: 0 on average where nothing is shared.

    HSIC_1 of Song et al. 2012, of which Nguyen et al. 2021 (arXiv:2010.15327) take the mean over batches, so that
    memory does not depend on the number of images.

    Args:
        k: Gram matrices of one representation, (..., N, N), of at least four images.
        m: Gram matrices of another, of the same images, (..., N, N); leading dimensions broadcast.

    Returns:
        (...), float64; below zero where chance has it so.

    Example:
        >>> import torch
        >>> k = gram_matrix(torch.tensor([[0.0], [1.0], [2.0], [4.0]]))
        >>> round(float(unbiased_hsic(k, k)), 4)
        4.6667
    """
    import torch

    count = k.shape[-1]
    eye = torch.eye(count, dtype=torch.bool, device=k.device)
    k, m = (each.double().masked_fill(eye, 0) for each in (k, m))
    first, second = k.sum(-1), m.sum(-1)
    total = (k * m).sum((-2, -1))
    total = total + first.sum(-1) * second.sum(-1) / ((count - 1) * (count - 2))
    total = total - 2 / (count - 2) * (first * second).sum(-1)
    return total / (count * (count - 3))


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment: 1 where one is a rotated and scaled copy of the other, about 0 by chance.

    Kornblith et al. 2019 (arXiv:1905.00414), section 3, with the unbiased estimate as in Nguyen et al. 2021
    (arXiv:2010.15327). The biased estimate calls independent representations of few images alike.

    Args:
        x: What one layer gives back, (N, ...), of at least four images.
        y: What another gives back of the same images, (N, ...), of any other size.

    Returns:
        At most about 1; NaN where one says the same of all images.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [4.0, 2.0], [3.0, 3.0]])
        >>> turned = -3 * x.flip(1)
        >>> round(linear_cka(x, turned), 6)
        1.0
    """
    k, m = gram_matrix(x), gram_matrix(y)
    scale = float(unbiased_hsic(k, k)) * float(unbiased_hsic(m, m))
    return float(unbiased_hsic(k, m)) / scale**0.5 if scale > 0 else float("nan")


def effective_rank(matrix: Tensor) -> float:
    """Of how many dimensions a matrix makes use: the exponential of the entropy of its singular values.

    Roy & Vetterli 2007 (EUSIPCO, pages 606 to 610); of similarities in Friedman & Dieng 2022 (arXiv:2210.02410).

    Args:
        matrix: (K, ...): a row for each filter.

    Returns:
        From 1 to the smaller side; 0 of nothing but zeros, NaN where a value is not finite.

    Example:
        >>> import torch
        >>> round(effective_rank(torch.eye(3)), 4), round(effective_rank(torch.ones(3, 2)), 4)
        (3.0, 1.0)
    """
    import torch

    rows = matrix.reshape(len(matrix), -1).double()
    if not bool(rows.isfinite().all()):
        return float("nan")
    if rows.shape[0] > rows.shape[1]:
        rows = rows.T
    squares = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0)
    values = torch.where(squares > squares.max() * 1e-14, squares, 0).sqrt()  # below are rounding errors
    if not float(values.sum()) > 0:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
