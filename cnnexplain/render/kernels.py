"""A sheet for the filters of one layer: the pictures, their scale, and what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from cnnexplain.core.results.kernels import Kernels
from cnnexplain.core.words import number, percent
from cnnexplain.render import Picture
from cnnexplain.render.kit.matrix import matrix, plain_matrix
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, GAP, INK, LINE, MARGIN, SMALL, TEXT, TITLE
from cnnexplain.render.kit.paper import laid_on_paper, new_paper
from cnnexplain.render.kit.plain import in_columns, side_by_side
from cnnexplain.render.kit.spots import move_spots, spot
from cnnexplain.render.kit.text import font, lay_mask, wrapped, write
from cnnexplain.render.kit.tiles import (
    BETWEEN,
    BROKEN,
    DEAD,
    Colours,
    Ink,
    Panels,
    TileGrid,
    enlarged,
    layout,
    painted,
    word,
)
from cnnexplain.render.kit.tiles import LINE as BELOW
from cnnexplain.render.kit.tiles import NUMBER as TINY

SEAM = (91, 98, 112)
NARROWEST = 620  # so that scale and histogram stand side by side
BAR = (256, 14)
COLUMN, HIGH = 6, 56  # of the histogram
AFTER = 4  # drawn pixels between a number and a norm

ORDERS = {"index": "by number", "norm": "strongest first", "likeness": "each beside the one most like it"}


def pictures(results: Sequence[Kernels], options: RenderOptions) -> Iterator[Picture]:
    """A sheet for every layer."""
    return (Picture(partial(sheet, kernels, options), (kernels,)) for kernels in results)


def sheet(kernels: Kernels, options: RenderOptions) -> Image.Image:
    """All of a layer's filters that are to be shown, with a heading above and remarks below; plain, these alone."""
    ink = Ink.of(kernels, options)
    if options.plain:
        return (
            plain_matrix(kernels, ink, options.max_side)
            if kernels.view == "matrix"
            else _tiles(kernels, ink, options.max_side)
        )
    if kernels.view == "matrix":
        body, shown, note, ink = matrix(kernels, ink, options.max_side)
    else:
        body, laid = _grid(kernels, ink, options.max_side)
        shown, note = laid.filters, _channels(kernels, laid.slices)
    width = max(body.width, NARROWEST)
    heading = [
        (f"{kernels.layer} · {kernels.type} · {kernels.size}", TITLE, INK, True),
        *(
            (line, TEXT, FAINT, False)
            for line in wrapped(" · ".join(_about(kernels, shown, note)), font(TEXT), width)
        ),
    ]
    remarks = [line for remark in kernels.detail.remarks for line in wrapped(remark, font(SMALL), width)]
    top = MARGIN + TITLE + 8 + (len(heading) - 1) * (TEXT + 5) + GAP
    legend = top + body.height + 22
    below = legend + HIGH + 4 * TINY + 8
    paper = new_paper((width + 2 * MARGIN, below + len(remarks) * (SMALL + 6) + MARGIN))
    draw, y = ImageDraw.Draw(paper), MARGIN - 6
    for text, size, colour, bold in heading:
        write(draw, (MARGIN, y), text, size, colour, bold=bold, width=width)
        y += TITLE + 10 if bold else TEXT + 5
    paper.paste(body, (MARGIN, top))
    move_spots(body, paper, (MARGIN, top))
    _scale(paper, (MARGIN, legend), kernels, ink)
    _histogram(paper, (MARGIN + BAR[0] + 60, legend), kernels)
    for line, text in enumerate(remarks):
        write(draw, (MARGIN, below + line * (SMALL + 6)), text, SMALL, FAINT)
    return paper


def _grid(kernels: Kernels, ink: Ink, max_side: int) -> tuple[Image.Image, TileGrid]:
    """The tiles, and how they were laid out."""
    laid = layout(kernels, max_side)
    panels = Panels.of(kernels, kernels.ranked(laid.filters), laid.slices)
    large = _enlarged(kernels, ink, laid, panels)
    canvas = np.full((laid.size[1] + 2, laid.size[0] + 2, 3), 255, np.uint8)  # frames are drawn around tiles
    step, high = laid.step
    for rank in range(laid.filters):
        left, top = laid.place(rank)
        for panel in range(laid.panels):
            x = left + panel * step + 1
            canvas[top + 1 : top + 1 + high, x : x + step - BETWEEN] = large[rank, panel]
            if panel:  # weights of zero are as white as the paper, and would join the panels
                canvas[top + 1 : top + 1 + high, x - BETWEEN // 2 - 1] = SEAM
    image = laid_on_paper(Image.fromarray(canvas))
    _captions(image, kernels, laid, panels)
    return image, laid


def _tiles(kernels: Kernels, ink: Ink, max_side: int) -> Image.Image:
    """The tiles without a word."""
    laid = layout(kernels, max_side)
    large = _enlarged(kernels, ink, laid, Panels.of(kernels, kernels.ranked(laid.filters), laid.slices))
    tiles = [side_by_side([Image.fromarray(panel) for panel in panels]) for panels in large]
    return in_columns(tiles, laid.columns)


def _enlarged(kernels: Kernels, ink: Ink, laid: TileGrid, panels: Panels) -> Colours:
    """The panels of all filters in colours at the size that they are drawn, (n, P, h, w, 3)."""
    numbers = kernels.ranked(laid.filters)
    # Of a filter's own scale all of it counts, also the slices that are not drawn.
    weights = panels.values if kernels.view == "norm" else kernels.values[numbers]
    colours = painted(panels, ink.limits(weights, numbers), ink, in_colour=kernels.view == "colour")
    return enlarged(colours, panels.broken, laid.cell)


def _captions(image: Image.Image, kernels: Kernels, laid: TileGrid, panels: Panels) -> None:
    """Below each tile its number, the norm where there is room, and the numbers of its input channels."""
    draw = ImageDraw.Draw(image)
    dead, broken = set(kernels.statistics.dead), set(kernels.statistics.broken)
    step, high = laid.step
    across = laid.panels * step - BETWEEN
    for rank, filter_ in enumerate(kernels.ranked(laid.filters).tolist()):
        left, top = laid.place(rank)
        y = top + high + 2
        channels = panels.channels[rank].tolist() if panels.channels is not None else []
        if laid.labelled:
            for panel, channel in enumerate(channels):
                label = word(str(channel))
                if label.width <= step:
                    lay_mask(image, FAINT, (left + 1 + panel * step, y), label)
            y += BELOW
        for row, channel in enumerate(channels if laid.beside else ()):
            middle = top + row * laid.cell[1] + (laid.cell[1] - BELOW) // 2
            lay_mask(image, FAINT, (left + across + BETWEEN, middle), word(str(channel)))
        name, colour, norm = word(str(filter_), bold=True), INK, ""
        if filter_ in dead or filter_ in broken:
            colour, norm = DEAD, "dead" if filter_ in dead else "not finite"
            draw.rectangle((left, top, left + across + 1, top + high + 1), outline=DEAD)
        else:
            norm = _short(kernels.statistics.norms[filter_])
        facts = [("norm", _short(kernels.statistics.norms[filter_])), ("place", f"{rank + 1} of those shown")]
        facts += [("state", norm)] if colour == DEAD else []
        facts += [("input channels", ", ".join(map(str, channels)))] if channels else []
        spot(image, (left, top), (across + 2, high + 2), f"filter {filter_}", facts)
        lay_mask(image, colour, (left + 1, y), name)
        norm_text = word(norm)
        if norm and name.width + AFTER + norm_text.width <= laid.tile[0]:
            faint = FAINT if colour == INK else DEAD
            lay_mask(image, faint, (left + 1 + name.width + AFTER, y), norm_text)


def _short(norm: float) -> str:
    return f"{norm:.2g}" if norm < 10 else f"{norm:.3g}"


def _about(kernels: Kernels, shown: int, note: str) -> Iterator[str]:
    """How the sheet is to be read."""
    count, channels = kernels.shape[:2]
    if shown < count:
        yield f"{shown:,} of {count:,} shown, {ORDERS[kernels.sort]}"
    else:
        yield ORDERS[kernels.sort]
    if kernels.groups > 1 and channels == 1:
        yield "depthwise: one input channel each"
    elif kernels.groups > 1:
        yield f"{kernels.groups} groups, {channels} of {channels * kernels.groups:,} input channels each"
    if kernels.view == "colour":
        yield "input channels as red, green and blue" + (
            ", frame by frame" if len(kernels.kernel) == 3 else ""
        )
    elif kernels.view == "norm":
        yield f"norm over {channels:,} input channels"
    elif kernels.view == "matrix":
        yield "a row a filter, a column an input channel"
    if note:
        yield note
    owner = "row" if kernels.view == "matrix" else "filter"
    yield f"each {owner} has its own scale" if kernels.ends == "filter" else "one scale for all"


def _channels(kernels: Kernels, slices: int) -> str:
    """Which input channels of a filter are drawn, where there is a choice."""
    channels = kernels.shape[1]
    if kernels.view != "slices" or channels == 1:
        return ""
    if len(kernels.kernel) == 3:
        return f"frames of the strongest of {channels:,} input channels"
    arrangement = ", one below the other" if len(kernels.kernel) == 1 else ", side by side"
    if slices == 1:
        return f"the strongest of {channels:,} input channels"
    selection = f"the strongest {slices} of {channels:,}" if slices < channels else f"all {channels}"
    return f"{selection} input channels{arrangement}"


def _scale(paper: Image.Image, place: tuple[int, int], kernels: Kernels, ink: Ink) -> None:
    """The colours, with what their ends and their middle are."""
    left, top = place
    width, height = BAR
    steps = 254 if ink.signed else 255
    levels = np.rint(np.linspace(0, steps, width)).astype(np.uint8)
    colours = levels[:, None].repeat(3, 1) if kernels.view == "colour" else ink.table[levels]
    draw = ImageDraw.Draw(paper)
    in_colour = kernels.view == "colour"
    title = "red, green, blue, each: dark is negative, light positive" if in_colour else (
        ink.quantity
    )  # fmt: skip
    write(draw, (left, top - 4), title, TINY, FAINT, width=width + 50)
    top += TINY + 4
    paper.paste(Image.fromarray(colours[None].repeat(height, 0)), (left, top))
    draw.rectangle((left, top, left + width - 1, top + height - 1), outline=LINE)
    y = top + height + 3
    for share, anchor, text in zip((0, 0.5, 1), ("la", "ma", "ra"), _ticks(kernels, ink), strict=True):
        write(draw, (left + share * (width - 1), y), text, TINY, INK, anchor=anchor)
    y += TINY + 4
    if kernels.ends == "filter":
        ends = "± the largest weight of each filter" if ink.signed else "the largest of each filter"
        write(draw, (left, y), ends, TINY, FAINT, width=width + 50)
        y += TINY + 4
    if kernels.statistics.broken:
        draw.rectangle((left, y + 2, left + TINY, y + 2 + TINY), fill=BROKEN, outline=LINE)
        write(draw, (left + TINY + 6, y), "NaN or infinite", TINY, FAINT)


def _ticks(kernels: Kernels, ink: Ink) -> tuple[str, str, str]:
    if ink.ends is None:
        above, below = ("≥ +", "≤ −") if ink.share < 1 else ("+", "−")
        end = f"{percent(ink.share)} of largest" if ink.share < 1 else "largest"
        return (below + end, "0", above + end) if ink.signed else ("0", "", "largest")
    clipped = kernels.statistics.limit > ink.ends if ink.signed else True
    above, below = ("≥ ", "≤ ") if clipped else ("", "")
    if not ink.signed:
        return "0", number(ink.ends / 2), above + number(ink.ends)
    return below + number(-ink.ends), "0", above + number(ink.ends)


def _histogram(paper: Image.Image, place: tuple[int, int], kernels: Kernels) -> None:
    """How many weights there are of every size."""
    left, top = place
    draw, counted = ImageDraw.Draw(paper), kernels.statistics
    counts = counted.histogram
    norms = counted.norms[np.isfinite(counted.norms)]
    title = f"all {kernels.values.size:,} weights"
    if norms.size == 1:
        title += f"; norm {_short(norms[0])}"
    elif norms.size:
        title += f"; norms {_short(norms.min())} to {_short(norms.max())}, median {_short(float(np.median(norms)))}"
    write(draw, (left, top - 4), title, TINY, FAINT, width=paper.width - MARGIN - left)
    top += TINY + 4
    highest = int(counts.max(initial=1)) or 1
    for bin_, count in enumerate(counts.tolist()):
        high = round(count / highest * HIGH) or (count > 0)
        x = left + bin_ * COLUMN
        if high:
            draw.rectangle((x, top + HIGH - high, x + COLUMN - 2, top + HIGH - 1), fill=FAINT)
    width = len(counts) * COLUMN - 1
    draw.line((left, top + HIGH, left + width, top + HIGH), fill=LINE)
    limit = counted.limit or 1.0
    for share, anchor, value in ((0, "la", -limit), (0.5, "ma", 0.0), (1, "ra", limit)):
        write(draw, (left + share * width, top + HIGH + 3), number(value), TINY, INK, anchor=anchor)
