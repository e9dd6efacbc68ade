"""Gradients at noisy copies of each image: their mean is SmoothGrad, their variance VarGrad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.formulas.sampling import SampledMean, resolutions

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.formulas.gradients import Evaluate

__all__ = ["Moments", "noisy_gradients", "standard_normal"]

AT_ONCE = 32  # copies of an image, between which it is asked whether they suffice
TOGETHER = 8  # gradients that are counted together, whatever number goes through the model at once


@dataclass(eq=False)
class Moments:
    """Mean and variance of the gradients at noisy copies of one image, each with its standard error; none is kept.

    Welford 1962 (doi:10.1080/00401706.1962.10490022). Gradients come in pairs of opposite noise. A pair's mean is one
    sample of SmoothGrad, and what it adds to the sum of squared differences is one of VarGrad.

    Attributes:
        gradient: The mean gradient.
        variance: The variance of the gradient, the mean squared difference from the mean; None where it is not wanted.

    Example:
        >>> import torch
        >>> moments = Moments.of_size(1, 1)
        >>> moments.add(torch.tensor([1.0, 5.0, 2.0, 8.0]).reshape(4, 1, 1, 1))
        >>> moments.samples, moments.gradient.mean().item(), moments.variance.mean().item()
        (4, 4.0, 7.5)
        >>> moments.gradient.error().item()  # of two pairs with the means 3 and 5
        1.0
    """

    gradient: SampledMean
    variance: SampledMean | None

    @classmethod
    def of_size(cls, height: int, width: int, *, variance: bool = True) -> Moments:
        """Return the moments of no gradients yet.

        Args:
            height: Of the image.
            width: Of the image.
            variance: Whether the variance is wanted as well.
        """
        sizes = resolutions(height, width)
        return cls(SampledMean(sizes), SampledMean(sizes) if variance else None)

    def add(self, gradients: Tensor) -> None:
        """Count further gradients.

        Args:
            gradients: (K, C, H, W), two and two at copies with opposite noise; or a single one, the last of an odd
                number.
        """
        weight = min(2, len(gradients))
        pairs = gradients.float().contiguous().view(-1, weight, *gradients.shape[1:])
        means = pairs.mean(1)
        if self.variance is not None:
            # What each pair adds to the sum of squares: its own, and its distance from the mean of all before it.
            squares = (pairs - means[:, None]).square_().mean(1)
            before, mean = self.samples, self.gradient.mean().float() if self.samples else means[0]
            for pair, own in zip(squares, means, strict=True):
                away = own - mean
                pair.addcmul_(away, away, value=before / (before + weight))
                mean = mean + away * (weight / (before + weight))
                before += weight
            self.variance.add(squares, weight)
        self.gradient.add(means, weight)

    @property
    def samples(self) -> int:
        """How many gradients were added."""
        return round(self.gradient.weight)


def standard_normal(seed: int, sample: int, images: Tensor) -> Tensor:
    """Normal noise of deviation 1 that depends on nothing but the seed and the sample's number.

    Of two samples the odd one is the even one's opposite: what changes its sign with the noise cancels in their mean.

    Args:
        seed: Not negative.
        sample: The number of the sample, not negative.
        images: (N, C, H, W); the noise has the shape of one of them, their device and precision.

    Returns:
        (C, H, W), drawn by NumPy's default generator, the same on every device.

    Example:
        >>> import torch
        >>> images = torch.zeros(5, 1, 1, 2)
        >>> bool((standard_normal(0, 2, images) == standard_normal(0, 2, images[:1])).all())
        True
        >>> bool((standard_normal(0, 2, images) == -standard_normal(0, 3, images)).all())
        True
    """
    import numpy as np
    import torch

    generator = np.random.default_rng((seed, sample // 2))
    drawn = generator.standard_normal(images.shape[1:], dtype=np.float32)
    return torch.from_numpy(-drawn if sample % 2 else drawn).to(images)


def noisy_gradients(
    evaluate: Evaluate,
    images: Tensor,
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    variance: bool = True,
    enough: Callable[[Moments], bool] | None = None,
) -> list[Moments]:
    """SmoothGrad and VarGrad: mean and variance of the gradient over noisy copies of each image.

    Smilkov et al. 2017 (arXiv:1706.03825) and Adebayo et al. 2018 (arXiv:1810.03292). A sample's
    noise is the same for every image but for its size, whatever images are explained together.

    Args:
        evaluate: Scores and gradients at inputs; see `evaluator`.
        images: (N, C, H, W).
        samples: How many noisy copies of each; with `enough`, at most.
        noise: The deviation of the noise, as a share of the range from an image's smallest to its largest value.
        seed: Not negative; another one draws other noise.
        variance: Whether VarGrad is wanted as well.
        enough: Asked after every 32 copies of an image whether they suffice.

    Returns:
        For each image `Moments`, of which `gradient` is SmoothGrad and `variance` VarGrad; `largest` makes one value a
        pixel of the means.

    Example:
        >>> import torch
        >>> from cnnexplain.formulas import evaluator
        >>> linear = evaluator(lambda x, image: 3 * x.sum((1, 2, 3)))
        >>> (moments,) = noisy_gradients(linear, torch.rand(1, 1, 1, 2), samples=4)
        >>> moments.gradient.mean().flatten().tolist(), moments.gradient.error().flatten().tolist()
        ([3.0, 3.0], [0.0, 0.0])
        >>> moments.variance.mean().flatten().tolist()
        [0.0, 0.0]
    """
    return [
        _moments(
            evaluate,
            images,
            image,
            Moments.of_size(*images.shape[2:], variance=variance),
            samples=samples,
            noise=noise,
            seed=seed,
            enough=enough or (lambda _: False),
        )
        for image in range(len(images))
    ]


def _moments(
    evaluate: Evaluate,
    images: Tensor,
    image: int,
    moments: Moments,
    *,
    samples: int,
    noise: float,
    seed: int,
    enough: Callable[[Moments], bool],
) -> Moments:
    """Return the moments of one image; what goes through the model together does not depend on the other images."""
    import torch

    plain = images[image]
    deviation = noise * (plain.amax() - plain.amin())
    while (first := moments.samples) < samples and not (first and enough(moments)):

        def copies(rows: range, first: int = first) -> tuple[Tensor, Tensor]:
            drawn = torch.stack([standard_normal(seed, first + row, images) for row in rows])
            return plain + deviation * drawn, torch.full((len(rows),), image, device=images.device)

        waiting: list[Tensor] = []
        for _, _, gradients in evaluate(min(AT_ONCE, samples - first), copies):
            waiting += gradients
            while len(waiting) >= TOGETHER:
                moments.add(torch.stack(waiting[:TOGETHER]))
                del waiting[:TOGETHER]
        even = len(waiting) // 2 * 2
        for part in filter(None, (waiting[:even], waiting[even:])):
            moments.add(torch.stack(part))
    return moments
