"""Which classes were taken for which: a table in colours, of those that matter most where there are many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.verdict import Confusion
from cnnexplain.render.kit.panel import FAINT, INK, LINE, MARGIN, NARROWEST, PAPER, SMALL, paper_with
from cnnexplain.render.kit.paper import line_of
from cnnexplain.render.kit.text import fitted, font, lay_mask, visible, write

MOST = 24  # classes
NAMES = 250  # pixels that a name may take
COUNT = 14  # the letters of counts
SMALLEST_CELL, LARGEST_CELL = 30, 54
BODY = 520  # so that few classes are not tiny
SLOPE = 50  # degrees, of the names above
RIGHT, WRONG = (
    (0x0B, 0x4F, 0x8A),
    (0xB8, 0x42, 0x0A),
)  # where all of a row lie in one cell; white where none do


@dataclass(frozen=True)
class _ShownClasses:
    """The classes that are shown."""

    names: list[str]
    counts: NDArray[np.int64]
    # Pictures of each class, also those that were taken for a class that is not shown.
    every: NDArray[np.int64]


def confusion(data: Confusion) -> Image.Image:
    """Draw the table: a row for each class that pictures are of, a column for each class that they were taken for."""
    classes, remarks = _most_confused(data)
    if not classes.names:
        paper, _ = paper_with((NARROWEST, 0), (data.title, ""), ["There is no picture to count."])
        return paper
    count, face = len(classes.names), font(SMALL)
    widest = math.ceil(font(COUNT).getlength(f"{int(classes.counts.max()):,}")) + 10
    cell = max(SMALLEST_CELL, widest, min(LARGEST_CELL, BODY // count))
    longest = min(NAMES, math.ceil(max(face.getlength(name) for name in classes.names))) + 4
    short = longest < cell
    angle = 0.0 if short else math.radians(SLOPE)
    above = math.ceil(longest * math.sin(angle) + 1.4 * SMALL)
    overhang = 0 if short else max(0, math.ceil(longest * math.cos(angle)) + SMALL - cell // 2)
    sums = [_right(classes, row) for row in range(count)]
    room = math.ceil(max(face.getlength(text) for text in sums)) + 14
    size = (max(NARROWEST, longest + 8 + count * cell + max(overhang, room)), above + count * cell + 6)
    paper, top = paper_with(
        size, (data.title, "rows: what a picture is · columns: what it was taken for"), remarks
    )
    draw = ImageDraw.Draw(paper)
    left, start = MARGIN + longest + 8, top + above
    for place, name in enumerate(classes.names):
        label, across = fitted(name, face, longest), left + place * cell + cell // 2
        if short:
            write(draw, (across, start - 5), label, SMALL, INK, anchor="ms")
        else:
            _slanting(paper, label, (across, start - 5))
        middle = start + place * cell + cell / 2
        write(draw, (left - 8, middle), label, SMALL, INK, anchor="rm")
        write(draw, (left + count * cell + 10, middle), sums[place], SMALL, FAINT, anchor="lm")
    for row in range(count):
        for column in range(count):
            _cell(draw, classes, (row, column), (left + column * cell, start + row * cell), cell)
    return paper


def _most_confused(data: Confusion) -> tuple[_ShownClasses, list[str]]:
    """All classes, where they are few, or else those that occur or are confused most; and what was left out."""
    counts = np.asarray(data.counts, np.int64)
    totals, occurs = counts.sum(1), counts.sum(1) + counts.sum(0)
    order: dict[int, None] = {}
    if len(counts) <= MOST:
        order = dict.fromkeys(range(len(counts)))
    else:
        wrong = counts * ~np.eye(len(counts), dtype=bool)
        pairs = np.flatnonzero(wrong)
        pairs = pairs[np.argsort(-wrong.flat[pairs], kind="stable")][:MOST]
        order = dict.fromkeys(int(index) for pair in pairs for index in divmod(int(pair), len(counts)))
        order |= dict.fromkeys(
            int(index) for index in np.argsort(-occurs, kind="stable")[:MOST] if occurs[index]
        )
    indices = sorted(list(order)[:MOST])
    classes = _ShownClasses(
        [visible(data.names[index]) for index in indices], counts[np.ix_(indices, indices)], totals[indices]
    )
    return classes, list(_remarks(counts, classes, int((occurs > 0).sum())))


def _remarks(counts: NDArray[np.int64], classes: _ShownClasses, occurring: int) -> Iterator[str]:
    yield "Blue is right, orange wrong; the darker, the larger the share of its row. Numbers are pictures."
    never, shown = len(counts) - occurring, len(classes.names)
    if len(counts) > MOST:
        if never:
            yield f"Left out: {never:,} of {len(counts):,} classes, which no picture shows or was taken for."
        if occurring > shown:
            pictures = int(counts.sum() - classes.counts.sum())
            rest = f"{occurring - shown:,} {'more' if never else 'classes'}, which are confused less"
            yield f"Left out: {rest}, and with them {pictures:,} of {int(counts.sum()):,} pictures."


def _right(classes: _ShownClasses, row: int) -> str:
    return (
        f"{int(classes.counts[row, row]):,} of {int(classes.every[row]):,}" if classes.every[row] else "none"
    )


def _slanting(paper: Image.Image, name: str, place: tuple[int, int]) -> None:
    """A name that leads up and away from its column; `place` is where it begins, and the middle of its first letter."""
    face = font(SMALL)
    ink = Image.new("L", (math.ceil(face.getlength(name)), SMALL + 8), 0)
    ImageDraw.Draw(ink).text((0, ink.height / 2), name, font=face, fill=255, anchor="lm")
    turned = ink.rotate(SLOPE, Image.Resampling.BICUBIC, expand=True)
    angle, far = math.radians(SLOPE), ink.width / 2
    x = place[0] + far * math.cos(angle) - turned.width / 2
    y = place[1] - far * math.sin(angle) - turned.height / 2
    line = line_of(name, face, "lm")
    down = line.y  # of the line of letters below the middle, which the name is turned about
    start = turned.width / 2 - far * math.cos(angle) + down * math.sin(angle)
    below = turned.height / 2 + far * math.sin(angle) + down * math.cos(angle)
    turned.info["words"] = replace(line, x=0.0, y=0.0), SLOPE, (start, below)
    lay_mask(paper, INK, (round(x), round(y)), turned)


def _cell(
    draw: ImageDraw.ImageDraw, classes: _ShownClasses, at: tuple[int, int], place: tuple[int, int], cell: int
) -> None:
    count, total = int(classes.counts[at]), int(classes.every[at[0]])
    full = RIGHT if at[0] == at[1] else WRONG
    # A single one of a thousand is still to be seen.
    share = 0.0 if not count else 0.12 + 0.88 * count / max(total, 1)
    colour = tuple(round(255 + (end - 255) * share) for end in full)
    left, top = place
    draw.rectangle((left, top, left + cell, top + cell), fill=colour if count else PAPER, outline=LINE)
    if count:
        ink = PAPER if share > 0.5 else INK
        write(draw, (left + cell / 2 + 0.5, top + cell / 2), f"{count:,}", COUNT, ink, anchor="mm")
