"""Layers without a kernel: a matrix, a row a filter and a column an input channel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.results.kernels import Kernels
from cnnexplain.render.kit.panel import FAINT, GAP, LINE
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.scale import limit
from cnnexplain.render.kit.text import lay_mask, write
from cnnexplain.render.kit.tiles import DEAD, NUMBER, Ink, Panels, enlarged, painted, word

LARGEST, SMALLEST = 24, 4  # drawn pixels for a weight
WIDE, HIGH = 1.9, 1.5  # of the longest side that a picture may have
BARS = 64
ABOVE = NUMBER + 6  # for the numbers of input channels
BLOCK = 1 << 22  # weights in memory beside the layer
APART = 70  # drawn pixels between two numbers of input channels


@dataclass(frozen=True)
class Side:
    """Rows or columns: so many weights share a drawn cell, which has so many pixels."""

    count: int
    shared: int
    cell: int

    @classmethod
    def of(cls, count: int, room: float) -> Side:
        """The largest cells for which there is room."""
        cell = min(int(room // count), LARGEST)
        if cell >= SMALLEST:
            return cls(count, 1, cell)
        return cls(count, math.ceil(count * SMALLEST / room), SMALLEST)

    @property
    def cells(self) -> int:
        """How many are drawn."""
        return math.ceil(self.count / self.shared)

    @property
    def length(self) -> int:
        """In drawn pixels."""
        return self.cells * self.cell

    def parts(self, length: int) -> Iterator[slice]:
        """The rows in parts that memory holds, of `length` weights each, no cell in two parts."""
        step = self.shared * max(1, BLOCK // (self.shared * length))
        for start in range(0, self.count, step):
            yield slice(start, start + step)

    def ticks(self, apart: int) -> list[int]:
        """The round numbers that are written beside it, at least so many drawn pixels from one to the next."""
        step, times = 1, (2, 2.5, 2)  # 1, 2, 5, 10
        number = 0
        while step / self.shared * self.cell < apart and step < self.count:
            step = int(step * times[number % 3])
            number += 1
        return list(range(0, self.count, step))


def matrix(kernels: Kernels, ink: Ink, max_side: int) -> tuple[Image.Image, int, str, Ink]:
    """Draw the filters of a layer without a kernel as a matrix.

    Returns:
        The picture, the number of filters on it, a note on cells that are the mean of several weights ("" where each
        is a single weight), and the colours with the ends that were used.
    """
    numbers = kernels.ranked(kernels.top or len(kernels.values))
    weights = kernels.values.reshape(len(kernels.values), -1)
    left = _beside(kernels)
    down = Side.of(len(numbers), HIGH * max_side)
    across = Side.of(weights.shape[1], WIDE * max_side - left - BARS - GAP)
    shares = np.concatenate([
        _means(weights, numbers[part], ink, down.shared, across.shared) for part in down.parts(weights.shape[1])
    ])  # fmt: skip
    end = 1.0
    if across.shared * down.shared > 1:  # the mean of several is smaller than each
        finite = np.abs(shares[np.isfinite(shares)])
        end = limit(finite) if finite.any() else 1.0
        ink = replace(ink, ends=ink.ends and ink.ends * end, quantity="mean weight of a cell", share=end)
    panels = Panels(shares[None, None], None)
    colours = enlarged(
        painted(panels, np.full(1, end, np.float32), ink, in_colour=False),
        panels.broken,
        (across.cell, down.cell),
    )
    top = ABOVE
    image = new_paper((left + across.length + GAP + BARS, top + down.length))
    image.paste(Image.fromarray(colours[0, 0]), (left, top))
    _numbers(image, numbers, (left, top), down, across)
    _bars(image, kernels, numbers, (left + across.length + GAP, top), down)
    return image, len(numbers), _shared(down.shared, across.shared), ink


def plain_matrix(kernels: Kernels, ink: Ink, max_side: int) -> Image.Image:
    """The matrix without numbers and norms."""
    image = matrix(kernels, ink, max_side)[0]
    return image.crop((_beside(kernels), ABOVE, image.width - GAP - BARS, image.height))


def _beside(kernels: Kernels) -> int:
    """Drawn pixels that the numbers of filters take."""
    return word("0" * len(str(len(kernels.values) - 1))).width + 8


def _means(
    weights: NDArray[np.float32], numbers: NDArray[np.intp], ink: Ink, down: int, across: int
) -> NDArray[Any]:
    """The mean of all weights that share a cell, as a share of the scale; not finite where one of them is not."""
    rows = weights[numbers]
    rows /= ink.limits(rows, numbers)[:, None]
    means: NDArray[Any] = rows
    with np.errstate(invalid="ignore"):  # infinities of both signs
        for axis, shared in ((1, across), (0, down)):
            if shared > 1:
                starts = np.arange(0, means.shape[axis], shared)
                # The last may have fewer.
                counts = np.diff(starts, append=means.shape[axis]).astype(np.float32)
                means = np.add.reduceat(means, starts, axis) / (counts if axis else counts[:, None])
    return means


def _numbers(
    image: Image.Image, filters: NDArray[np.intp], place: tuple[int, int], down: Side, across: Side
) -> None:
    left, top = place
    for column in across.ticks(APART):
        x = left + column // across.shared * across.cell + across.cell / 2
        name = word(str(column))
        lay_mask(image, FAINT, (max(left, round(x - name.width / 2)), 0), name)
    for row in down.ticks(NUMBER + 2):
        y = top + row // down.shared * down.cell + down.cell / 2
        y = max(y, top + NUMBER / 2 - 1)
        name = word(str(filters[row]))
        lay_mask(image, FAINT, (left - 5 - name.width, round(y - NUMBER / 2) - 2), name)


def _bars(
    image: Image.Image, kernels: Kernels, numbers: NDArray[np.intp], place: tuple[int, int], down: Side
) -> None:
    """The norms of the filters, beside their rows; of those that share a row the largest."""
    draw, (left, top) = ImageDraw.Draw(image), place
    norms = np.nan_to_num(kernels.statistics.norms[numbers], nan=0.0)
    dead = set(kernels.statistics.dead)
    largest = norms.max(initial=0)
    write(draw, (left, top - 4), "norm", NUMBER, FAINT, anchor="ls")
    draw.line((left - 1, top, left - 1, top + down.length - 1), fill=LINE)
    for row in range(down.cells):
        part = slice(row * down.shared, (row + 1) * down.shared)
        y = top + row * down.cell
        bottom = y + down.cell - (2 if down.cell > 3 else 1)
        if largest > 0 and norms[part].max() > 0:
            length = round(float(norms[part].max() / largest) * (BARS - 1))
            draw.rectangle((left, y, left + length, bottom), fill=FAINT)
        if dead.intersection(numbers[part].tolist()):
            draw.rectangle((left - 5, y, left - 1, bottom), fill=DEAD)
            if down.cell >= NUMBER - 2:
                write(draw, (left + 4, y + down.cell / 2), "dead", NUMBER, DEAD, anchor="lm")


def _shared(rows: int, columns: int) -> str:
    return f"a cell is the mean of {rows}×{columns} weights" if rows * columns > 1 else ""
