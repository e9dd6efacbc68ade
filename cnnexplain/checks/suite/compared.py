"""Two runs, picture by picture: classes, probabilities, and maps by the order of their cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cnnexplain.checks.suite.stored import map_layer
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.baseline import StoredRun
from cnnexplain.core.verdict import Skipped
from cnnexplain.errors import CheckInputError
from cnnexplain.formulas.ranks import rank_correlation

# Of a map's largest value: what differs by less is the same. Rounding would shuffle the cells that are nearly zero,
# and choose between two peaks that are equally high.
STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Comparison:
    """One picture, then and now."""

    name: str
    pixels: NDArray[np.uint8]
    was: str  # the stored best class
    now: str
    lead: float  # of the class that is the best now over the stored best one, in probability; 0 where it is the same
    chance: float  # of the stored best class, now
    change: float  # of it since then
    correlation: float = 1.0
    moved: float = 0.0  # the peak, in pixels of the input
    stored: NDArray[np.float32] | None = None  # the maps of the stored best class (h, w)
    values: NDArray[np.float32] | None = None


def compared(subject: Subject, stored: StoredRun) -> list[Comparison]:
    """Every picture against what is stored of it.

    Raises `ModelError` where scores are not finite, `Skipped` where maps are not or maps are stored and there are none
    now, and `CheckInputError` where maps are of another size.
    """
    chances, labels = subject.chances, subject.model.labels
    best = subject.best
    before = [stored.answers[example.key] for example in subject.examples]
    classes = torch.tensor([image.best[0][0] for image in before])
    maps = None
    if any(image.values is not None for image in before):
        if not map_layer(subject):
            raise Skipped("maps are stored, and the model gives none now")
        maps = subject.maps if torch.equal(classes, best) else subject.maps_of(classes)
        if not bool(maps.isfinite().all()):
            raise Skipped("its maps are not finite")
    comparisons = []
    for place, (example, then) in enumerate(zip(subject.examples, before, strict=True)):
        was, now = then.best[0][0], int(best[place])
        chance = float(chances[place, was])
        lead = float(chances[place, now]) - chance
        comparison = Comparison(
            example.name, example.pixels, labels[was], labels[now], lead, chance, chance - then.best[0][1]
        )
        if maps is not None and then.values is not None:
            comparison = _with_maps(
                comparison, then.values, maps[place].numpy(), subject.model.preprocess.input_size
            )
        comparisons.append(comparison)
    return comparisons


def _with_maps(
    comparison: Comparison, stored: NDArray[np.float32], values: NDArray[np.float32], size: tuple[int, int]
) -> Comparison:
    if stored.shape != values.shape:
        was, now = ("x".join(map(str, shape)) for shape in (stored.shape, values.shape))
        raise CheckInputError(
            f"the maps are of {now} cells, and the stored ones of {was}",
            "store them again: --update-baseline",
        )
    alike, moved = likeness(stored, values), shift(stored, values, size)
    return replace(comparison, correlation=alike, moved=moved, stored=stored, values=values)


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Spearman's, of two maps whose small differences are no differences; flat maps are like flat ones only."""
    x, y = _stepped(a), _stepped(b)
    correlation = rank_correlation(x, y)
    return correlation if math.isfinite(correlation) else float(np.ptp(x) == np.ptp(y) == 0)


def shift(stored: NDArray[np.float32], values: NDArray[np.float32], size: tuple[int, int]) -> float:
    """How far the stored peak lies from the nearest that there is now, in pixels of an input (height, width)."""
    near = values >= values.max() - STEP * float(np.abs(values).max())
    row, column = np.unravel_index(int(stored.argmax()), stored.shape)
    rows, columns = np.nonzero(near)
    high, wide = size[0] / stored.shape[0], size[1] / stored.shape[1]
    return math.sqrt(float(np.min(((rows - row) * high) ** 2 + ((columns - column) * wide) ** 2)))


def _stepped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map in whole steps, so that what differs by less is a tie."""
    scale = float(np.abs(values).max())
    return np.round(values.astype(np.float64) / (STEP * scale)).astype(np.float32) if scale else values
