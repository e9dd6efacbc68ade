"""Maps of pixels made of gradients of a score with respect to the input, and how a formula asks for such gradients.

Formulas that need gradients at inputs of their own making, as integrated gradients do, take an `Evaluate`. `evaluator`
makes one of any function that torch can differentiate; the commands have their own, which adapts to memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["evaluator", "guided_gradcam", "input_x_gradient", "largest", "summed"]

# For a range of rows: their inputs (n, C, H, W), and the numbers (n,) of the images that they were made of.
Inputs = Callable[[range], "tuple[Tensor, Tensor]"]
# For so many rows and their inputs, chunk by chunk: the rows, their scores (n,), and the gradients (n, C, H, W).
Evaluate = Callable[[int, Inputs], "Iterator[tuple[range, Tensor, Tensor]]"]


def evaluator(score: Callable[[Tensor, Tensor], Tensor], at_once: int = 32) -> Evaluate:
    """Make scores and gradients available to a formula, for any function of the input that torch can differentiate.

    Args:
        score: From inputs (n, C, H, W) and the numbers (n,) of the images that they were made of to one score each
            (n,), such as the logit of the class that is explained. The score of a row must depend on that row alone.
        at_once: How many inputs go through it together.

    Returns:
        What `integrated_gradients` and `noisy_gradients` take.

    Example:
        >>> import torch
        >>> evaluate = evaluator(lambda x, image: x.square().sum((1, 2, 3)), at_once=2)
        >>> images = torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
        >>> rows = lambda chunk: (images[list(chunk)], torch.tensor(list(chunk)))
        >>> [(scores.tolist(), gradients.flatten().tolist()) for _, scores, gradients in evaluate(3, rows)]
        [([1.0, 4.0], [2.0, 4.0]), ([9.0], [6.0])]
    """

    def evaluate(rows: int, inputs: Inputs) -> Iterator[tuple[range, Tensor, Tensor]]:
        import torch

        for first in range(0, rows, at_once):
            chunk = range(first, min(first + at_once, rows))
            batch, image = inputs(chunk)
            pixels = batch.detach().requires_grad_()
            with torch.enable_grad():
                scores = score(pixels.clone(), image)  # a copy, so that it may write into its input
                (gradients,) = torch.autograd.grad(scores.sum(), pixels)
            yield chunk, scores.detach(), gradients

    return evaluate


def largest(values: Tensor) -> Tensor:
    """One value a pixel: the largest absolute value of its channels, for maps without a sign.

    Of a gradient this is the saliency map of Simonyan et al. 2013 (arXiv:1312.6034), section 3.1.

    Args:
        values: (N, C, H, W), signed.

    Returns:
        (N, H, W), nowhere negative.

    Example:
        >>> import torch
        >>> largest(torch.tensor([1.0, -3.0, 2.0]).reshape(1, 3, 1, 1))
        tensor([[[3.]]])
    """
    return values.abs().amax(1)


def summed(values: Tensor) -> Tensor:
    """One value a pixel: the sum of its channels, which keeps sign and total.

    Completeness, as of integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, proposition 1), holds of the
    sums as it holds of the channels.

    Args:
        values: (N, C, H, W), signed.

    Returns:
        (N, H, W), signed.

    Example:
        >>> import torch
        >>> summed(torch.tensor([1.0, -3.0, 0.5]).reshape(1, 3, 1, 1))
        tensor([[[-1.5000]]])
    """
    return values.sum(1)


def input_x_gradient(inputs: Tensor, gradients: Tensor) -> Tensor:
    """What every value would contribute to the score if the network were linear.

    Shrikumar et al. 2016 (arXiv:1605.01713): the gradient times the normalised input.

    Args:
        inputs: The images as the model is fed them, (N, C, H, W), of any precision.
        gradients: The gradient of the score with respect to them, (N, C, H, W), float32.

    Returns:
        (N, C, H, W), signed, float32; `summed` makes one value a pixel of it.

    Example:
        >>> import torch
        >>> inputs, gradients = torch.full((1, 2, 1, 1), 3.0), torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1)
        >>> summed(input_x_gradient(inputs, gradients))
        tensor([[[-3.]]])
    """
    return gradients * inputs.float()


def guided_gradcam(guided: Tensor, cam: Tensor) -> Tensor:
    """Fine lines, weighted by where the class was found.

    Selvaraju et al. 2017 (arXiv:1610.02391), section 3.2: guided backpropagation times Grad-CAM.

    Args:
        guided: What guided backpropagation gives, (N, C, H, W).
        cam: The rectified Grad-CAM at the input's size, (N, 1, H, W); see `enlarged`.

    Returns:
        (N, C, H, W), signed; `summed` makes one value a pixel of it.

    Example:
        >>> import torch
        >>> guided = torch.tensor([1.0, -1.0]).reshape(1, 1, 1, 2)
        >>> guided_gradcam(guided, torch.tensor([0.5, 2.0]).reshape(1, 1, 1, 2))
        tensor([[[[ 0.5000, -2.0000]]]])
    """
    return guided * cam
