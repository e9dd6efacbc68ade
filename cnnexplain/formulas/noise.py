"""Gradients at noisy copies of each image: their mean is SmoothGrad, their variance VarGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.formulas.gradients import Evaluate

__all__ = ["Moments", "noisy_gradients", "standard_normal"]


@dataclass(eq=False)
class Moments:
    """Mean and variance of many tensors for each of N images, none of which is kept.

    Welford 1962 (doi:10.1080/00401706.1962.10490022): a small variance does not drown in large squares.

    Example:
        >>> import torch
        >>> moments = Moments.like(torch.zeros(1, 2))
        >>> for values in ([1.0, 5.0], [3.0, 5.0]):
        ...     moments.add(0, torch.tensor(values))
        >>> moments.mean, moments.variance
        (tensor([[2., 5.]]), tensor([[1., 0.]]))
    """

    mean: Tensor  # (N, ...), float32
    squares: Tensor  # (N, ...), the sum of squared differences from the mean
    counts: list[int]  # how many tensors each image has had

    @classmethod
    def like(cls, images: Tensor) -> Moments:
        """Return the moments of no values yet, for tensors of the shape of each of `images` (N, ...)."""
        import torch

        mean = torch.zeros_like(images, dtype=torch.float32)
        return cls(mean, torch.zeros_like(mean), [0] * len(images))

    def add(self, image: int, values: Tensor) -> None:
        """Count one more tensor, of the shape of one image, for the image of this number."""
        self.counts[image] += 1
        change = values - self.mean[image]
        self.mean[image] += change / self.counts[image]
        self.squares[image] += change * (values - self.mean[image])

    @property
    def variance(self) -> Tensor:
        """The mean squared difference from the mean, (N, ...); NaN for an image that has had no tensor."""
        import torch

        return torch.stack(
            [squares / count for squares, count in zip(self.squares, self.counts, strict=True)]
        )


def standard_normal(seed: int, sample: int, images: Tensor) -> Tensor:
    """Normal noise of deviation 1 that depends on nothing but the seed and the sample's number.

    Args:
        seed: Not negative.
        sample: The number of the sample, not negative.
        images: (N, C, H, W); the noise has the shape of one of them, their device and precision.

    Returns:
        (C, H, W), drawn by NumPy's default generator, the same on every device.

    Example:
        >>> import torch
        >>> images = torch.zeros(5, 1, 1, 2)
        >>> bool((standard_normal(0, 3, images) == standard_normal(0, 3, images[:1])).all())
        True
    """
    import numpy as np
    import torch

    generator = np.random.default_rng((seed, sample))
    drawn = generator.standard_normal(images.shape[1:], dtype=np.float32)
    return torch.from_numpy(drawn).to(images)


def noisy_gradients(
    evaluate: Evaluate, images: Tensor, *, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> Moments:
    """SmoothGrad and VarGrad: mean and variance of the gradient over noisy copies of each image.

    Smilkov et al. 2017 (arXiv:1706.03825) and Adebayo et al. 2018 (arXiv:1810.03292). A sample's
    noise is the same for every image but for its size, whatever images are explained together.

    Args:
        evaluate: Scores and gradients at inputs; see `evaluator`.
        images: (N, C, H, W).
        samples: How many noisy copies of each.
        noise: The deviation of the noise, as a share of the range from an image's smallest to its largest value.
        seed: Not negative; another one draws other noise.

    Returns:
        Moments of which `mean` is SmoothGrad and `variance` VarGrad, (N, C, H, W) each; `largest` makes one value a
        pixel of them.

    Example:
        >>> import torch
        >>> from cnnexplain.formulas import evaluator
        >>> linear = evaluator(lambda x, image: 3 * x.sum((1, 2, 3)))
        >>> moments = noisy_gradients(linear, torch.rand(1, 1, 1, 2), samples=4)
        >>> moments.mean.flatten().tolist(), moments.variance.flatten().tolist()
        ([3.0, 3.0], [0.0, 0.0])
    """
    import torch

    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    deviation = (noise * (high - low))[:, None, None, None]
    moments = Moments.like(images)

    def copies(rows: range) -> tuple[Tensor, Tensor]:
        image = torch.tensor([row % len(images) for row in rows], device=images.device)
        numbers = [row // len(images) for row in rows]
        drawn = {number: standard_normal(seed, number, images) for number in set(numbers)}
        noises = torch.stack([drawn[number] for number in numbers])
        return images[image] + deviation[image] * noises, image

    for rows, _, gradients in evaluate(samples * len(images), copies):
        for row, gradient in zip(rows, gradients, strict=True):
            moments.add(row % len(images), gradient)
    return moments
