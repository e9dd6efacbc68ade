"""Where the elements of a drawing's rows stand from left to right, so that lines are as straight as can be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LINE = 10  # pixels that a line takes which passes a row
ACROSS = 18  # the least between neighbours in a row
SWEEPS = 7  # the last from above, so that what follows one after the other stands straight


def across(
    rows: Sequence[Sequence[int]], widths: Sequence[float], lines: Sequence[tuple[int, int, float]]
) -> list[float]:
    """The middle of every element: as near as can be to those that it is joined to, in turns from above and below.

    A line has with its ends how far to the right the lower one should stand for it to be straight.
    """
    above: list[list[tuple[int, float]]] = [[] for _ in widths]
    below: list[list[tuple[int, float]]] = [[] for _ in widths]
    for start, end, shift in lines:
        above[end].append((start, shift))
        below[start].append((end, -shift))
    x = [0.0] * len(widths)
    for row in rows:
        _spread(row, widths, x, x)
    for sweep in range(SWEEPS):
        joined = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            wanted = list(x)
            for place in row:
                weight = sum(_weight(widths[other]) for other, _ in joined[place])
                if weight:
                    total = sum(_weight(widths[other]) * (x[other] + shift) for other, shift in joined[place])
                    wanted[place] = total / weight
            _spread(row, widths, wanted, x)
    return x


def _weight(width: float) -> float:
    """How much an element counts where several cannot all stand where they are wanted."""
    return 1.0 if width == LINE else 4.0


def _spread(row: Sequence[int], widths: Sequence[float], wanted: Sequence[float], x: list[float]) -> None:
    """Set the elements of a row as near as can be to where they are wanted, in their order, without overlapping.

    The least squares by pooling adjacent violators; wide elements weigh more than lines.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + ACROSS)
    pools: list[list[float]] = []  # of each its mean, its weight and how many elements are in it
    for place, offset in zip(row, offsets, strict=True):
        pools.append([wanted[place] - offset, _weight(widths[place]), 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1] += weight
            last[2] += count
    means = [pool[0] for pool in pools for _ in range(int(pool[2]))]
    for place, mean, offset in zip(row, means, offsets, strict=True):
        x[place] = mean + offset
