"""Integrated gradients: the integral from a baseline to the picture, with its steps where the score bends."""

from __future__ import annotations

import bisect
import heapq
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from cnnexplain.commands._baselines import BASELINES
from cnnexplain.commands._passes import at_each
from cnnexplain.core.results import Detail
from cnnexplain.core.words import number, percent

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model

FIRST = 9  # steps before the first look at where the score bends
# The share of the way at which the first step is taken: at the very baseline, a picture of one colour,
# normalisations may have no gradient.
NEAR = 1e-4
AT_ONCE = 8  # steps between two looks
MOST = 10  # times the steps that were asked for are taken at most to close the gap
STRAIGHT = 1e-5  # of the score's difference: smaller gaps in all mean that it hardly bends
NARROW = 2.0**-12  # a step is not halved below this share of the way
# Where to step next is decided on gaps rounded to whole units: this share of the score's difference, over the number of
# steps taken. Another processor rounds the last digits of a score otherwise, some 1e-6 of it, and should take the same
# steps all the same.
COARSE = 2.0**-6
# A gap below this share of the score is rounding, for each precision of the model.
ROUNDING = {"fp32": 1e-6, "fp16": 2.0**-10, "bf16": 2.0**-7}
KEPT = 2**30  # bytes of gradients that are kept at once


@dataclass(frozen=True)
class IntegralOptions:
    """How the integral is taken."""

    steps: int
    baseline: str
    quadrature: str
    max_gap: float


def integrated(
    model: Model, inputs: Tensor, target: Target, options: IntegralOptions
) -> tuple[Tensor, tuple[Detail, ...]]:
    """Integrated gradients (N, C, H, W) of a batch, and how complete each picture's sum is."""
    import torch

    start = BASELINES[options.baseline](model, inputs)
    way = inputs - start
    with torch.no_grad():
        difference = target.score.detach() - model.score(model.forward(start.clone()), target.index)
    integral = _adaptive if options.quadrature == "adaptive" else _gauss_legendre
    together = max(1, KEPT // (_most(inputs, options) * bytes_of(tuple(inputs.shape[1:]))))
    values, details = torch.empty_like(inputs, dtype=torch.float32), []
    for first in range(0, len(inputs), together):
        part = slice(first, first + together)
        means, steps = integral(model, start[part], way[part], target.index[part], options)
        values[part] = means * way[part]
        sums = values[part].flatten(1).sum(1).tolist()
        for one, total, taken in zip(difference[part].tolist(), sums, steps, strict=True):
            details.append(_completeness(one, total, taken, options))
    return values, tuple(details)


def bytes_of(shape: tuple[int, ...]) -> int:
    """What one gradient takes."""
    channels, height, width = shape
    return 4 * channels * height * width


@dataclass(eq=False)
class _Path:
    """The steps taken between a baseline, at 0, and a picture, at 1; in order."""

    places: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)  # of the score along the way
    gradients: list[Tensor] = field(default_factory=list)

    def add(self, place: float, score: float, slope: float, gradient: Tensor) -> None:
        at = bisect.bisect(self.places, place)
        self.places.insert(at, place)
        self.scores.insert(at, score)
        self.slopes.insert(at, slope)
        self.gradients.insert(at, gradient)

    def gaps(self) -> list[float]:
        """By how much the score's rise from step to step departs from what the slopes at its ends say."""
        rises = [after - before for before, after in pairwise(self.scores)]
        slopes = [(before + after) / 2 for before, after in pairwise(self.slopes)]
        return [
            rise - slope * width for rise, slope, width in zip(rises, slopes, self._widths(), strict=True)
        ]

    def wanted(self, options: IntegralOptions, most: int, rounding: float) -> list[float]:
        """Where to step next: halfway in the intervals with the largest gaps; nowhere when it is good.

        Gaps count in whole units of `COARSE` of the score's difference, over the steps so far. Among equal ones the
        widest interval comes first, and of equally wide ones the one nearest to the baseline.
        """
        if not self.places:
            # Networks bend most near the baseline.
            count = min(FIRST, options.steps)
            return [NEAR + (1 - NEAR) * (step / (count - 1)) ** 2 for step in range(count)]
        gaps, widths, taken = self.gaps(), self._widths(), len(self.places)
        difference = abs(self.scores[-1] - self.scores[0])
        rounded = rounding * max(map(abs, self.scores))
        wide = [place for place, width in enumerate(widths) if width > NARROW]
        if sum(map(abs, gaps)) <= max(rounded, STRAIGHT * difference) or taken >= most:
            return []
        if taken >= options.steps:
            if abs(sum(gaps)) <= options.max_gap * difference:
                return []
            # Where every gap is smaller than this, together they are no more than a quarter of what is allowed.
            little = max(rounded, options.max_gap * difference / (4 * taken))
            wide = [place for place in wide if abs(gaps[place]) > little]
        count = min(AT_ONCE, (options.steps if taken < options.steps else most) - taken)
        unit = max(COARSE * difference / taken, rounded) or 1.0
        worst = heapq.nsmallest(
            count, wide, key=lambda place: (-round(abs(gaps[place]) / unit), -widths[place], place)
        )
        return [(self.places[place] + self.places[place + 1]) / 2 for place in worst]

    def mean(self) -> Tensor:
        """The mean gradient of the way by the trapezoidal rule, (C, H, W)."""
        widths = self._widths()
        weights = [(before + after) / 2 for before, after in pairwise([2 * NEAR, *widths, 0.0])]
        total = self.gradients[0] * weights[0]
        for gradient, weight in zip(self.gradients[1:], weights[1:], strict=True):
            total.add_(gradient, alpha=weight)
        return total

    def _widths(self) -> list[float]:
        return [after - before for before, after in pairwise(self.places)]


def _adaptive(
    model: Model, start: Tensor, way: Tensor, index: Tensor, options: IntegralOptions
) -> tuple[Tensor, list[int]]:
    """Mean gradients (N, C, H, W), trapezoidal, with steps put where the score bends; and how many steps each took.

    Score and gradient of a step come from the same pass, so that the gap between any two steps is known exactly.
    """
    import torch

    paths = [_Path() for _ in start]
    most, rounding = _most(start, options), ROUNDING[model.precision]
    while asked := [
        (picture, place)
        for picture, path in enumerate(paths)
        for place in path.wanted(options, most, rounding)
    ]:

        def make(rows: range, asked: list[tuple[int, float]] = asked) -> tuple[Tensor, Tensor]:
            picture = torch.tensor([asked[row][0] for row in rows], device=start.device)
            place = torch.tensor([asked[row][1] for row in rows], device=start.device, dtype=start.dtype)
            return start[picture] + place[:, None, None, None] * way[picture], picture

        def take(
            rows: range, scores: Tensor, gradients: Tensor, asked: list[tuple[int, float]] = asked
        ) -> None:
            pictures = [asked[row][0] for row in rows]
            slopes = (gradients * way[pictures]).flatten(1).sum(1)
            steps = zip(rows, scores.tolist(), slopes.tolist(), gradients, strict=True)
            for row, score, slope, gradient in steps:
                picture, place = asked[row]
                paths[picture].add(place, score, slope, gradient)

        at_each(model, index, len(asked), make, take)
    return torch.stack([path.mean() for path in paths]), [len(path.places) for path in paths]


def _most(inputs: Tensor, options: IntegralOptions) -> int:
    """How many steps one picture may take, whatever others share its batch."""
    return min(MOST * options.steps, max(2, KEPT // bytes_of(tuple(inputs.shape[1:]))))


def _gauss_legendre(
    model: Model, start: Tensor, way: Tensor, index: Tensor, options: IntegralOptions
) -> tuple[Tensor, list[int]]:
    """Mean gradients (N, C, H, W) by Gauss-Legendre quadrature, which knows nothing of the score; as Captum."""
    import numpy as np
    import torch

    places, weights = np.polynomial.legendre.leggauss(options.steps)  # for -1..1
    place = torch.tensor((places + 1) / 2, dtype=start.dtype, device=start.device)
    weight = torch.tensor(weights / 2, dtype=torch.float32, device=start.device)
    total = torch.zeros_like(start, dtype=torch.float32)

    def make(rows: range) -> tuple[Tensor, Tensor]:
        row = torch.arange(rows.start, rows.stop, device=start.device)
        picture, step = row // options.steps, row % options.steps
        return start[picture] + place[step][:, None, None, None] * way[picture], picture

    def take(rows: range, _scores: Tensor, gradients: Tensor) -> None:
        row = torch.arange(rows.start, rows.stop, device=start.device)
        weighted = gradients * weight[row % options.steps][:, None, None, None]
        total.index_add_(0, row // options.steps, weighted)

    at_each(model, index, options.steps * len(start), make, take)
    return total, [options.steps] * len(start)


def _completeness(difference: float, total: float, steps: int, options: IntegralOptions) -> Detail:
    gap = difference - total
    share = abs(gap / difference) if difference else float("inf")
    words = percent(share) if share < 10 else "larger than the difference"
    remark = (
        f"Score minus that of the {options.baseline} baseline: {number(difference)}; sum of the pixels: "
        f"{number(total)} (gap {words}, {steps} steps). A pixel like the baseline's gets nothing, whatever it means."
    )
    if share > max(options.max_gap, 0.01):
        remark = f"Do not add these up, the gap is too large. {remark}"
    facts = {
        "baseline": options.baseline,
        "quadrature": options.quadrature,
        "steps": steps,
        "difference": difference,
        "sum": total,
        "gap": gap,
    }
    return Detail({"completeness": facts}, (remark,))
