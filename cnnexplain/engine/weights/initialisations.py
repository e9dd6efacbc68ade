"""Which usual initialisation a layer's weights were drawn from and not changed since, by bounds and distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from cnnexplain.engine.weights.independence import distance, normal_share

# Kolmogorov's distance times the root of the number of weights, which fresh ones exceed once in a thousand.
FITS = 1.95
# Of n uniform weights the largest falls short of the bound by 1 / n on average; by more than this over n seldom: e^-10.
SHORT = 10
ROUNDING = 1e-6  # of a bound: float32, and arithmetic in another order
SPREAD = 3.5  # standard deviations by which the size of normal weights may differ from what was drawn


@dataclass(frozen=True)
class Initialisation:
    """One way to draw weights, and what a layer of this shape gets by it."""

    name: str
    uniform: bool
    scale: float  # the bound of a uniform distribution, or the standard deviation of a normal one


def usual(shape: tuple[int, ...]) -> Iterator[Initialisation]:
    """What libraries draw weights of a shape (K, C / groups, ...) from, the most common first.

    torch 2.14 (`Linear` and `Conv2d.reset_parameters`), torchvision 0.29, timm 1.0.31, and Keras' Glorot.
    """
    fan_in, fan_out = prod(shape[1:]), shape[0] * prod(shape[2:])
    both = fan_in + fan_out
    yield Initialisation("uniform within 1/√fan_in, torch's default", True, 1 / math.sqrt(fan_in))
    yield Initialisation("uniform within 1/√classes, EfficientNet's", True, 1 / math.sqrt(shape[0]))
    yield Initialisation("Xavier's uniform", True, math.sqrt(6 / both))
    yield Initialisation("Kaiming's uniform for ReLU", True, math.sqrt(6 / fan_in))
    yield Initialisation("normal of 0.01, torchvision's", False, 0.01)
    yield Initialisation("normal of 0.02, timm's", False, 0.02)
    yield Initialisation("Kaiming's normal, by fan_out", False, math.sqrt(2 / fan_out))
    yield Initialisation("Kaiming's normal, by fan_in", False, math.sqrt(2 / fan_in))
    yield Initialisation("Xavier's normal", False, math.sqrt(2 / both))


def initialisation(
    values: NDArray[np.float32],
    shape: tuple[int, ...],
    bias: NDArray[np.float32] | None,
    *,
    random: bool = False,
) -> Initialisation | None:
    """The usual initialisation that weights of a shape follow to the last; None where they follow none.

    A uniform one has a bound that no weight exceeds and the largest all but reaches: one step of training carries
    some across it. A normal one has none, and counts only where the biases are still zero, as they began; or where it
    is known by other means that the weights are `random`, and only the name is asked.
    """
    sizes = np.sort(np.abs(values.astype(np.float64)).ravel())
    if not sizes.size or sizes[-1] == 0:
        return None
    zero_bias = random or (bias is not None and not bias.any())
    # Of normal ones whose sizes can hardly be told apart, the closest.
    size = math.sqrt(float(np.square(sizes).mean()))
    for draw in sorted(usual(shape), key=lambda draw: 0 if draw.uniform else abs(size / draw.scale - 1)):
        scaled = sizes / draw.scale
        if draw.uniform:
            near = draw.scale * (1 - SHORT / sizes.size) <= sizes[-1] <= draw.scale * (1 + ROUNDING)
            near = near and (random or _bias_fits(bias, shape))
        else:
            near = zero_bias and abs(size / draw.scale - 1) <= SPREAD / math.sqrt(2 * sizes.size)
        if near and distance(scaled if draw.uniform else normal_share(scaled)) <= FITS:
            return draw
    return None


def _bias_fits(bias: NDArray[np.float32] | None, shape: tuple[int, ...]) -> bool:
    """Whether biases are as drawn: zero, or within torch's bound."""
    bound = (1 + ROUNDING) / math.sqrt(prod(shape[1:]))
    return bias is None or float(np.abs(bias).max(initial=0)) <= bound
