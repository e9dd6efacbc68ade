"""Typefaces of a PDF: Source Sans, of which the letters that occur are embedded; all others as a picture of the words.

Words in scripts that Source Sans lacks are drawn by Pillow with a font of this machine that has them, and lie under
text without ink, so that what is searched for and copied is right in any script.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from functools import cache, cached_property
from pathlib import Path

import font_source_sans_pro
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

FINER = 4  # pixels of a picture of words for one of the drawing
# Words of letters that are written from right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko and others.
RIGHT = r"\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
FROM_RIGHT = re.compile(f"[{RIGHT}](?:[{RIGHT} ]*[{RIGHT}])?")
MOST = 200  # different letters that a font is asked for
ARIAL = "/System/Library/Fonts/Supplemental/Arial Unicode.ttf"  # on a Mac, which has no fontconfig


class EmbeddedFace:
    """Source Sans, and the letters of it that a file needs."""

    def __init__(self, *, bold: bool) -> None:
        """Regular, or the bolder one that headings have."""
        self.file = font_source_sans_pro.SourceSansProSemibold if bold else font_source_sans_pro.SourceSansPro
        self.name = "CNNXPL+SourceSansPro-" + ("Semibold" if bold else "Regular")
        self.used: dict[int, str] = {}  # letters by the numbers of their glyphs

    @cached_property
    def _font(self) -> TTFont:
        return TTFont(self.file, lazy=True)

    @cached_property
    def _glyphs(self) -> dict[int, str]:
        glyphs: dict[int, str] = self._font.getBestCmap()
        return glyphs

    def has(self, text: str) -> bool:
        """Whether it has every letter of a text."""
        return all(ord(letter) in self._glyphs for letter in text)

    def codes(self, text: str) -> list[int]:
        """The numbers of a text's glyphs, which are noted as used."""
        numbers = [self._font.getGlyphID(self._glyphs[ord(letter)]) for letter in text]
        self.used.update(zip(numbers, text, strict=True))
        return numbers

    def width(self, code: int) -> float:
        """How wide a glyph is, in thousandths of the size of letters."""
        advance: float = self._font["hmtx"][self._font.getGlyphName(code)][0]
        across: float = self._font["head"].unitsPerEm
        return advance * 1000 / across

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """The box that holds every glyph, in thousandths of the size of letters."""
        head = self._font["head"]
        return head.xMin, head.yMin, head.xMax, head.yMax

    @property
    def program(self) -> bytes:
        """The outlines of the glyphs that are used, which keep their numbers (CFF)."""
        options = subset.Options(
            retain_gids=True, layout_features=[], notdef_outline=True, desubroutinize=True
        )
        font = TTFont(self.file)
        subsetter = subset.Subsetter(options)
        subsetter.populate(gids=list(self.used))
        subsetter.subset(font)
        file = io.BytesIO()
        font.save(file)
        outlines: bytes = TTFont(file).reader["CFF "]
        return outlines


class InvisibleFace:
    """A typeface of blank letters, 255 at most, which say what a picture of words says."""

    def __init__(self) -> None:
        """Without letters."""
        self.codes: dict[str, int] = {}

    def room_for(self, text: str) -> bool:
        """Whether all letters of a text have a place."""
        return len(set(text) | self.codes.keys()) < 256

    def encoded(self, text: str) -> bytes:
        """A text in the numbers of this face, in the order from left to right, which readers expect and undo."""
        shown = FROM_RIGHT.sub(lambda run: run[0][::-1], text)
        return bytes(self.codes.setdefault(letter, len(self.codes) + 1) for letter in shown)


def picture_of(text: str, size: float) -> tuple[Image.Image, tuple[float, float]]:
    """A line of words as a mask, `FINER` pixels for one of the drawing, and where from its start its corner lies."""
    file, index = _file_with(text)
    face = ImageFont.truetype(file, max(1, round(size * FINER)), index)
    left, top, right, bottom = map(round, face.getbbox(text, anchor="ls"))
    mask = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, font=face, fill=255, anchor="ls")
    return mask, (left / FINER, top / FINER)


@cache
def _file_with(text: str) -> tuple[str, int]:
    """A font of this machine that has a text's letters, and its place in its file; Source Sans where none is known."""
    match = shutil.which("fc-match")
    if match is None:
        return (ARIAL if Path(ARIAL).exists() else font_source_sans_pro.SourceSansPro), 0
    letters = " ".join(f"{ord(letter):x}" for letter in sorted(set(text))[:MOST])
    asked = [match, "--format=%{file}\n%{index}", f"sans-serif:scalable=true:charset={letters}"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout  # noqa: S603
    file, _, index = answer.partition("\n")
    if not Path(file).is_file():
        return font_source_sans_pro.SourceSansPro, 0
    return file, int(index or 0) & 0xFFFF
