"""What all pictures together say of each unit of a layer, in numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cnnexplain.commands._importance import importance
from cnnexplain.core.records import number
from cnnexplain.core.shown import Shown, UnitFacts
from cnnexplain.core.strongest import NOBODY, hashed
from cnnexplain.formulas.groups import unit_correlations, unit_groups
from cnnexplain.formulas.units import sparseness, top_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnexplain.commands._scanning import LayerFold

BESIDE = 3  # pictures around the median, and at random, beside the strongest
NEIGHBOURS = 5
SAME = 1e-5  # of a unit's range: maxima that differ by less are equal
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.995, 1.0)


def unit_facts(
    fold: LayerFold,
    top: int,
    purity: int,
    channels: Sequence[int],
    label: Callable[[int], str | None],
    images: int,
    classes: Sequence[str] = (),
) -> Iterator[UnitFacts]:
    """Return what is said of units of a layer, in the order of their channels.

    Args:
        fold: What all pictures together say of the layer.
        top: How many of the strongest pictures are shown.
        purity: Of how many of them the classes are counted.
        channels: Which units.
        label: The class that the picture at a position should be, where that is known.
        images: How many pictures there were.
        classes: The names of the model's classes, where channels were set to zero.
    """
    positions, maxima = fold.sample()  # (M,), (M, U)
    sample = torch.from_numpy(maxima)
    sparse, selective = sparseness(sample), top_share(sample)
    correlated, groups = unit_correlations(maxima), unit_groups(maxima)
    fires = (sample > 0).double().mean(0)
    quantiles = np.quantile(maxima.astype(np.float64), QUANTILES, axis=0)  # (6, U)
    quantiles[-1] = fold.strongest.values[:, 0]  # of all pictures, not of the sample alone
    dead = _dead(quantiles)
    copies = _copies(maxima, correlated, fold, dead)
    used = fold.used()
    matters = importance(used, classes) if used else [None] * len(maxima[0])
    for channel in channels:
        strongest = _strongest(fold, channel, max(top, purity))
        marked = not dead[channel]
        shown = [
            *(strongest[:top] if marked else ()),
            *(_beside(positions, maxima[:, channel], channel, fold.seed) if marked else ()),
        ]
        saturated = bool(marked and quantiles[2, channel] == quantiles[-1, channel] > 0)
        facts = {
            "fires": number(float(fires[channel]), "a share"),
            "sparseness": _or_none(float(sparse[channel])),
            "selective": _or_none(float(selective[channel])),
            "quantiles": [number(float(value), "an activation") for value in quantiles[:, channel]],
            "purity": _purity(strongest[:purity], label) if marked else None,
            "neighbours": _neighbours(correlated[channel], channel, dead),
            "group": None if groups[channel] < 0 else int(groups[channel]),
            "dead": bool(dead[channel]),
            "saturated": saturated,
            "duplicate_of": copies.get(channel),
            "sampled": len(positions) if len(positions) < images else None,
            "importance": matters[channel],
        }
        yield UnitFacts(channel, tuple(shown), facts)


def _strongest(fold: LayerFold, channel: int, count: int) -> list[Shown]:
    rows = zip(
        fold.strongest.pictures[channel].tolist(),
        fold.strongest.values[channel].tolist(),
        fold.strongest.cells[channel].tolist(),
        strict=True,
    )
    return [Shown(channel, "top", *row) for row in list(rows)[:count] if row[0] != NOBODY]


def _beside(
    positions: NDArray[np.int64], maxima: NDArray[np.float32], channel: int, seed: int
) -> Iterator[Shown]:
    """The pictures around the median, the stronger ones first, and some at random."""
    count = min(BESIDE, len(positions))
    ranked = np.lexsort((positions, -maxima))
    start = max(0, (len(ranked) - count) // 2)
    drawn = np.argsort(hashed(positions, seed + channel + 1), kind="stable")[:count]
    for group, rows in (("median", ranked[start : start + count]), ("random", np.sort(drawn))):
        for row in rows:
            yield Shown(channel, group, int(positions[row]), float(maxima[row]), None)


def _dead(quantiles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Units that never fire, or are the same in every picture, which then says nothing of them."""
    return np.asarray((quantiles[-1] <= 0) | (quantiles[0] == quantiles[-1]))


def _copies(
    maxima: NDArray[np.float32], correlated: NDArray[np.float32], fold: LayerFold, dead: NDArray[np.bool_]
) -> dict[int, int]:
    """By unit the first one whose activations are the same in every sampled picture, at the same strongest cells."""
    copies: dict[int, int] = {}
    for channel, first in np.argwhere(np.tril(correlated > 1 - SAME, -1)):
        if channel in copies or dead[channel] or dead[first]:
            continue
        own, other = maxima[:, channel], maxima[:, first]
        alike = np.abs(own - other).max() <= SAME * max(float(np.ptp(own)), 1e-30)
        if alike and fold.strongest.cells[channel, 0] == fold.strongest.cells[first, 0]:
            copies[int(channel)] = int(first)
    return copies


def _neighbours(
    correlations: NDArray[np.float32], channel: int, dead: NDArray[np.bool_]
) -> list[dict[str, int | float]]:
    """The units that fire most alike, without units that never do."""
    if dead[channel]:
        return []
    values = np.where(dead, -np.inf, correlations)
    values[channel] = -np.inf
    order = np.argsort(-values, kind="stable")[:NEIGHBOURS].tolist()
    return [
        {"channel": other, "correlation": number(round(float(values[other]), 4), "a correlation")}
        for other in order
        if values[other] > 0
    ]


def _purity(strongest: Sequence[Shown], label: Callable[[int], str | None]) -> dict[str, Any] | None:
    """The class that most of the strongest pictures have; the first of equally frequent ones."""
    labels = [name for each in strongest if (name := label(each.position)) is not None]
    if not labels:
        return None
    name, times = Counter(labels).most_common(1)[0]
    return {"label": name, "share": number(times / len(labels), "a share"), "of": len(labels)}


def _or_none(value: float) -> float | None:
    return number(value, "a share") if math.isfinite(value) else None
