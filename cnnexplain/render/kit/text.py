"""Words in pictures."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache

import font_source_sans_pro
from PIL import Image, ImageDraw, ImageFont

from cnnexplain.render.kit.paper import NotedDraw

LONGEST = 10_000  # letters of a line; Pillow measures no more than a million


_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


@contextmanager
def heard() -> Iterator[list[str]]:
    """All words that are drawn within a `with` block, line by line."""
    lines: list[str] = []
    token = _heard.set(lines)
    try:
        yield lines
    finally:
        _heard.reset(token)


def _hear(text: str) -> None:
    """Note a line of words that is drawn."""
    if (lines := _heard.get()) is not None:
        lines.append(text)


def lay_mask(paper: Image.Image, colour: str, place: tuple[int, int], mask: Image.Image) -> None:
    """Draw words that are a mask, and carry what they say."""
    _hear(mask.info["words"][0].text)
    paper.paste(colour, place, mask)


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The project's typeface: Source Sans, which has Latin, Greek and Cyrillic letters."""
    path = font_source_sans_pro.SourceSansProSemibold if bold else font_source_sans_pro.SourceSansPro
    return ImageFont.truetype(path, size)


def visible(text: str) -> str:
    """The text with a sign for every letter that cannot be drawn, no more than can be measured.

    Texts are measured in this form only.
    """
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


@lru_cache(maxsize=4096)
def length(text: str, face: ImageFont.FreeTypeFont) -> float:
    """How wide a text comes out; picture after picture has most of its words in common with the one before."""
    return face.getlength(text)


def fitted(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """The text on one line of at most `width` pixels, its end cut where it is longer."""
    text = visible(text)
    if length(text, face) <= width:
        return text
    short, long = 0, len(text)
    while short < long:
        middle = (short + long + 1) // 2
        if length(text[:middle] + "…", face) <= width:
            short = middle
        else:
            long = middle - 1
    return text[:short] + "…"


def end_of(name: str, size: int, width: float) -> str:
    """A layer's name in bold of at most `width` pixels, its beginning cut: its end tells more."""
    return fitted(name[::-1], font(size, bold=True), width)[::-1]


@lru_cache(maxsize=1024)
def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> tuple[str, ...]:
    """The text in lines of at most `width` pixels, broken between words."""
    words = [visible(word) for word in text.split()]
    lines: list[str] = []
    while words:
        words[0] = fitted(words[0], face, width)
        fit = len(words)
        if length(" ".join(words), face) > width:
            fit = bisect_right(range(2, fit), width, key=lambda n: length(" ".join(words[:n]), face)) + 1
        lines.append(" ".join(words[:fit]))
        del words[:fit]
    return tuple(lines)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: str,
    *,
    bold: bool = False,
    width: float = 1e6,
    anchor: str = "la",
) -> float:
    """Write one line and return how wide it came out. `anchor` as in Pillow."""
    face = font(size, bold=bold)
    shown = fitted(text, face, width)
    lay(draw, place, shown, face, colour, anchor)
    return length(shown, face)


def lay(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    face: ImageFont.FreeTypeFont,
    colour: str,
    anchor: str,
) -> None:
    """Draw words as Pillow does, to the last pixel on the picture; those that were drawn before faster."""
    _hear(text)
    if isinstance(draw, NotedDraw):
        draw.words(place, text, face, colour, anchor)
        return
    x, y = map(math.floor, place)
    mask, (left, top) = _drawn(text, face, anchor, place[0] - x, place[1] - y)
    draw.bitmap((x + left, y + top), mask, fill=colour)


@lru_cache(maxsize=1024)
def _drawn(
    text: str, face: ImageFont.FreeTypeFont, anchor: str, x: float, y: float
) -> tuple[Image.Image, tuple[int, int]]:
    """Words as a mask, and its corner when they are written at (x, y), the parts of a place behind the point."""
    mask, corner = face.getmask2(text, "L", anchor=anchor, start=(x, y))
    return Image.Image()._new(mask), corner  # a text drawn by `ImageDraw` would be measured apart
