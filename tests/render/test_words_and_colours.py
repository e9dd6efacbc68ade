"""Colours that everybody can read, and words that stay where they belong."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnexplain.core.words import number
from cnnexplain.render.kit.colormaps import ANCHORS, ENDS, MIDDLE, palette
from cnnexplain.render.kit.options import COLORMAPS, DIVERGING, SEQUENTIAL
from cnnexplain.render.kit.text import fitted, font, lay, wrapped, write


def test_every_colour_map_on_offer_has_its_colours() -> None:
    assert set(COLORMAPS) == set(ANCHORS)
    assert set(DIVERGING) == set(ENDS), "and the ends of those with a sign have names"


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_colour_map_grows_lighter_all_the_way(name: str) -> None:
    """Then it reads on a grey printer, and to people who see few colours."""
    lightness = _lightness(np.frombuffer(palette(name), np.uint8).reshape(256, 3) / 255)
    assert (np.diff(lightness) > -0.25).all(), "but for the rounding to 8 bits"
    assert (np.diff(lightness[::8]) > 0.5).all()
    assert lightness[-1] - lightness[0] > 70
    assert np.abs(np.diff(lightness[::16]) - (lightness[-1] - lightness[0]) / 16).max() < 4, "evenly"


@pytest.mark.parametrize("name", DIVERGING)
def test_a_diverging_map_is_neutral_in_the_middle_and_as_light_on_both_sides(name: str) -> None:
    colours = np.frombuffer(palette(name), np.uint8).reshape(256, 3).astype(int)
    assert np.ptp(colours[MIDDLE]) == 0, "zero has no hue"
    lightness = _lightness(colours[: 2 * MIDDLE + 1] / 255)
    assert np.abs(lightness - lightness[::-1]).max() < 1.5
    away = (lightness - lightness[MIDDLE])[MIDDLE:] * np.sign(lightness[-1] - lightness[MIDDLE])
    assert (np.diff(away[::8]) > 0.5).all(), "farther from zero is farther from the middle's lightness"
    assert away[-1] > 70
    red, blue = colours[:, 0], colours[:, 2]
    assert (red[MIDDLE + 13 :] > blue[MIDDLE + 13 :]).all(), "what is positive is warm"
    assert (red[: MIDDLE - 12] < blue[: MIDDLE - 12]).all(), "what is negative is cold"


@pytest.mark.parametrize("name", DIVERGING)
def test_the_sides_of_a_diverging_map_differ_for_colour_blind_people(name: str) -> None:
    """Without red-sensitive cones, or green-sensitive ones (Machado et al. 2009, severity 1), and in linear light."""
    protan = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
    deutan = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    colours = _linear(np.frombuffer(palette(name), np.uint8).reshape(256, 3)[: 2 * MIDDLE + 1] / 255)
    for seen in (protan, deutan):
        found = np.clip(colours @ np.array(seen).T, 0, 1)
        encoded = np.where(found <= 0.0031308, found * 12.92, 1.055 * found ** (1 / 2.4) - 0.055)
        difference = np.abs(encoded - encoded[::-1]).max(axis=1)
        assert difference[: MIDDLE - 25].min() > 0.15


def _linear(colours: np.ndarray) -> np.ndarray:
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def _lightness(colours: np.ndarray) -> np.ndarray:
    luminance = _linear(colours) @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


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


@pytest.mark.parametrize(
    "text", [*HOSTILE, "Circle: the strongest of 7x7 cells, 0.0123, around x 12, y 34. " * 9]
)
@pytest.mark.parametrize("width", [5, 40, 161.5, 420, 1e6])
def test_every_line_takes_the_words_that_fit(text: str, width: float) -> None:
    """As laying word after word would have it, which measures each line once for each word."""
    face = font(15)
    lines: list[str] = []
    for word in (fitted(word, face, 1e9) for word in text.split()):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(fitted(word, face, width))
    assert wrapped(text, face, width) == tuple(lines)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("anchor", ["la", "lt", "lm", "ls", "mm"])
def test_words_look_as_pillow_draws_them(text: str, anchor: str) -> None:
    ours, theirs = (Image.new("RGB", (300, 60), "#fff") for _ in range(2))
    face, shown = font(17), fitted(text, font(17), 250)
    lay(ImageDraw.Draw(ours), (20.25, 30.5), shown, face, "#5b6270", anchor)
    ImageDraw.Draw(theirs).text((20.25, 30.5), shown, font=face, fill="#5b6270", anchor=anchor)
    assert ours.tobytes() == theirs.tobytes()


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


def test_words_that_are_kept_are_drawn_as_pillow_draws_them() -> None:
    random = Random(0)
    for _ in range(500):
        words = "".join(random.choices("abcgfjyÄéßW Жω.,·…—()0123", k=random.randrange(20)))
        place = random.choice([5, 20.25, 7.5, 30.9]), random.choice([0, 10, 12.5, 40.75])
        anchor, size = random.choice(["la", "lt", "lm", "ls", "mm", "ra"]), random.choice([11, 13, 22])
        ours, again, pillows = (Image.new("RGB", (90, 60), "#d0e0c0") for _ in range(3))
        for one in (ours, again):
            write(ImageDraw.Draw(one), place, words, size, "#203040", bold=size == 13, anchor=anchor)
        ImageDraw.Draw(pillows).text(place, words, "#203040", font(size, bold=size == 13), anchor)
        assert ours.tobytes() == pillows.tobytes(), (words, place, anchor, size)
        assert again.tobytes() == pillows.tobytes(), "from what was kept"
