"""How far weights are from independent draws of one distribution, which is what initialisations make."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# How much of a layer is looked at: a part of independent draws is as independent.
FILTERS, LARGEST = 1024, 1 << 20
PAIRED = 512  # filters that are compared with each other
SAMPLE = 100_000  # weights that are held against distributions
KURTOSES = (1.8, 3.0)  # of the uniform and the normal; those of truncated normals lie between
CUT = 2.0  # standard deviations at which usual truncated normals end
LEFT = 0.8796256610342398  # the standard deviation of what such a cut leaves of the standard normal


@dataclass(frozen=True)
class Independence:
    """How one layer compares with independent draws."""

    deviations: float  # standard deviations that the most telling figure is too large by
    figure: str  # which one that is
    shape: str  # the distribution that the weights are most like


def independence(values: NDArray[np.float32]) -> Independence:
    """How weights (K, C, ...), finite and not all alike, compare with independent draws of one distribution.

    All figures are such that structure makes them larger. Orthogonal weights have smaller figures than independent
    ones, and count as independent.
    """
    chance = np.random.default_rng(0)
    weights = _part(values, chance)
    weights /= np.sqrt(np.square(weights).mean())
    shape, misfit = _shape(weights.reshape(-1), chance)
    kurtosis = float(np.square(np.square(weights)).mean())
    least, most = KURTOSES
    count = weights.size
    figures = {
        f"distribution unlike {shape}": misfit,
        "heavy tails": (kurtosis - most) / math.sqrt(24 / count),
        "two values": (least - kurtosis) / math.sqrt(0.8 / count),
        "filters alike": _likeness(weights.reshape(len(weights), -1), chance),
    }
    known = min(max(kurtosis, least), most)
    for name, groups in _grouped(weights):
        figures[f"{name} of unequal size"] = _spread(groups, known)
        figures[f"{name} with a sum"] = _sums(groups)
    figure = max(figures, key=lambda name: figures[name])
    return Independence(figures[figure], figure, shape)


def _part(values: NDArray[np.float32], chance: np.random.Generator) -> Floats:
    """The weights as (filters, inputs, places of the kernel); of a very large layer some filters and inputs."""
    weights = values.reshape(*values.shape[:2], -1)
    if len(weights) > FILTERS:
        weights = weights[np.sort(chance.choice(len(weights), FILTERS, replace=False))]
    inputs = max(1, LARGEST // (len(weights) * weights.shape[2]))
    if weights.shape[1] > inputs:
        weights = weights[:, np.sort(chance.choice(weights.shape[1], inputs, replace=False))]
    # Divided first, so that no square of a number of float32 is lost.
    return weights.astype(np.float64) / float(np.abs(weights).max(initial=0) or 1)


def _grouped(weights: Floats) -> Iterator[tuple[str, Floats]]:
    """The weights in groups, a row a group, where there are two and more of two and more."""
    filters, inputs, places = weights.shape
    grouped = {
        "filters": weights.reshape(filters, -1),
        "inputs": weights.transpose(1, 0, 2).reshape(inputs, -1),
        "places": weights.reshape(-1, places).T,
        "kernels": weights.reshape(-1, places),
    }
    return ((name, groups) for name, groups in grouped.items() if min(groups.shape) > 1)


def _spread(groups: Floats, kurtosis: float) -> float:
    """Of the groups' mean squares: their variance against (kurtosis - 1) / n, that of n independent weights."""
    count, size = groups.shape
    ratio = float(np.square(groups).mean(axis=1).var(ddof=1)) * size / (kurtosis - 1)
    # The mean of few squares has heavy tails: 12 is what the squares of normal weights have.
    tails = 12 * (kurtosis - KURTOSES[0]) / (KURTOSES[1] - KURTOSES[0]) / size
    return _deviations(ratio, 2 / (2 / (count - 1) + tails / count))


def _sums(groups: Floats) -> float:
    """Of the groups' sums: their mean square against n, that of n independent weights."""
    count, size = groups.shape
    return _deviations(float(np.square(groups.sum(axis=1)).mean()) / size, count)


def _likeness(rows: Floats, chance: np.random.Generator) -> float:
    """Of pairs of filters: their mean squared cosine against 1 / n, that of independent ones."""
    shorter = rows if len(rows) <= rows.shape[1] else rows.T
    if len(shorter) > PAIRED:
        shorter = shorter[chance.choice(len(shorter), PAIRED, replace=False)]
    if len(shorter) < 3:
        return 0.0
    norms = np.sqrt(np.square(shorter).sum(axis=1, keepdims=True))
    units = (shorter / np.maximum(norms, 1e-30)).astype(np.float32)
    cosines = units @ units.T
    np.fill_diagonal(cosines, 0)
    pairs = len(units) * (len(units) - 1)
    ratio = float(np.square(cosines).sum(dtype=np.float64)) / pairs * units.shape[1]
    return _deviations(ratio, pairs / 2)


def _shape(weights: Floats, chance: np.random.Generator) -> tuple[str, float]:
    """The usual distribution that fits best, and by how much it does not (Kolmogorov & Smirnov)."""
    size = np.abs(weights if weights.size <= SAMPLE else chance.choice(weights, SAMPLE))
    size.sort()
    distances = {
        "uniform": distance(size / size[-1]),
        "normal": distance(normal_share(size)),
        "truncated normal": distance(normal_share(size * LEFT) / normal_share(np.array([CUT]))),
    }
    best = min(distances, key=lambda name: distances[name])
    # Chance exceeds x by 2 exp(-2 x²), which falls as the normal's does at 2 x.
    return best, 2 * distances[best]


def distance(shares: Floats) -> float:
    """Kolmogorov's distance of sorted shares (n,) from the uniform distribution, times the root of n."""
    uniform = (np.arange(len(shares)) + 0.5) / len(shares)
    return float(np.abs(np.minimum(shares, 1) - uniform).max()) * math.sqrt(len(shares))


def normal_share(sizes: Floats) -> Floats:
    """The share of standard normal numbers that are smaller than each of `sizes`, sign aside."""
    shares: Floats = torch.erf(torch.from_numpy(sizes / math.sqrt(2))).numpy()
    return shares


def _deviations(ratio: float, freedom: float) -> float:
    """A χ² over its degrees of freedom as standard deviations of the normal (Wilson & Hilferty)."""
    width = 2 / (9 * freedom)
    return float((max(ratio, 0.0) ** (1 / 3) - (1 - width)) / math.sqrt(width))
