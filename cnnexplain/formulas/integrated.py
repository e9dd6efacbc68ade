"""Integrated gradients to an accuracy: the way from a baseline to the image in parts as short as the map needs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import hypot, inf
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.formulas.gradients import Evaluate, Inputs

__all__ = ["Integrals", "integrated_gradients"]

Quadrature = Literal["adaptive", "gauss-legendre"]
# For so many parts of a way and the inputs at their ends, one more: the parts, chunk by chunk, and the gradient
# averaged over each, (n, C, H, W).
Between = Callable[[int, "Inputs"], "Iterator[tuple[range, Tensor]]"]

FIRST = 8  # parts before the first look at where the gradient changes
MOST = 500  # gradients that an image takes at most
FIXED_STEPS = 50  # of Gauss-Legendre quadrature, where nobody says how many
PARTS = 3  # a part is divided into at most so many at once, since how much that helps is an expectation
# Divided into m, a part has an expected error of its own over m to this power: gradients at midpoints that jump at many
# places have the first; mean slopes, exact for single jumps, were measured to have 1.4.
MIDPOINTS, AVERAGES = 1.0, 1.4
MARGIN = 1.25  # by how much the errors of photographs' maps were larger than expected, at most
AIM = 0.9  # of the tolerance, so that parts are not divided once more for a little


class Integrals(NamedTuple):
    """Integrated gradients of a batch, and how good they are."""

    values: Tensor  # (N, C, H, W), signed, float32
    steps: list[int]  # how many gradients each image took
    # The largest error that its map, summed over the channels, is expected to have, as a share of the map's range.
    errors: list[float]


def integrated_gradients(
    evaluate: Evaluate,
    images: Tensor,
    baseline: Tensor,
    *,
    steps: int | None = None,
    tolerance: float = 0.01,
    quadrature: Quadrature = "adaptive",
    most: int = MOST,
    between: Between | None = None,
) -> Integrals:
    """The gradient, averaged on the straight way from a baseline to the image, times that way.

    Sundararajan et al. 2017 (arXiv:1703.01365), eq. 1. The values of an image add up to its score less that of the
    baseline, but for the error of the quadrature.

    Args:
        evaluate: Scores and gradients at inputs; see `evaluator`.
        images: (N, C, H, W).
        baseline: Where the integral begins, (N, C, H, W).
        steps: How many gradients each image takes, at least 2. Left out, as many as `tolerance` needs; 50 of
            Gauss-Legendre quadrature.
        tolerance: The largest error that a map, summed over the channels, may be expected to have, a share of its
            range.
        quadrature: "adaptive" divides the parts of the way that the map's error comes from; it keeps the gradient of
            every part. "gauss-legendre" puts the steps where they are best for polynomials, whatever the gradients
            do; it keeps none, and expects the error that every second step and the others are apart by, halved.
        most: How many gradients an image takes at most where `steps` is left out.
        between: Gradients averaged between inputs. Left out, the gradient half way stands for the average.

    Returns:
        The values, of which `summed` makes one a pixel; the gradients that each image took; and the expected errors.

    Example:
        >>> import torch
        >>> from cnnexplain.formulas import evaluator
        >>> square = evaluator(lambda x, image: x.square().sum((1, 2, 3)))
        >>> images = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
        >>> found = integrated_gradients(square, images, torch.zeros(1, 1, 1, 2), steps=9)
        >>> [round(value, 3) for value in found.values.flatten().tolist()], found.steps
        ([1.0, 9.0], [9])
    """
    import torch

    way = images - baseline
    if quadrature == "gauss-legendre":
        steps = steps or FIXED_STEPS
        values, apart = _gauss_legendre(evaluate, baseline, way, steps)
        # Were the halves independent, half their difference would be as large as the error of the whole; jumps that
        # both see between their places make it larger.
        wrong = (apart.sum(1).abs().flatten(1).amax(1) / 2).tolist()
        return Integrals(values, [steps] * len(images), list(map(_share, wrong, values)))
    values = torch.empty_like(way, dtype=torch.float32)
    counts: list[int] = []
    errors: list[float] = []
    for image in range(len(images)):
        path = _Integral(
            image, baseline[image], way[image], between or _midpoints(evaluate), between is not None
        )
        path.take(steps or most, 0.0 if steps else tolerance)
        values[image] = path.map()
        counts.append(path.taken)
        errors.append(path.error())
    return Integrals(values, counts, errors)


@dataclass(eq=False)
class _Part:
    """A part of the way from the baseline, at 0, to the image, at 1."""

    start: float
    end: float
    gradient: Tensor  # averaged over the part, (C, H, W)
    error: float = 0.0  # that the map is expected to have from it

    @property
    def width(self) -> float:
        return self.end - self.start


class _Integral:
    """The way of one image, in parts."""

    def __init__(self, image: int, start: Tensor, way: Tensor, between: Between, averaged: bool) -> None:
        self.taken = 0  # gradients
        self._image, self._start, self._way = image, start, way
        self._between, self._power = between, AVERAGES if averaged else MIDPOINTS
        self._parts: list[_Part] = []

    def take(self, most: int, tolerance: float) -> None:
        """Take gradients until the expected error is within a share of the map's range, or `most` are taken."""
        # Networks bend most near the baseline.
        first = most if most <= FIRST + 1 else FIRST
        self._parts = self._divided([(step / first) ** 2 for step in range(first + 1)])
        self._guess()
        # Without a tolerance all are taken, also where there is nothing to gain.
        while (left := most - self.taken) > 1 and not (tolerance and self.error() <= tolerance):
            room = PARTS * len(self._parts)
            # Where all are to be taken, no single one is left for later: a part is divided into two at least.
            budget = left if tolerance or left <= room else room // 2
            counts = self._counts(budget, tolerance)
            if not any(count > 1 for count in counts):
                break
            self._divide(counts)

    def map(self) -> Tensor:
        """Return the integral, (C, H, W)."""
        total = self._parts[0].gradient * self._parts[0].width
        for part in self._parts[1:]:
            total.add_(part.gradient, alpha=part.width)
        return total * self._way

    def error(self) -> float:
        """Return the expected error of the map, a share of its range; those of the parts are independent."""
        return _share(hypot(*(part.error for part in self._parts)), self.map())

    def _largest(self, gradients: Tensor) -> float:
        """Return the largest value of the map that gradients (C, H, W) would make, whatever its sign."""
        return float((gradients * self._way).sum(0).abs().max())

    def _guess(self) -> None:
        """Expect of every part a quarter of what it would change to have the gradient of a part beside it."""
        for place, part in enumerate(self._parts):
            near = self._parts[max(place - 1, 0) : place] + self._parts[place + 1 : place + 2]
            change = max((self._largest(part.gradient - other.gradient) for other in near), default=0.0)
            part.error = part.width * change / 4

    def _counts(self, budget: int, tolerance: float) -> list[int]:
        """Return into how many to divide each part, for a tolerable error with the fewest gradients."""
        counts = [1] * len(self._parts)
        variance = sum(part.error**2 for part in self._parts)
        aim = (AIM * tolerance * _extent(self.map())) ** 2

        def gain(place: int) -> float:
            """Return by how much the square of the error would fall for each gradient."""
            count, power = counts[place], -2 * self._power
            fall = self._parts[place].error ** 2 * (count**power - (count + 1) ** power)
            return float(fall / 2 if count == 1 else fall)

        def entry(place: int) -> tuple[float, float, int]:
            return -gain(place), -self._parts[place].width, place

        heap = [entry(place) for place in range(len(counts))]
        heapq.heapify(heap)
        while heap and budget and (variance > aim or not tolerance):
            _, _, place = heapq.heappop(heap)
            cost = 2 if counts[place] == 1 else 1
            if cost > budget:
                continue
            variance -= gain(place) * cost
            budget -= cost
            counts[place] += 1
            if counts[place] < PARTS or (budget == 1 and not tolerance):
                heapq.heappush(heap, entry(place))
        return counts

    def _divide(self, counts: list[int]) -> None:
        """Divide each part into so many; what they make together says how wrong the part was."""
        parts: list[_Part] = []
        for divide, run in groupby(zip(self._parts, counts, strict=True), key=lambda pair: pair[1] > 1):
            if not divide:
                parts += [part for part, _ in run]
                continue
            whole = list(run)
            inner = [part.start + part.width * step / count for part, count in whole for step in range(count)]
            finer = iter(self._divided([*inner, whole[-1][0].end]))
            for part, count in whole:
                pieces = [next(finer) for _ in range(count)]
                change = part.gradient * -part.width
                for piece in pieces:
                    change.add_(piece.gradient, alpha=piece.width)
                wrong = MARGIN * self._largest(change)
                for piece in pieces:
                    piece.error = wrong * count ** -(self._power + 0.5)
                parts += pieces
        self._parts = parts

    def _divided(self, places: list[float]) -> list[_Part]:
        """Return the parts between places of the way, with their gradients."""
        import torch

        place = torch.tensor(places, device=self._start.device)[:, None, None, None]

        def inputs(rows: range) -> tuple[Tensor, Tensor]:
            here = place[rows.start : rows.stop]
            image = torch.full((len(here),), self._image, device=self._start.device)
            return (self._start + here * self._way).to(self._start.dtype), image

        gradients = [each for _, chunk in self._between(len(places) - 1, inputs) for each in chunk]
        self.taken += len(gradients)
        return [_Part(*ends, gradient) for ends, gradient in zip(pairwise(places), gradients, strict=True)]


def _midpoints(evaluate: Evaluate) -> Between:
    """Return the gradient half way between two inputs, in the place of its average."""

    def between(rows: int, ends: Inputs) -> Iterator[tuple[range, Tensor]]:
        def inputs(chunk: range) -> tuple[Tensor, Tensor]:
            here, image = ends(range(chunk.start, chunk.stop + 1))
            return (here[1:] + here[:-1]) / 2, image[1:]

        for chunk, _, gradients in evaluate(rows, inputs):
            yield chunk, gradients

    return between


def _gauss_legendre(evaluate: Evaluate, start: Tensor, way: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return integrals by Gauss-Legendre quadrature, blind to the score, as Captum's; and how far two halves are apart.

    Both (N, C, H, W), float32. A half is the mean of the gradients at every second place, weighted as they are.
    """
    import numpy as np
    import torch

    places, weights = np.polynomial.legendre.leggauss(steps)  # for -1..1
    place = torch.tensor((places + 1) / 2, dtype=start.dtype, device=start.device)
    weight = torch.tensor(weights / 2, dtype=torch.float32, device=start.device)
    halves = torch.zeros((2 * len(start), *start.shape[1:]), device=start.device)

    def inputs(rows: range) -> tuple[Tensor, Tensor]:
        row = torch.arange(rows.start, rows.stop, device=start.device)
        image, step = row // steps, row % steps
        return start[image] + place[step][:, None, None, None] * way[image], image

    for rows, _, gradients in evaluate(steps * len(start), inputs):
        row = torch.arange(rows.start, rows.stop, device=start.device)
        image, step = row // steps, row % steps
        halves.index_add_(0, step % 2 * len(start) + image, gradients * weight[step][:, None, None, None])
    even, odd = halves[: len(start)], halves[len(start) :]
    apart = even / weight[::2].sum() - odd / weight[1::2].sum()
    return ((even + odd) * way).float(), (apart * way).float()


def _share(error: float, values: Tensor) -> float:
    """Return an error of a map, of values (C, H, W), as a share of its range."""
    extent = _extent(values)
    return error / extent if extent else (inf if error else 0.0)


def _extent(values: Tensor) -> float:
    """Return the range of a map of values (C, H, W), and of 0, which is where nothing counts."""
    summed = values.sum(0)
    return float(summed.max().clamp(min=0) - summed.min().clamp(max=0))
