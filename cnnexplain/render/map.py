"""A heat map as a picture that explains itself: original, overlay, class, layer, colour bar, remarks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.map import PIXELS, Heatmap
from cnnexplain.core.words import likelihood, number
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import (
    BODY,
    FAINT,
    GAP,
    INK,
    MARGIN,
    NARROWEST,
    SMALL,
    TEXT,
    TITLE,
    DrawnImage,
    stamp,
)
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.scale import End, Ends, PixelScale, colormap, painted
from cnnexplain.render.kit.text import font, length, wrapped, write

BAR_WIDTH, BAR_LABELS = 18, 64
SHORTEST_BAR = 2 * SMALL + 6  # so that its numbers have room
OVER_PICTURE = 0.55  # how strongly a map covers a picture that one looks for things in
BLANK = "#c9ced6"  # below a map whose place on the picture is not known
LARGE_CELL = 4  # drawn pixels; a map of pixels so coarse is shown as the squares it is made of


def pictures(
    results: Sequence[Heatmap], explanation: Explanation, options: RenderOptions
) -> Iterator[Picture]:
    """A card or a plain figure for every map."""
    cards = MapCards(explanation, options)
    return (Picture(partial(cards.figure, heatmap), (heatmap,)) for heatmap in results)


class MapCards:
    """Draws the cards of the heat maps of one explained picture; what the maps share is drawn once."""

    def __init__(self, explanation: Explanation, options: RenderOptions, *, part: bool = False) -> None:
        self.explanation = explanation
        self.options = options
        self.part = part  # whether the geometry is that of a map which lies on a part of what the model saw
        self.image = DrawnImage(explanation, options.max_side)

    def _of(self, heatmap: Heatmap) -> MapCards:
        """The cards of a map that lies on a part of what the model saw: all around it is hatched."""
        if heatmap.geometry == self.explanation.geometry:
            return self
        return MapCards(replace(self.explanation, geometry=heatmap.geometry), self.options, part=True)

    def figure(self, heatmap: Heatmap) -> Image.Image:
        """The finished picture of one heat map: its card, or plain where the options ask for it."""
        if not self.options.plain:
            return self.card(heatmap)
        cards = self._of(heatmap)
        return cards._laid(heatmap, cards._scale(heatmap))

    def card(self, heatmap: Heatmap) -> Image.Image:
        """The original and the map side by side, with words and a colour bar."""
        return self._of(heatmap)._card(heatmap)

    def _card(self, heatmap: Heatmap) -> Image.Image:
        scale = self._scale(heatmap)
        panels = (self.image.picture, self._overlay(heatmap, scale))
        width, height = self.image.picture.size
        beside = width <= 2 * height
        room = width * 2 + GAP if beside else width
        ticks = _ticks(self._ends.of(heatmap), scale)
        labels = max(
            [BAR_LABELS, *(math.ceil(length(tick, font(SMALL))) + 6 for tick in ticks or () if scale)]
        )
        inner = max(room + GAP + BAR_WIDTH + labels, NARROWEST)
        remarks = [
            line for remark in self._remarks(heatmap, scale) for line in wrapped(remark, font(SMALL), inner)
        ]
        top = BODY
        below = top + max(height if beside else height * 2 + GAP, SHORTEST_BAR)
        bottom = below + (len(remarks) * (SMALL + 6) + 10 if remarks else 0)
        paper = new_paper((inner + 2 * MARGIN, bottom + MARGIN))
        draw = ImageDraw.Draw(paper)
        self._heading(draw, heatmap, inner)
        for place, panel in enumerate(panels):
            paper.paste(
                panel, (MARGIN + place * beside * (width + GAP), top + place * (not beside) * (height + GAP))
            )
        if ticks:
            self._bar(paper, scale, ticks, (MARGIN + room + GAP, top, below))
        for line, text in enumerate(remarks):
            write(draw, (MARGIN, below + 10 + line * (SMALL + 6)), text, SMALL, FAINT)
        return paper

    def overlay(self, heatmap: Heatmap) -> Image.Image:
        """The map laid on the picture where the model saw it, its peak marked; what it never saw is hatched."""
        return self._of(heatmap)._overlay(heatmap, self._scale(heatmap))

    @property
    def original(self) -> tuple[int, int, int, int]:
        """Where on every card the picture itself is: left, top, width and height."""
        return MARGIN, BODY, *self.image.picture.size

    def look(self, heatmap: Heatmap) -> dict[str, Any]:
        """How a map is coloured: the name of the colour map, where it ends, and how strongly it covers the picture."""
        scale = self._scale(heatmap)
        over = OVER_PICTURE if scale is None or _of_regions(heatmap) else 1.0
        return {
            "colormap": scale.colormap if scale else colormap(self.options, signed=False),
            "limit": self._ends.of(heatmap).value,
            "opacity": over if self.options.alpha is None else self.options.alpha,
        }

    def _scale(self, heatmap: Heatmap) -> PixelScale | None:
        if heatmap.scale == "evidence":
            return None
        return PixelScale.of(heatmap, self.options, self._ends.of(heatmap))

    @cached_property
    def _ends(self) -> Ends:
        return Ends(self.explanation.heatmaps, self.options)

    def _overlay(self, heatmap: Heatmap, scale: PixelScale | None) -> Image.Image:
        canvas = self._laid(heatmap, scale)
        if not self._ends.of(heatmap).value > 0:
            stamp(canvas, "zero everywhere" if scale else "nothing positive here")
        elif (scale is None or _of_regions(heatmap)) and heatmap.peak is not None:
            self._mark(canvas, heatmap.peak)
        return canvas

    def _laid(self, heatmap: Heatmap, scale: PixelScale | None) -> Image.Image:
        """The map on the picture without words and marks."""
        if heatmap.placed:
            grey = self.image.grey if self.image.seen_whole else self.image.grey.crop(self.image.seen)
        else:  # on blank paper: where on the picture it lies is not known
            grey = Image.new("RGB", self.image.seen_size, BLANK)
        end = self._ends.of(heatmap).value
        if not end > 0:
            return self.image.over_unseen(grey)
        if scale is None:
            return self.image.over_unseen(self._blended(grey, self._heat(heatmap, end), OVER_PICTURE))
        colours = self._pixels(heatmap, scale, smooth=heatmap.scale == "component")
        usual = OVER_PICTURE if _of_regions(heatmap) else 1.0
        return self.image.over_unseen(self._blended(grey, colours, usual))

    def _blended(self, grey: Image.Image, colours: Image.Image, usual: float) -> Image.Image:
        alpha = usual if self.options.alpha is None else self.options.alpha
        return colours if alpha == 1 else Image.blend(grey, colours, alpha)

    def _heat(self, heatmap: Heatmap, end: float) -> Image.Image:
        """The positive part of the map in colours, at the size of what the model saw."""
        rows, columns = heatmap.values.shape
        positive = Image.fromarray(np.maximum(heatmap.values, 0) / np.float32(end) * np.float32(255))
        enlarged = positive.resize(
            self.image.seen_size, Image.Resampling.BILINEAR, box=self.image.cells((rows, columns))
        )
        levels = np.rint(np.asarray(enlarged)).astype(np.uint8)  # 0 to 255, as are means of such
        return painted(Image.fromarray(levels), colormap(self.options, signed=False))

    def _pixels(self, heatmap: Heatmap, scale: PixelScale, *, smooth: bool) -> Image.Image:
        """A map in colours on both sides of zero, at the size of what the model saw; one of few cells `smooth`."""
        rows, columns = heatmap.values.shape
        box, size = self.image.cells((rows, columns)), self.image.seen_size
        times = [size[axis] / max(box[axis + 2] - box[axis], 1e-9) for axis in (0, 1)]
        # Bilinear enlarges smoothly. Where the map shrinks, thin lines would thin out; a mean keeps them.
        smooth = smooth or all(1 <= factor < LARGE_CELL for factor in times)
        resample = Image.Resampling.BILINEAR if smooth else Image.Resampling.BOX
        levels = Image.fromarray(scale.levels(heatmap.values))
        return painted(levels.resize(size, resample, box=box), scale.colormap)

    def _mark(self, canvas: Image.Image, peak: tuple[int, int]) -> None:
        x, y = ((place + 0.5) * scale for place, scale in zip(peak, self.image.scale, strict=True))
        draw = ImageDraw.Draw(canvas)
        for radius, colour, width in ((8, "black", 4), (7, "white", 2)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)

    def _heading(self, draw: ImageDraw.ImageDraw, heatmap: Heatmap, width: float) -> None:
        title = heatmap.target.label if heatmap.of_class else "What stands out"
        chance = f"  {likelihood(asdict(heatmap.target))}" if heatmap.of_class else "  no class"
        room = width - length(chance, font(TITLE))
        used = write(draw, (MARGIN, MARGIN - 6), title, TITLE, INK, bold=True, width=room)
        write(draw, (MARGIN + used, MARGIN - 6), chance, TITLE, FAINT)
        where = "" if heatmap.layer == PIXELS else f" at {heatmap.layer}"
        name = os.path.basename(self.explanation.image)
        place = (MARGIN, MARGIN + TITLE + 4)
        write(draw, place, f"{heatmap.method}{where} · {name}", TEXT, FAINT, width=width)

    def _bar(
        self,
        paper: Image.Image,
        scale: PixelScale | None,
        ticks: tuple[str, str, str],
        place: tuple[int, int, int],
    ) -> None:
        left, top, bottom = place
        name = scale.colormap if scale else colormap(self.options, signed=False)
        last = scale.steps if scale else 255
        paper.paste(_bar_of(name, last, bottom - top), (left, top))
        draw = ImageDraw.Draw(paper)
        for y, text, anchor in zip(
            (top, (top + bottom) // 2, bottom), ticks, ("lt", "lm", "ls"), strict=True
        ):
            if anchor != "lm" or bottom - top > 4 * SMALL:
                write(draw, (left + BAR_WIDTH + 6, y), text, SMALL, INK, anchor=anchor)

    def _remarks(self, heatmap: Heatmap, scale: PixelScale | None) -> list[str]:
        remarks = [scale.remark(heatmap.goal)] if scale else _of_evidence(heatmap, self._ends.of(heatmap))
        if _of_regions(heatmap) and scale and (heatmap.max > 0 or heatmap.min < 0):
            remarks.insert(0, _circle(heatmap))
        if not self.image.seen_whole:
            remarks.append(f"Hatched: never seen by {'this run of the layer' if self.part else 'the model'}.")
        verdict = [] if heatmap.verdict is None else [heatmap.verdict.words]
        return [*verdict, " ".join(remarks), *heatmap.detail.remarks, *self.explanation.notes]


def _of_regions(heatmap: Heatmap) -> bool:
    """Whether a map is of regions, not of single pixels, so that one looks for what is beneath them."""
    return heatmap.scale == "component" or not {"occlusion", "rise"}.isdisjoint(heatmap.detail.facts)


def _circle(heatmap: Heatmap) -> str:
    """What the circle marks; the largest value, or where the sign is arbitrary the largest absolute value."""
    rows, columns = heatmap.values.shape
    lowest = heatmap.scale == "component" and -heatmap.min > heatmap.max
    strongest = number(heatmap.min if lowest else heatmap.max)
    cells = "pixels" if heatmap.layer == PIXELS else "cells"
    which = "largest" if heatmap.scale == "signed" else "strongest"
    if heatmap.peak is None:
        return f"The {which} of {rows}x{columns} {cells}: {strongest}."
    x, y = heatmap.peak
    return f"Circle: the {which} of {rows}x{columns} {cells}, {strongest}, around x {x}, y {y}."


def _of_evidence(heatmap: Heatmap, end: End) -> list[str]:
    if not heatmap.max > 0:
        speaks = f"speaks for {heatmap.goal}" if heatmap.goal else "stands out"
        where = "No part of the image" if heatmap.layer == PIXELS else "Nothing at this layer"
        remarks = [f"{where} {speaks}: the largest value is {number(heatmap.max)}."]
    else:
        remarks = [_circle(heatmap)]
        if end.words:
            remarks.append(f"Colours end at {number(end.value)}{end.words}.")
    if heatmap.min < 0:
        against = f" speaks against {heatmap.goal} and" if heatmap.goal else ""
        remarks.append(f"Smallest {number(heatmap.min)}; what is negative{against} has no colour.")
    return remarks


def _ticks(end: End, scale: PixelScale | None) -> tuple[str, str, str] | None:
    """What stands at the top, the middle and the bottom of the bar; None where there is nothing to measure."""
    if not end.value > 0:
        return None
    return scale.ticks if scale is not None else (number(end.value), number(end.value / 2), "0")


@lru_cache(maxsize=64)
def _bar_of(name: str, last: int, height: int) -> Image.Image:
    """All colours of a map as an upright bar, `last` at the top; most pictures of a run have it in common."""
    levels = np.linspace(last, 0, height).round().astype(np.uint8)
    return painted(Image.fromarray(levels[:, None].repeat(BAR_WIDTH, axis=1)), name)
