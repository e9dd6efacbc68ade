"""Sizes of input that are no squares, where a layer takes as many numbers as only an oblong map has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

Pair = tuple[int, int]  # (height, width)

# In use for pictures that are no squares; of two that give the same map the first is taken.
USUAL: tuple[Pair, ...] = (
    (40, 98), (40, 100), (40, 101), (96, 64), (64, 101), (64, 128), (128, 44), (128, 173), (128, 216),
    (128, 256), (60, 41), (13, 130),  # spectrograms: frequencies x time, and VGGish's time x frequencies
    (32, 64), (24, 94), (48, 160), (48, 168), (36, 136),  # number plates
    (32, 100), (32, 128), (32, 160), (32, 256), (32, 280), (32, 320), (50, 200), (60, 160),  # lines of text
    (66, 200), (64, 200), (80, 160), (160, 320), (120, 160), (240, 320), (480, 640), (180, 320), (360, 640),  # cameras
    (128, 64), (256, 128), (384, 128), (384, 192),  # people
    (210, 160), (256, 512), (512, 256),
)  # fmt: skip
SIDES = sorted({*range(4, 257, 4), *range(256, 513, 8), *chain(*USUAL)})
MOST_OBLONG = 8  # width by height, or height by width, of sizes that nobody is known to use
SHOWN = 4


@dataclass(frozen=True)
class Fitting:
    """Oblong sizes that fit: the one in use, where all in use give the same map, and the others by their roundness."""

    usual: Pair | None
    others: tuple[Pair, ...]


def fitting(cells: int, rows: dict[int, int], columns: dict[int, int]) -> Fitting:
    """The oblong sizes whose map has `cells` cells.

    Args:
        cells: The rows times the columns of the map that a layer takes.
        rows: How many rows a map has by the height of the picture, in pixels.
        columns: How many columns a map has by the width of the picture, in pixels.

    Returns:
        One size for each shape of the map.
    """
    widths = defaultdict(list)
    for width, count in columns.items():
        widths[count].append(width)
    maps: dict[Pair, list[Pair]] = defaultdict(list)
    for height, count in rows.items():
        if count and cells % count == 0:  # torch 2.10 makes maps without rows of pictures that are too small
            across = cells // count
            maps[count, across] += [(height, width) for width in widths[across] if width != height]
    usual = _in_use(maps.values(), USUAL) or _in_use(maps.values(), [(w, h) for h, w in USUAL])
    chosen = usual[0][0] if len(usual) == 1 else None
    rounds = [max(oblong, key=_roundness) for sizes in maps.values() if (oblong := [*filter(_near, sizes)])]
    others = [*chain(*usual), *sorted(rounds, key=_roundness, reverse=True)]
    return Fitting(chosen, tuple(size for size in dict.fromkeys(others) if size != chosen))


def _in_use(maps: Iterable[list[Pair]], known: Iterable[Pair]) -> list[list[Pair]]:
    """The sizes that are in use, in their order, for each shape of the map that has one."""
    return [sizes for fits in maps if (sizes := [size for size in known if size in fits])]


def _near(size: Pair) -> bool:
    return max(size) <= MOST_OBLONG * min(size)


def _roundness(size: Pair) -> tuple[int, int]:
    """The powers of two that divide the sides; among equals a wide picture before a tall one."""
    height, width = size
    return (height & -height) * (width & -width), width - height
