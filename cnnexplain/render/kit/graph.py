"""A model's graph as a picture of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

from cnnexplain.core.graph.fold import FoldedGraph
from cnnexplain.core.graph.place import Drawing, DrawnLine, Placed, Point
from cnnexplain.core.graph.svg import (
    COLOURS,
    DEAD,
    EDGE,
    FRAME,
    FRAME_EDGE,
    HEAD,
    INSET,
    NARROWEST,
    TEXT,
    TITLE,
    WAY,
    texts,
)
from cnnexplain.render.kit.panel import FAINT, INK
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import fitted, font, write

SCALE = 2.0  # pixels for one of the SVG's
MOST_PIXELS = 40_000_000  # a larger drawing is made smaller
STEPS = 12  # of a bent line


def graph_image(graph: FoldedGraph, drawing: Drawing, heading: tuple[str, str]) -> Image.Image:
    """The picture of a drawing with a heading of two lines."""
    return _Paper(graph, drawing, heading).image


class _Paper:
    """The picture while it is drawn."""

    def __init__(self, graph: FoldedGraph, drawing: Drawing, heading: tuple[str, str]) -> None:
        self.graph = graph
        width, height = max(drawing.width + 2 * EDGE, NARROWEST), drawing.height + HEAD + EDGE
        self.scale = min(SCALE, math.sqrt(MOST_PIXELS / (width * height)))
        self.image = new_paper((self._pixels(width), self._pixels(height)))
        self.draw = ImageDraw.Draw(self.image)
        for text, size, y, colour in ((heading[0], 22, 18, INK), (heading[1], 12, 46, FAINT)):
            place, room = self._at(EDGE, y), self.scale * (width - 2 * EDGE)
            write(self.draw, place, text, self._pixels(size), colour, bold=size > 20, width=room)
        for box in drawing.boxes:
            if box.open:
                self._frame(box)
        for line in drawing.lines:
            self._line(line)
        for box in drawing.boxes:
            if not box.open:
                self._box(box)

    def _pixels(self, length: float) -> int:
        return max(1, round(length * self.scale))

    def _at(self, x: float, y: float) -> Point:
        return x * self.scale, y * self.scale

    def _rectangle(self, box: Placed, colours: tuple[str, str], radius: float, shift: float = 0) -> None:
        x, y = EDGE + box.x + shift, HEAD + box.y + shift
        corners = (*self._at(x, y), *self._at(x + box.width, y + box.height))
        line = max(1, round(self.scale * 0.7))
        self.draw.rounded_rectangle(corners, self._pixels(radius), colours[0], colours[1], line)

    def _frame(self, box: Placed) -> None:
        self._rectangle(box, (FRAME, FRAME_EDGE), 8)
        self._sign(box, ((0, -9), (9, -9), (4.5, -1)))
        self._words(box)

    def _box(self, box: Placed) -> None:
        item = self.graph.items[box.item]
        radius = 12 if item.is_function else 6
        if item.times > 1:
            self._rectangle(box, COLOURS[item.sort], radius, 4)
        self._rectangle(box, COLOURS[item.sort], radius)
        if item.children:
            self._sign(box, ((1, -10), (8, -5.5), (1, -1)))
        self._words(box)

    def _sign(self, box: Placed, corners: Sequence[Point]) -> None:
        """Draw the triangle of a block, which typefaces lack."""
        x, y = EDGE + box.x + INSET, HEAD + box.y + 18
        self.draw.polygon([self._at(x + dx, y + dy) for dx, dy in corners], fill=INK)

    def _words(self, box: Placed) -> None:
        for text, x, y, setting in texts(self.graph, box):
            bold = setting == "kind"
            size = self._pixels(TITLE if bold else TEXT)
            place = self._at(EDGE + box.x + x, HEAD + box.y + y)
            shown = fitted(text, font(size, bold=bold), box.width * self.scale)
            anchor = "rs" if setting == "end" else "ls"
            colour = INK if bold else DEAD if "dead" in setting else FAINT
            write(self.draw, place, shown, size, colour, bold=bold, anchor=anchor)

    def _line(self, line: DrawnLine) -> None:
        points = [self._at(EDGE + x, HEAD + y) for x, y in _bent(line)]
        self.draw.line(points, fill=WAY, width=max(1, round(1.4 * self.scale)), joint="curve")
        if line.arrow:
            x, y = points[-1]
            side, high = 3.5 * self.scale, 7 * self.scale
            self.draw.polygon([(x, y), (x - side, y - high), (x + side, y - high)], fill=WAY)


def _bent(line: DrawnLine) -> Iterator[Point]:
    """The points of a line, with those in between where it is bent."""
    yield line.points[0]
    for (x0, y0), (x1, y1) in pairwise(line.points):
        steps = STEPS if abs(x0 - x1) > 0.05 and abs(y0 - y1) > 0.05 else 1
        for step in range(1, steps + 1):
            t = step / steps
            # The cubic Bezier curve of the SVG, whose handles lie half way down: (3t - 3t^2 + 2t^3) / 2 downwards.
            across, down = t * t * (3 - 2 * t), t * (3 - 3 * t + 2 * t * t) / 2
            yield x0 + (x1 - x0) * across, y0 + (y1 - y0) * down
