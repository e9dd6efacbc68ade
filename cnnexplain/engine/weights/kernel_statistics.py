"""What can be counted about the filters of a layer, and their order by likeness. NumPy only."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnexplain.core.results.kernels import ALIKE, DEAD, KernelStatistics, Likeness, Smoothness

BINS = 41  # of the histogram; an odd number, so that zero lies in the middle of one
LISTED = 20  # pairs
LEAST = 4  # weights: shorter filters are alike by chance
MOST = 16_384  # filters: the number of pairs grows with the square
BLOCK = 1 << 22  # numbers in memory beside the weights
SKETCH = 256  # numbers that a long filter is shortened to, to look for candidates
CHECKED = 100_000  # candidates at once; where more are alike, their sketches say so well enough
MARGIN = 0.02  # a cosine of sketches near 0.99 errs by (1 - 0.99²) / √256 = 0.0012, seldom by twice that
SMALLEST_SIDE = 3


def statistics(values: NDArray[np.float32], *, spatial: bool = True) -> KernelStatistics:
    """The statistics of filters (K, C, ...). `spatial`: whether neighbours along the axes behind C mean something."""
    finite = np.isfinite(values)
    flat = values.reshape(len(values), -1)
    unbroken = finite.reshape(len(values), -1).all(axis=1)
    clean = values if unbroken.all() else np.where(finite, values, np.float32(0))
    limit = float(np.abs(clean).max(initial=0))
    norms = _norms(clean.reshape(flat.shape), limit)
    norms[~unbroken] = np.nan
    scale = _scale(norms)
    dead = np.flatnonzero(norms <= DEAD * scale)  # a comparison with NaN is false
    living = np.flatnonzero(norms > DEAD * scale)
    counted = clean if unbroken.all() else values[finite]
    shares = counted / np.float32(limit or 1)  # at most 1, so that no width of a bin overflows
    return KernelStatistics(
        norms=norms,
        limit=limit,
        histogram=np.histogram(shares, BINS, (-1, 1))[0],
        dead=tuple(dead.tolist()),
        broken=tuple(np.flatnonzero(~unbroken).tolist()),
        nan=int(np.isnan(values).sum()),
        infinite=int(np.isinf(values).sum()),
        alike=_likeness(clean, norms, living),
        smoothness=_smoothness(clean, norms, living) if spatial else None,
    )


def _scale(norms: NDArray[np.float64]) -> float:
    """The root mean square of the norms of a layer's finite filters."""
    sound = norms[~np.isnan(norms)]
    return math.sqrt(float(np.square(sound).mean())) if sound.size else 0.0


def by_likeness(values: NDArray[np.float32], norms: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order in which each filter is followed by the one most like it of those left; from the strongest on.

    Filters that are dead, of which only rounding may be left, or not finite come last.
    """
    strength = np.nan_to_num(norms, nan=0.0)
    living = strength > DEAD * _scale(norms)
    chosen, others = np.flatnonzero(living), np.flatnonzero(~living)
    if not chosen.size:
        return others
    units = _sketched(_units(values, norms, chosen))
    free = np.ones(len(chosen), bool)
    place, order = int(strength[chosen].argmax()), []
    for _ in chosen:
        order.append(place)
        free[place] = False
        nearness = units @ units[place]
        nearness[~free] = -np.inf
        place = int(nearness.argmax())
    return np.concatenate((chosen[order], others))


def _norms(flat: NDArray[np.float32], limit: float) -> NDArray[np.float64]:
    """Norms (K,), of numbers however large or small: squares of neither are lost."""
    norms = np.zeros(len(flat))
    if limit > 0:
        for rows in _blocks(len(flat), flat.shape[1]):
            scaled = flat[rows].astype(np.float64) / limit
            norms[rows] = np.sqrt(np.einsum("kn,kn->k", scaled, scaled)) * limit
    return norms


def _units(
    values: NDArray[np.float32], norms: NDArray[np.float64], which: NDArray[np.intp]
) -> NDArray[np.float32]:
    """The chosen filters as rows of length one."""
    units = np.empty((len(which), values[0].size), np.float32)
    for rows in _blocks(len(which), units.shape[1]):
        chosen = which[rows]
        units[rows] = values[chosen].reshape(len(chosen), -1) / norms[chosen, None]
    return units


def _sketched(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Long rows shortened by one random projection, which nearly keeps their cosines (Johnson-Lindenstrauss)."""
    length = units.shape[1]
    if length <= 2 * SKETCH:
        return units
    signs = np.random.default_rng(0).integers(0, 2, (length, SKETCH), np.int8)
    # Of length one again: the cosine of two that are alike then hardly errs, whereas their product would.
    shortened: NDArray[np.float32] = units @ (2 * signs - 1).astype(np.float32)
    lengths = np.sqrt(np.einsum("kn,kn->k", shortened, shortened))[:, None]
    shortened /= np.maximum(lengths, np.float32(1e-30))
    return shortened


def _likeness(
    values: NDArray[np.float32], norms: NDArray[np.float64], living: NDArray[np.intp]
) -> Likeness | None:
    """Pairs of living filters that point the same way, or opposite ways."""
    if len(values) > MOST or values[0].size < LEAST:
        return None
    units = _units(values, norms, living) if len(living) else np.empty((0, 1), np.float32)
    sketches = _sketched(units)
    pairs = opposite = 0
    partnered = np.zeros(len(living), bool)
    closest: list[tuple[float, int, int]] = []
    for rows in _blocks(len(living), len(living)):
        cosines = sketches[rows] @ sketches.T
        cosines[np.arange(rows.start, rows.stop)[:, None] >= np.arange(len(living))] = 0  # each pair once
        here, there = np.nonzero(np.abs(cosines) >= ALIKE - (MARGIN if sketches is not units else 0))
        near = cosines[here, there]
        here += rows.start
        if sketches is not units and len(here) <= CHECKED:
            near = _cosines(units, here, there)
        alike = near >= ALIKE
        opposite += int((near <= -ALIKE).sum())
        here, there, near = here[alike], there[alike], near[alike]
        pairs += len(near)
        partnered[here] = partnered[there] = True
        for number in np.argsort(-near, kind="stable")[:LISTED]:
            closest.append((float(near[number]), int(living[here[number]]), int(living[there[number]])))
    same = Counter((values[row] + np.float32(0)).tobytes() for row in living[partnered])  # -0 is 0
    equal = sum(number * (number - 1) // 2 for number in same.values())
    closest.sort(key=lambda pair: (-pair[0], *pair[1:]))
    shown = tuple((first, second, min(cosine, 1.0)) for cosine, first, second in closest[:LISTED])
    return Likeness(pairs, int(partnered.sum()), equal, opposite, shown)


def _cosines(
    units: NDArray[np.float32], here: NDArray[np.intp], there: NDArray[np.intp]
) -> NDArray[np.float32]:
    cosines = np.empty(len(here), np.float32)
    for part in _blocks(len(here), units.shape[1]):
        cosines[part] = np.einsum("kn,kn->k", units[here[part]], units[there[part]])
    return cosines


def _smoothness(
    values: NDArray[np.float32], norms: NDArray[np.float64], living: NDArray[np.intp]
) -> Smoothness | None:
    """The mean product of neighbouring weights over the mean square, averaged over the living filters.

    Of independent Gaussian weights, N a filter with P pairs of neighbours, a filter's figure has mean 0 and
    variance N / (P (N + 2)): a direction at random, so that E[a²b²] = 1 / (N (N + 2)), and other products cancel.
    """
    sides = values.shape[2:]
    if max(sides, default=0) < SMALLEST_SIDE or not len(living):
        return None
    count = values[0].size
    pairs = sum(count // side * (side - 1) for side in sides)
    total = 0.0
    for rows in _blocks(len(living), count):
        chosen = living[rows]
        shape = (-1, *(1 for _ in values.shape[1:]))
        units = values[chosen] / norms[chosen].reshape(shape)
        for axis in range(2, values.ndim):
            first: list[Any] = [slice(None)] * values.ndim
            second = list(first)
            first[axis], second[axis] = slice(None, -1), slice(1, None)
            total += float(np.multiply(units[tuple(first)], units[tuple(second)]).sum(dtype=np.float64))
    value = total * count / pairs / len(living)
    return Smoothness(value, math.sqrt(count / (pairs * (count + 2) * len(living))))


def _blocks(rows: int, length: int) -> list[slice]:
    """Slices of that many rows of `length` numbers as memory is meant to hold."""
    step = max(1, BLOCK // max(length, 1))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
