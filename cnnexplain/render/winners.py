"""Winning classes as a picture: the original, beside it every place of the window in the colour of its best class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.winners import Winners
from cnnexplain.core.words import percent
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, GAP, INK, LINE, MARGIN, NARROWEST, TEXT, DrawnImage, paper_with
from cnnexplain.render.kit.text import write

# Colours that people with any colour vision tell apart (Okabe and Ito 2008), the most frequent class first.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442")
OTHERS = "#5b6270"
BLEND = 0.5
SWATCH = 16


def pictures(
    results: Sequence[Winners], explanation: Explanation, options: RenderOptions
) -> Iterator[Picture]:
    """A picture for each."""
    shown = DrawnImage(explanation, options.max_side)
    return (Picture(partial(card, winners, shown, options), (winners,)) for winners in results)


def card(winners: Winners, shown: DrawnImage, options: RenderOptions) -> Image.Image:
    """The original, the places, and the classes by colour; of a plain figure the places alone."""
    overlay = _overlay(winners, shown, options)
    if options.plain:
        return overlay
    width, height = shown.picture.size
    beside = width <= 2 * height
    body_width = max(2 * width + GAP if beside else width, NARROWEST)
    entries = list(_legend(winners))
    high = (height if beside else 2 * height + GAP) + 10 + len(entries) * (TEXT + 8)
    name = os.path.basename(shown.explanation.image)
    heading = "Which class wins where", f"{winners.method} · {name}"
    rows, columns = winners.classes.shape
    remark = (
        f"The best class while a window hides the place: one cell for each of {rows}×{columns} places of the window, "
        "around its middle."
    )
    paper, top = paper_with((body_width, high), heading, [remark, *shown.explanation.notes])
    paper.paste(shown.picture, (MARGIN, top))
    paper.paste(overlay, (MARGIN + beside * (width + GAP), top + (not beside) * (height + GAP)))
    draw = ImageDraw.Draw(paper)
    y = top + (height if beside else 2 * height + GAP) + 12
    for colour, label, share in entries:
        draw.rectangle((MARGIN, y + 1, MARGIN + SWATCH, y + 1 + SWATCH), fill=colour, outline=LINE)
        place = (MARGIN + SWATCH + 8, y)
        room = body_width - SWATCH - 8
        used = write(draw, place, label, TEXT, INK, width=room - 80)
        write(draw, (place[0] + used + 8, y), percent(share), TEXT, FAINT)
        y += TEXT + 8
    return paper


def _legend(winners: Winners) -> Iterator[tuple[str, str, float]]:
    shares = winners.shares
    for colour, (_, label, share) in zip(COLOURS, shares, strict=False):
        yield colour, label, share
    rest = shares[len(COLOURS) :]
    if rest:
        name = f"{len(rest)} other classes" if len(rest) > 1 else rest[0][1]
        yield OTHERS, name, sum(share for _, _, share in rest)


def _overlay(winners: Winners, shown: DrawnImage, options: RenderOptions) -> Image.Image:
    colours = dict(zip(winners.indices, COLOURS, strict=False))
    values = np.array(
        [[_rgb(colours.get(index, OTHERS)) for index in row] for row in winners.classes.tolist()], np.uint8
    )
    left, top, right, bottom = (round(edge) for edge in shown.at(winners.geometry.box))
    grid = Image.fromarray(values).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.NEAREST
    )
    painted = shown.grey.copy()
    painted.paste(grid, (left, top))
    blend = BLEND if options.alpha is None else options.alpha
    canvas = Image.blend(shown.grey, painted, blend)
    return shown.over_unseen(canvas.crop(shown.seen))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
