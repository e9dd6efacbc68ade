"""Colours that everybody can read, and words that stay where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnexplain.core.words import number
from cnnexplain.render.colormaps import ANCHORS, palette
from cnnexplain.render.options import COLORMAPS
from cnnexplain.render.text import fitted, font, wrapped, write


def test_every_colour_map_on_offer_has_its_colours() -> None:
    assert set(COLORMAPS) == set(ANCHORS)


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_colour_map_grows_lighter_all_the_way(name: str) -> None:
    """Then it reads on a grey printer, and to people who see few colours."""
    colours = np.frombuffer(palette(name), np.uint8).reshape(256, 3) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    assert (np.diff(lightness) > -0.25).all(), "but for the rounding to 8 bits"
    assert (np.diff(lightness[::8]) > 0.5).all()
    assert lightness[-1] - lightness[0] > 70
    assert np.abs(np.diff(lightness[::16]) - (lightness[-1] - lightness[0]) / 16).max() < 4, "evenly"


HOSTILE = [
    "", " ", "cat", "x" * 5000, "word " * 500, "\x1b[31mred\x07\0", "a\nb\r\tc", "\u202eabc\u202c", "שלום עולם",
    "👩‍👧‍👦🏳️‍🌈" * 40, "漢字" * 300, "\ud800\udfff", "e" + "\u0301" * 500, "\ufeff\u200b", "[bold]<b>&amp;",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [0, 5, 40, 300.5, 1e6])
def test_words_never_run_over(text: str, width: float) -> None:
    face = font(17)
    ellipsis = face.getlength("…")  # the least that can stand for words that were cut
    line = fitted(text, face, width)
    assert face.getlength(line) <= max(width, ellipsis)
    assert all(letter.isprintable() for letter in line)
    for line in wrapped(text, face, width):
        assert face.getlength(line) <= max(width, ellipsis)


def test_as_much_of_a_line_as_fits_is_shown() -> None:
    face = font(17)
    assert fitted("tiger cat", face, 1000) == "tiger cat"
    assert fitted("tiger cat", face, face.getlength("tiger cat")) == "tiger cat"
    assert fitted("tiger catfish", face, face.getlength("tiger c…") + 0.5) == "tiger c…"


def test_wrapping_loses_no_word() -> None:
    text = "Nothing at this layer speaks for the class: the largest value is −0.8."
    lines = wrapped(text, font(15), 160)
    assert " ".join(lines) == text
    assert len(lines) > 2


@pytest.mark.parametrize("text", HOSTILE)
def test_anything_can_be_written(text: str) -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (200, 40)))
    assert 0 <= write(draw, (0, 0), text, 17, "white", width=150) <= 150


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-0.0, "0"), (1, "1"), (0.68394, "0.684"), (-0.2, "−0.2"), (12345, "1.23e+04"), (1e-30, "1e−30"),
        (-1.5e30, "−1.5e+30"), (99.96, "100"), (0.5, "0.5"),
    ],
)  # fmt: skip
def test_a_number_has_three_digits(value: float, text: str) -> None:
    assert number(value) == text
