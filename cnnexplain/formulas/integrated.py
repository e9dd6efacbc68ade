"""Integrated gradients: the integral from a baseline to the image, with its steps where the score bends."""

from __future__ import annotations

import bisect
import heapq
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.formulas.gradients import Evaluate

__all__ = ["integrated_gradients"]

Quadrature = Literal["adaptive", "gauss-legendre"]

FIRST = 9  # steps before the first look at where the score bends
# The share of the way at which the first step is taken: at the very baseline, an image of one colour,
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


def integrated_gradients(
    evaluate: Evaluate,
    images: Tensor,
    baseline: Tensor,
    *,
    steps: int = 50,
    quadrature: Quadrature = "adaptive",
    max_gap: float = 0.01,
    most: int | None = None,
    rounding: float = 1e-6,
) -> tuple[Tensor, list[int]]:
    """The gradient, averaged on the straight way from a baseline to the image, times that way.

    Sundararajan et al. 2017 (arXiv:1703.01365), eq. 1. The values of an image add up to its score less that of the
    baseline, but for the error of the quadrature.

    Args:
        evaluate: Scores and gradients at inputs; see `evaluator`.
        images: (N, C, H, W).
        baseline: Where the integral begins, (N, C, H, W).
        steps: How many steps each image has, at least 2.
        quadrature: "adaptive" halves the intervals in which the score departs most from what the gradients at their
            ends say, and sums by the trapezoidal rule; it keeps the gradient of every step. "gauss-legendre" puts the
            steps where they are best for polynomials, whatever the score does, and keeps none.
        max_gap: Share of the difference of the scores that an adaptive sum may miss: more steps are taken until it does
            not.
        most: So many steps an image are taken at most then; left out, ten times `steps`.
        rounding: Gaps below this share of the score are rounding, and no reason for steps.

    Returns:
        The values, (N, C, H, W), signed, float32, of which `summed` makes one a pixel; and how many steps each image
        took.

    Example:
        >>> import torch
        >>> from cnnexplain.formulas import evaluator
        >>> square = evaluator(lambda x, image: x.square().sum((1, 2, 3)))
        >>> images = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
        >>> values, steps = integrated_gradients(square, images, torch.zeros(1, 1, 1, 2), steps=9)
        >>> [round(value, 3) for value in values.flatten().tolist()], steps
        ([1.0, 9.0], [9])
    """
    way = images - baseline
    if quadrature == "adaptive":
        limits = _Limits(steps, MOST * steps if most is None else most, max_gap, rounding)
        means, counts = _adaptive(evaluate, baseline, way, limits)
    else:
        means, counts = _gauss_legendre(evaluate, baseline, way, steps), [steps] * len(images)
    return (means * way).float(), counts


@dataclass(frozen=True)
class _Limits:
    """When an adaptive integral is good."""

    steps: int
    most: int
    max_gap: float
    rounding: float


@dataclass(eq=False)
class _Path:
    """The steps taken between a baseline, at 0, and an image, at 1; in order."""

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
        """Return by how much the score's rise from step to step departs from what the slopes at its ends say."""
        rises = [after - before for before, after in pairwise(self.scores)]
        slopes = [(before + after) / 2 for before, after in pairwise(self.slopes)]
        return [
            rise - slope * width for rise, slope, width in zip(rises, slopes, self._widths(), strict=True)
        ]

    def next_places(self, limits: _Limits) -> list[float]:
        """Return where to step next: halfway in the intervals with the largest gaps; nowhere when it is good.

        Gaps count in whole units of `COARSE` of the score's difference, over the steps so far. Among equal ones the
        widest interval comes first, and of equally wide ones the one nearest to the baseline.

        Returns:
            Places from 0, the baseline, to 1, the image.
        """
        if not self.places:
            # Networks bend most near the baseline.
            count = min(FIRST, limits.steps)
            return [NEAR + (1 - NEAR) * (step / (count - 1)) ** 2 for step in range(count)]
        gaps, widths, number = self.gaps(), self._widths(), len(self.places)
        difference = abs(self.scores[-1] - self.scores[0])
        rounded = limits.rounding * max(map(abs, self.scores))
        wide = [place for place, width in enumerate(widths) if width > NARROW]
        if sum(map(abs, gaps)) <= max(rounded, STRAIGHT * difference) or number >= limits.most:
            return []
        if number >= limits.steps:
            if abs(sum(gaps)) <= limits.max_gap * difference:
                return []
            # Where every gap is smaller than this, together they are no more than a quarter of what is allowed.
            little = max(rounded, limits.max_gap * difference / (4 * number))
            wide = [place for place in wide if abs(gaps[place]) > little]
        count = min(AT_ONCE, (limits.steps if number < limits.steps else limits.most) - number)
        unit = max(COARSE * difference / number, rounded) or 1.0
        worst = heapq.nsmallest(
            count, wide, key=lambda place: (-round(abs(gaps[place]) / unit), -widths[place], place)
        )
        return [(self.places[place] + self.places[place + 1]) / 2 for place in worst]

    def mean(self) -> Tensor:
        """Return the mean gradient of the way by the trapezoidal rule, (C, H, W)."""
        widths = self._widths()
        weights = [(before + after) / 2 for before, after in pairwise([2 * NEAR, *widths, 0.0])]
        total = self.gradients[0] * weights[0]
        for gradient, weight in zip(self.gradients[1:], weights[1:], strict=True):
            total.add_(gradient, alpha=weight)
        return total

    def _widths(self) -> list[float]:
        return [after - before for before, after in pairwise(self.places)]


def _adaptive(evaluate: Evaluate, start: Tensor, way: Tensor, limits: _Limits) -> tuple[Tensor, list[int]]:
    """Return mean gradients, trapezoidal, with steps put where the score bends.

    Score and gradient of a step come from the same pass, so that the gap between any two steps is known exactly.

    Returns:
        (N, C, H, W), and how many steps each image took.
    """
    import torch

    paths = [_Path() for _ in start]
    while due := [(image, place) for image, path in enumerate(paths) for place in path.next_places(limits)]:

        def inputs(rows: range, due: list[tuple[int, float]] = due) -> tuple[Tensor, Tensor]:
            image = torch.tensor([due[row][0] for row in rows], device=start.device)
            place = torch.tensor([due[row][1] for row in rows], device=start.device, dtype=start.dtype)
            return start[image] + place[:, None, None, None] * way[image], image

        for rows, scores, gradients in evaluate(len(due), inputs):
            images = [due[row][0] for row in rows]
            slopes = (gradients * way[images]).flatten(1).sum(1)
            steps = zip(rows, scores.tolist(), slopes.tolist(), gradients, strict=True)
            for row, score, slope, gradient in steps:
                image, place = due[row]
                paths[image].add(place, score, slope, gradient)
    return torch.stack([path.mean() for path in paths]), [len(path.places) for path in paths]


def _gauss_legendre(evaluate: Evaluate, start: Tensor, way: Tensor, steps: int) -> Tensor:
    """Return mean gradients (N, C, H, W) by Gauss-Legendre quadrature, blind to the score; as Captum."""
    import numpy as np
    import torch

    places, weights = np.polynomial.legendre.leggauss(steps)  # for -1..1
    place = torch.tensor((places + 1) / 2, dtype=start.dtype, device=start.device)
    weight = torch.tensor(weights / 2, dtype=torch.float32, device=start.device)
    total = torch.zeros_like(start, dtype=torch.float32)

    def inputs(rows: range) -> tuple[Tensor, Tensor]:
        row = torch.arange(rows.start, rows.stop, device=start.device)
        image, step = row // steps, row % steps
        return start[image] + place[step][:, None, None, None] * way[image], image

    for rows, _, gradients in evaluate(steps * len(start), inputs):
        row = torch.arange(rows.start, rows.stop, device=start.device)
        total.index_add_(0, row // steps, gradients * weight[row % steps][:, None, None, None])
    return total
