"""A heat map as a picture that explains itself: original, overlay, class, layer, colour bar, remarks."""

from __future__ import annotations

import math
import os
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.explanation import Explanation, Heatmap
from cnnexplain.core.words import number, percent
from cnnexplain.render.colormaps import palette
from cnnexplain.render.options import RenderOptions
from cnnexplain.render.text import font, wrapped, write

PAPER, INK, FAINT, LINE = "#ffffff", "#16181d", "#5b6270", "#c9ced6"
MARGIN, GAP = 20, 12
TITLE, TEXT, SMALL = 26, 17, 15
BAR_WIDTH, BAR_LABELS = 18, 64
SMALLEST_PANEL = 224  # a tiny picture is enlarged to this by whole pixels
NARROWEST = 420  # so that the words have room
SHORTEST_BAR = 2 * SMALL + 6  # so that its numbers have


class Easel:
    """One explained picture, ready to have its heat maps drawn; what they share is done once."""

    def __init__(self, explanation: Explanation, options: RenderOptions) -> None:
        self.explanation = explanation
        self.options = options

    def card(self, heatmap: Heatmap) -> Image.Image:
        """The finished picture of one heat map."""
        panels = (self._shown, self.overlay(heatmap))
        width, height = self._shown.size
        beside = width <= 2 * height
        room = width * 2 + GAP if beside else width
        inner = max(room + GAP + BAR_WIDTH + BAR_LABELS, NARROWEST)
        remarks = [line for remark in self._remarks(heatmap) for line in wrapped(remark, font(SMALL), inner)]
        top = MARGIN + TITLE + TEXT + 22
        below = top + max(height if beside else height * 2 + GAP, SHORTEST_BAR)
        bottom = below + (len(remarks) * (SMALL + 6) + 10 if remarks else 0)
        paper = Image.new("RGB", (inner + 2 * MARGIN, bottom + MARGIN), PAPER)
        draw = ImageDraw.Draw(paper)
        self._heading(draw, heatmap, inner)
        for place, panel in enumerate(panels):
            paper.paste(
                panel, (MARGIN + place * beside * (width + GAP), top + place * (not beside) * (height + GAP))
            )
        if heatmap.max > 0:
            self._bar(paper, heatmap, (MARGIN + room + GAP, top, below))
        for line, text in enumerate(remarks):
            write(draw, (MARGIN, below + 10 + line * (SMALL + 6)), text, SMALL, FAINT)
        return paper

    def overlay(self, heatmap: Heatmap) -> Image.Image:
        """The map laid on the picture where the model saw it; what the model never saw is hatched."""
        seen = self._seen
        canvas = self._unseen.copy()
        grey = self._grey.crop(seen)
        if heatmap.max > 0:
            grey = Image.blend(grey, self._heat(heatmap), self.options.alpha)
        canvas.paste(grey, seen[:2])
        if heatmap.peak is None:
            _stamp(canvas, "nothing positive here")
        else:
            self._mark(canvas, heatmap.peak)
        return canvas

    @cached_property
    def _shown(self) -> Image.Image:
        return drawn(self.explanation.picture, self.options.max_side)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        width, height = self.explanation.geometry.picture_size
        return self._shown.width / width, self._shown.height / height

    @cached_property
    def _seen(self) -> tuple[int, int, int, int]:
        """What the model saw, in whole pixels of the drawn picture; at least one."""
        across, down = self._scale
        left, top, right, bottom = self.explanation.geometry.seen
        x, y = (
            min(round(left * across), self._shown.width - 1),
            min(round(top * down), self._shown.height - 1),
        )
        return x, y, max(x + 1, round(right * across)), max(y + 1, round(bottom * down))

    @cached_property
    def _grey(self) -> Image.Image:
        return self._shown.convert("L").convert("RGB")

    @cached_property
    def _unseen(self) -> Image.Image:
        """The picture as the model never saw it: pale and hatched."""
        if self._seen == (0, 0, *self._shown.size):
            return self._shown
        pale = Image.blend(self._grey, Image.new("RGB", self._shown.size, "white"), 0.55)
        draw = ImageDraw.Draw(pale)
        for start in range(-pale.height, pale.width, 10):
            draw.line((start, pale.height, start + pale.height, 0), fill="#878d99")
        return pale

    def _heat(self, heatmap: Heatmap) -> Image.Image:
        """The positive part of the map in colours, at the size of what the model saw."""
        across, down = self._scale
        left, top, right, bottom = self.explanation.geometry.box
        rows, columns = heatmap.values.shape
        x = [
            min(max((edge / across - left) * columns / (right - left), 0), columns)
            for edge in self._seen[0::2]
        ]
        y = [min(max((edge / down - top) * rows / (bottom - top), 0), rows) for edge in self._seen[1::2]]
        size = (self._seen[2] - self._seen[0], self._seen[3] - self._seen[1])
        positive = Image.fromarray(np.maximum(heatmap.values, 0) / np.float32(heatmap.max) * np.float32(255))
        enlarged = positive.resize(size, Image.Resampling.BILINEAR, box=(x[0], y[0], x[1], y[1]))
        return _coloured(np.asarray(enlarged), self.options.colormap)

    def _mark(self, canvas: Image.Image, peak: tuple[int, int]) -> None:
        x, y = ((place + 0.5) * scale for place, scale in zip(peak, self._scale, strict=True))
        draw = ImageDraw.Draw(canvas)
        for radius, colour, width in ((8, "black", 4), (7, "white", 2)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)

    def _heading(self, draw: ImageDraw.ImageDraw, heatmap: Heatmap, width: float) -> None:
        title = heatmap.target.label if heatmap.of_class else "What stands out"
        chance = f"  {percent(heatmap.target.probability)}" if heatmap.of_class else "  no class"
        room = width - font(TITLE).getlength(chance)
        used = write(draw, (MARGIN, MARGIN - 6), title, TITLE, INK, bold=True, width=room)
        write(draw, (MARGIN + used, MARGIN - 6), chance, TITLE, FAINT)
        name = os.path.basename(self.explanation.image)
        write(
            draw,
            (MARGIN, MARGIN + TITLE + 4),
            f"{heatmap.method} at {heatmap.layer} · {name}",
            TEXT,
            FAINT,
            width=width,
        )

    def _bar(self, paper: Image.Image, heatmap: Heatmap, place: tuple[int, int, int]) -> None:
        left, top, bottom = place
        levels = np.linspace(255, 0, bottom - top)[:, None].repeat(BAR_WIDTH, axis=1)
        paper.paste(_coloured(levels, self.options.colormap), (left, top))
        draw = ImageDraw.Draw(paper)
        ticks = [(top, heatmap.max, "lt"), (bottom, 0.0, "ls")]
        if bottom - top > 4 * SMALL:
            ticks.append(((top + bottom) // 2, heatmap.max / 2, "lm"))
        for y, value, anchor in ticks:
            write(draw, (left + BAR_WIDTH + 6, y), number(value), SMALL, INK, anchor=anchor)

    def _remarks(self, heatmap: Heatmap) -> list[str]:
        cells = f"{heatmap.values.shape[0]}x{heatmap.values.shape[1]}"
        if heatmap.peak is None:
            speaks = "speaks for the class" if heatmap.of_class else "stands out"
            remarks = [f"Nothing at this layer {speaks}: the largest value is {number(heatmap.max)}."]
        else:
            x, y = heatmap.peak
            remarks = [f"Circle: the strongest of {cells} cells, {number(heatmap.max)}, around x {x}, y {y}."]
        if heatmap.min < 0:
            meaning = (
                "what is negative speaks against the class and" if heatmap.of_class else "what is negative"
            )
            remarks.append(f"Smallest {number(heatmap.min)}; {meaning} has no colour.")
        if self._seen != (0, 0, *self._shown.size):
            remarks.append("Hatched: never seen by the model.")
        return [" ".join(remarks)]


def drawn(picture: Image.Image, max_side: int) -> Image.Image:
    """A picture at the size it is drawn: no side longer than `max_side`, and a tiny one enlarged."""
    longest, at_least = max(picture.size), min(SMALLEST_PANEL, max_side)
    if longest < at_least:
        times = min(math.ceil(at_least / longest), max_side // longest)
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    if longest <= max_side:
        return picture
    size = tuple(max(1, round(side * max_side / longest)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _coloured(levels: NDArray[Any], colormap: str) -> Image.Image:
    indexed = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    indexed.putpalette(palette(colormap))
    return indexed.convert("RGB")


def _stamp(canvas: Image.Image, text: str) -> None:
    draw = ImageDraw.Draw(canvas)
    face = font(max(10, min(22, canvas.width // 10)), bold=True)
    left, top, right, bottom = draw.textbbox(
        (canvas.width / 2, canvas.height / 2), text, font=face, anchor="mm"
    )
    if right - left + 16 > canvas.width or bottom - top + 10 > canvas.height:
        return  # too small for words; the remark below the picture says the same
    draw.rectangle((left - 8, top - 5, right + 8, bottom + 5), fill=PAPER, outline=LINE)
    draw.text((canvas.width / 2, canvas.height / 2), text, font=face, fill=INK, anchor="mm")
