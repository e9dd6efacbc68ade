"""Paper to draw on, of pixels; or, for files with real text, paper that notes what is drawn instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageColor, ImageDraw, ImageFont

WHITE = "#ffffff"
ROUND = 0.5523  # of a quarter of a circle's radius: how far away the handles of a Bezier curve lie

Rgb = tuple[int, int, int]
# A part of a path: M to go there, L a line, C a Bezier curve by its handles and end, Z back to the start.
Step = tuple[str, tuple[float, ...]]

_noted: ContextVar[bool] = ContextVar("noted", default=False)


@dataclass(frozen=True)
class PathMark:
    """Lines and curves, filled, stroked, or both."""

    steps: tuple[Step, ...]
    fill: Rgb | None = None
    stroke: Rgb | None = None
    width: float = 1.0

    def moved(self, x: float, y: float, times: float) -> PathMark:
        """The same, made larger and then moved."""
        steps = tuple(
            (name, tuple(value * times + (y if place % 2 else x) for place, value in enumerate(numbers)))
            for name, numbers in self.steps
        )
        return replace(self, steps=steps, width=self.width * times)


@dataclass(frozen=True)
class WordsMark:
    """A line of words: where its first letter stands on the line, how long it is, and how it leads upwards."""

    text: str
    x: float
    y: float
    size: float
    length: float
    colour: Rgb
    bold: bool = False
    degrees: float = 0.0

    def moved(self, x: float, y: float, times: float) -> WordsMark:
        """The same, made larger and then moved."""
        return replace(
            self,
            x=self.x * times + x,
            y=self.y * times + y,
            size=self.size * times,
            length=self.length * times,
        )


@dataclass(frozen=True, eq=False)
class ImageMark:
    """A picture of pixels, and the place that it fills."""

    image: Image.Image
    x: float
    y: float
    width: float
    height: float

    def moved(self, x: float, y: float, times: float) -> ImageMark:
        """The same, made larger and then moved."""
        place = self.x * times + x, self.y * times + y
        return ImageMark(self.image, *place, self.width * times, self.height * times)


Mark = PathMark | WordsMark | ImageMark


class NotedPaper(Image.Image):
    """Paper on which everything is noted and no pixel drawn; it takes the place of a picture while that is made."""

    def __init__(self, size: tuple[int, int], marks: Sequence[Mark] = ()) -> None:
        """Empty paper, or one with marks."""
        super().__init__()
        self.__dict__.update(Image.new("RGB", size).__dict__)
        self.marks: list[Mark] = list(marks)

    def getdraw(self, _mode: str | None = None) -> NotedDraw:
        """What `ImageDraw.Draw` gives of it."""
        return NotedDraw(self)

    def paste(self, im: Any, box: Any = None, mask: Image.Image | None = None) -> None:
        """Note a picture, other paper with all its marks, a colour, or words that are given as a mask."""
        x, y = (0, 0) if box is None else box[:2]
        if mask is not None:
            words, degrees, (right, down) = mask.info["words"]
            words = replace(words, colour=_rgb(im), degrees=degrees)
            self.marks.append(words.moved(x + right, y + down, 1))
        elif isinstance(im, NotedPaper):
            self.marks += [mark.moved(x, y, 1) for mark in im.marks]
        elif isinstance(im, Image.Image):
            self.marks.append(ImageMark(im.convert("RGB"), x, y, *im.size))
        else:
            self.marks.append(PathMark(_corners(x, y, *box[2:]), fill=_rgb(im)))

    def reduce(self, factor: Any, box: Any = None) -> NotedPaper:  # noqa: ARG002 - never a part of it
        """The same, made smaller."""
        size = math.ceil(self.width / factor), math.ceil(self.height / factor)
        return NotedPaper(size, [mark.moved(0, 0, 1 / factor) for mark in self.marks])


class NotedDraw(ImageDraw.ImageDraw):
    """Notes on paper what else would be drawn; coordinates are Pillow's, which counts pixels by their middles."""

    def __init__(self, paper: NotedPaper) -> None:
        """On this paper."""
        super().__init__(paper)
        self.marks = paper.marks

    def words(
        self, place: tuple[float, float], text: str, face: ImageFont.FreeTypeFont, colour: Any, anchor: str
    ) -> None:
        """Note a line of words at a place; `anchor` as in Pillow."""
        self.marks.append(replace(line_of(text, face, anchor), colour=_rgb(colour)).moved(*place, 1))

    def line(self, xy: Any, fill: Any = None, width: float = 0, joint: Any = None) -> None:  # noqa: ARG002
        """Note a line through points."""
        points = [(x + 0.5, y + 0.5) for x, y in _points(xy)]
        self.marks.append(PathMark(_through(points), stroke=_rgb(fill), width=max(width, 1)))

    def polygon(self, xy: Any, fill: Any = None, outline: Any = None, width: float = 1) -> None:
        """Note a polygon."""
        points = [(x + 0.5, y + 0.5) for x, y in _points(xy)]
        self._shape((*_through(points), ("Z", ())), fill, outline, width)

    def rectangle(self, xy: Any, fill: Any = None, outline: Any = None, width: float = 1) -> None:
        """Note a rectangle, of which the last pixels belong to it."""
        self.rounded_rectangle(xy, 0, fill, outline, width)

    def rounded_rectangle(
        self,
        xy: Any,
        radius: float = 0,
        fill: Any = None,
        outline: Any = None,
        width: float = 1,
        *,
        corners: Any = None,  # noqa: ARG002 - always all of them
    ) -> None:
        """Note a rectangle with round corners."""
        (left, top), (right, bottom) = _points(xy)
        inset = width / 2 if outline is not None else 0.0
        edges = left + inset, top + inset, right + 1 - inset, bottom + 1 - inset
        round_ = min(radius, (edges[2] - edges[0]) / 2, (edges[3] - edges[1]) / 2)
        self._shape(
            _rounded(*edges, round_, round_) if round_ > 0 else _corners(*edges), fill, outline, width
        )

    def ellipse(self, xy: Any, fill: Any = None, outline: Any = None, width: float = 1) -> None:
        """Note an ellipse within a rectangle."""
        (left, top), (right, bottom) = _points(xy)
        edges = left, top, right + 1, bottom + 1
        self._shape(_rounded(*edges, (edges[2] - left) / 2, (edges[3] - top) / 2), fill, outline, width)

    def _shape(self, steps: tuple[Step, ...], fill: Any, outline: Any, width: float) -> None:
        inside, edge = (None if colour is None else _rgb(colour) for colour in (fill, outline))
        self.marks.append(PathMark(steps, inside, edge, width))


def new_paper(size: tuple[int, int], colour: str = WHITE) -> Image.Image:
    """Paper of one colour, of pixels, or while a drawing is noted such that notes it."""
    if not _noted.get():
        return Image.new("RGB", size, colour)
    return NotedPaper(size, [PathMark(_corners(0, 0, *size), fill=_rgb(colour))])


def laid_on_paper(picture: Image.Image) -> Image.Image:
    """A picture, to be written on: itself, or while a drawing is noted on paper that notes it."""
    if not _noted.get():
        return picture
    paper = NotedPaper(picture.size)
    paper.paste(picture)
    return paper


def noted(draw: Callable[[], Image.Image]) -> NotedPaper:
    """What `draw` draws, as marks on paper instead of pixels."""
    token = _noted.set(True)
    try:
        drawn = draw()
        return (
            drawn
            if isinstance(drawn, NotedPaper)
            else NotedPaper(drawn.size, [ImageMark(drawn, 0, 0, *drawn.size)])
        )
    finally:
        _noted.reset(token)


def line_of(text: str, face: ImageFont.FreeTypeFont, anchor: str = "la") -> WordsMark:
    """A line of black words, so that the point that `anchor` names, as in Pillow, is (0, 0)."""
    length, (ascent, descent) = face.getlength(text), face.getmetrics()
    left = {"l": 0.0, "m": -length / 2, "r": -length}[anchor[0]]
    above = {"a": ascent, "m": (ascent - descent) / 2, "s": 0.0, "d": -descent}.get(anchor[1])
    if above is None:  # t and b: where the ink begins and ends
        box = face.getbbox(text, anchor="ls")
        above = -box[1 if anchor[1] == "t" else 3]
    words = text.strip(" ") or text  # browsers leave out the spaces that text in SVG begins with
    left += face.getlength(text[: text.index(words)])
    bold = "Semi" in (face.getname()[1] or "")
    return WordsMark(words, left, above, face.size, face.getlength(words), (0, 0, 0), bold)


def _rgb(colour: Any) -> Rgb:
    red, green, blue = (ImageColor.getrgb(colour) if isinstance(colour, str) else colour)[:3]
    return red, green, blue


def _points(xy: Any) -> list[tuple[float, float]]:
    """Points as Pillow takes them: pairs, or numbers in turns."""
    values = list(xy)
    if values and not isinstance(values[0], (int, float)):
        return [(x, y) for x, y in values]
    return list(zip(values[::2], values[1::2], strict=True))


def _through(points: Sequence[tuple[float, float]]) -> tuple[Step, ...]:
    return tuple(("L" if place else "M", point) for place, point in enumerate(points))


def _corners(left: float, top: float, right: float, bottom: float) -> tuple[Step, ...]:
    return (*_through([(left, top), (right, top), (right, bottom), (left, bottom)]), ("Z", ()))


def _rounded(
    left: float, top: float, right: float, bottom: float, across: float, down: float
) -> tuple[Step, ...]:
    """A rectangle, of which so much across and down each corner is a quarter of an ellipse."""
    x, y = across * (1 - ROUND), down * (1 - ROUND)
    return (
        ("M", (left + across, top)),
        ("L", (right - across, top)),
        ("C", (right - x, top, right, top + y, right, top + down)),
        ("L", (right, bottom - down)),
        ("C", (right, bottom - y, right - x, bottom, right - across, bottom)),
        ("L", (left + across, bottom)),
        ("C", (left + x, bottom, left, bottom - y, left, bottom - down)),
        ("L", (left, top + down)),
        ("C", (left, top + y, left + x, top, left + across, top)),
        ("Z", ()),
    )
