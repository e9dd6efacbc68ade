"""One picture as it is drawn, and the look that all pictures of it share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from PIL import Image, ImageDraw

from cnnexplain.core.explanation import Explanation
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import font, lay, wrapped, write

PAPER, INK, FAINT, LINE = "#ffffff", "#16181d", "#5b6270", "#c9ced6"
HATCHING = "#878d99"
MOUNT = "#f1f3f5"
MARGIN, GAP = 20, 12
TITLE, TEXT, SMALL = 26, 17, 15
BODY = MARGIN + TITLE + TEXT + 22  # where what is drawn begins, below the heading
SMALLEST_PANEL = 224  # a tiny picture is enlarged to this by whole pixels
NARROWEST = 420  # so that the words have room
FEW_PIXELS = 32  # so few are shown as they are, sharp; more are smoothed

Box = tuple[float, float, float, float]


class DrawnImage:
    """A picture at the size it is drawn, and where on it the model looked; what is costly is done once."""

    def __init__(self, explanation: Explanation, max_side: int) -> None:
        self.explanation = explanation
        self.max_side = max_side

    @cached_property
    def picture(self) -> Image.Image:
        """The picture as it is."""
        return drawn(self.explanation.picture, self.max_side)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Drawn pixels for a pixel of the original, across and down."""
        width, height = self.explanation.geometry.picture_size
        return self.picture.width / width, self.picture.height / height

    @cached_property
    def seen(self) -> tuple[int, int, int, int]:
        """What the model saw, in whole drawn pixels; at least one."""
        across, down = self.scale
        left, top, right, bottom = self.explanation.geometry.seen
        x, y = (
            min(round(left * across), self.picture.width - 1),
            min(round(top * down), self.picture.height - 1),
        )
        return x, y, max(x + 1, round(right * across)), max(y + 1, round(bottom * down))

    @property
    def seen_size(self) -> tuple[int, int]:
        """Width and height of `seen`."""
        return self.seen[2] - self.seen[0], self.seen[3] - self.seen[1]

    @property
    def seen_whole(self) -> bool:
        """Whether the model saw all of it."""
        return self.seen == (0, 0, *self.picture.size)

    @cached_property
    def grey(self) -> Image.Image:
        """The picture without its colours."""
        return self.picture.convert("L").convert("RGB")

    @cached_property
    def unseen(self) -> Image.Image:
        """The picture as the model never saw it: pale and hatched."""
        if self.seen_whole:
            return self.picture
        pale = Image.blend(self.grey, Image.new("RGB", self.picture.size, "white"), 0.55)
        return hatched(pale)

    def over_unseen(self, seen: Image.Image) -> Image.Image:
        """`seen`, of the size of what the model saw, in its place; around it the rest, hatched."""
        if self.seen_whole:
            return seen.copy()
        canvas = self.unseen.copy()
        canvas.paste(seen, self.seen[:2])
        return canvas

    def cells(self, shape: tuple[int, int]) -> Box:
        """Which part of a map of `shape` (h, w) lies on `seen`, in its cells."""
        across, down = self.scale
        left, top, right, bottom = self.explanation.geometry.box
        rows, columns = shape
        x = [
            min(max((edge / across - left) * columns / (right - left), 0), columns)
            for edge in self.seen[0::2]
        ]
        y = [min(max((edge / down - top) * rows / (bottom - top), 0), rows) for edge in self.seen[1::2]]
        return x[0], y[0], x[1], y[1]

    def at(self, box: Box) -> Box:
        """Where `box`, in the original's pixels, is drawn."""
        across, down = self.scale
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down

    def patch(self, box: Box, size: tuple[int, int]) -> Image.Image:
        """What lies under `box`, in the original's pixels, at `size`; hatched where the picture ends."""
        left, top, right, bottom = self.at(box)
        x = max(0.0, left), min(float(self.picture.width), right)
        y = max(0.0, top), min(float(self.picture.height), bottom)
        if (x[0], y[0], x[1], y[1]) == (left, top, right, bottom):
            return self._enlarged((left, top, right, bottom), size)
        canvas = hatched(Image.new("RGB", size, "#eef0f3"))
        if x[0] < x[1] and y[0] < y[1]:
            columns = _pixel_range([(edge - left) * size[0] / (right - left) for edge in x], size[0])
            rows = _pixel_range([(edge - top) * size[1] / (bottom - top) for edge in y], size[1])
            within = (columns[1] - columns[0], rows[1] - rows[0])
            canvas.paste(self._enlarged((x[0], y[0], x[1], y[1]), within), (columns[0], rows[0]))
        return canvas

    def _enlarged(self, box: Box, size: tuple[int, int]) -> Image.Image:
        sharp = max(box[2] - box[0], box[3] - box[1]) < FEW_PIXELS
        return self.picture.resize(
            size, Image.Resampling.NEAREST if sharp else Image.Resampling.BICUBIC, box=box
        )


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


def hatched(canvas: Image.Image) -> Image.Image:
    """The canvas itself, with slanting lines drawn over it."""
    draw = ImageDraw.Draw(canvas)
    for start in range(-canvas.height, canvas.width, 10):
        draw.line((start, canvas.height, start + canvas.height, 0), fill=HATCHING)
    return canvas


def stamp(canvas: Image.Image, text: str) -> None:
    """Write a word on the middle of a picture, where there is room for it."""
    draw = ImageDraw.Draw(canvas)
    face = font(max(10, min(22, canvas.width // 10)), bold=True)
    left, top, right, bottom = draw.textbbox(
        (canvas.width / 2, canvas.height / 2), text, font=face, anchor="mm"
    )
    if right - left + 16 > canvas.width or bottom - top + 10 > canvas.height:
        return  # too small for words; the remark below the picture says the same
    draw.rectangle((left - 8, top - 5, right + 8, bottom + 5), fill=PAPER, outline=LINE)
    lay(draw, (canvas.width / 2, canvas.height / 2), text, face, INK, "mm")


def mounted(paper: Image.Image, panel: Image.Image, place: tuple[int, int], slot: tuple[int, int]) -> None:
    """Paste a panel on the middle of its slot; the margin of one that is smaller is tinted."""
    paper.paste(MOUNT, (*place, place[0] + slot[0], place[1] + slot[1]))
    paper.paste(panel, (place[0] + (slot[0] - panel.width) // 2, place[1] + (slot[1] - panel.height) // 2))


def paper_with(
    size: tuple[int, int], heading: tuple[str, str], remarks: Sequence[str]
) -> tuple[Image.Image, int]:
    """Paper for a body of `size` with heading and remarks on it, and the line where the body begins."""
    width, height = size
    top = BODY
    lines = [line for remark in remarks for line in wrapped(remark, font(SMALL), width)]
    below = top + height + 10
    paper = new_paper((width + 2 * MARGIN, below + len(lines) * (SMALL + 6) + MARGIN))
    draw = ImageDraw.Draw(paper)
    write(draw, (MARGIN, MARGIN - 6), heading[0], TITLE, INK, bold=True, width=width)
    write(draw, (MARGIN, MARGIN + TITLE + 4), heading[1], TEXT, FAINT, width=width)
    for number, line in enumerate(lines):
        write(draw, (MARGIN, below + number * (SMALL + 6)), line, SMALL, FAINT)
    return paper, top


def _pixel_range(edges: list[float], size: int) -> tuple[int, int]:
    first = min(round(edges[0]), size - 1)
    return first, max(first + 1, round(edges[1]))
