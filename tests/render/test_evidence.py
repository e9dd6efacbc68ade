"""What a check found, drawn: nothing is cut off, what is not a number is said, what is left out is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnexplain.core.verdict import Confusion, Curves, Drawing, Gallery, Profile, Thumbnail
from cnnexplain.render.kit import panel, text
from cnnexplain.render.kit.axis import ChartAxis
from cnnexplain.render.kit.evidence import drawn
from cnnexplain.render.kit.profile import MARKED

HOSTILE = "<b>[red]\x1b[31m\n\u202enext\u200b " + "endless_name_" * 20
Drawn = Callable[[Drawing], tuple[Image.Image, list[str]]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Draws; gives the picture and all its words, and holds that none is cut off or too small to be read."""
    words: list[tuple[Any, str, tuple[float, ...], int]] = []
    pillows = ImageDraw.ImageDraw.text

    def noted(self: Any, xy: Any, said: str, *args: Any, font: Any, anchor: str = "la", **more: Any) -> None:
        words.append((self.im, said, self.textbbox(xy, said, font=font, anchor=anchor), font.size))
        pillows(self, xy, said, *args, font=font, anchor=anchor, **more)

    def unkept(draw: Any, place: Any, said: str, face: Any, colour: str, anchor: str) -> None:
        draw.text(place, said, font=face, fill=colour, anchor=anchor)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    for module in (text, panel):
        monkeypatch.setattr(module, "lay", unkept)

    def carry_out(drawing: Drawing) -> tuple[Image.Image, list[str]]:
        words.clear()
        picture = drawn(drawing)
        for image, said, (left, top, right, bottom), size in words:
            assert size >= 11
            assert min(left, top) >= -1, said
            assert max(right - image.size[0], bottom - image.size[1]) <= 1, said
        return picture, [said for _, said, _, _ in words]

    return carry_out


def test_axes_end_at_round_numbers_and_know_where_values_lie() -> None:
    axis = ChartAxis.of([1e-6, 0.5, math.nan, math.inf, 0.0, -1.0], logarithmic=True)
    assert (axis.low, axis.high) == (-6, 0)
    assert [axis.share(value) for value in (1e-6, 1e-3, 1.0, 0.0, math.inf)] == [0, 0.5, 1, 0, 1]
    assert [text for _, text in axis.ticks] == ["1e−6", "1e−5", "1e−4", "0.001", "0.01", "0.1", "1"]
    plain = ChartAxis.of([0.03, 0.97])
    assert [text for _, text in plain.ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert plain.share(0.25) == pytest.approx(0.25)
    for values in ([], [math.nan], [0.0], [3.0], [-2.0], [1e308, -1e308], [5e-324], [1.0, 1.0 + 1e-15]):
        for one in (
            ChartAxis.of(values),
            ChartAxis.of(values, logarithmic=True),
            ChartAxis.of(values, zero=True),
        ):
            assert one.low < one.high
            assert all(0 <= one.share(value) <= 1 for value in values if not math.isnan(value))
            assert 2 <= len(one.ticks) <= 12


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_profile_says_what_is_no_number(look: Drawn, logarithmic: bool) -> None:
    names = ("stem", HOSTILE, "blocks.1", "blocks.2", "fc")
    values = (0.5, math.nan, math.inf, 0.0, -math.inf)
    picture, words = look(Profile(HOSTILE, names, values, HOSTILE, logarithmic, (0.1, 0.2), frozenset({2})))
    assert {"NaN", "∞", "−∞", "0", "limit 0.1", "limit 0.2", "stem", "fc"} <= set(words)
    said = " ".join(words)
    assert "is NaN, not a number" in said
    assert "blocks.2 and fc are infinite" in said or "blocks.1 and fc are infinite" in said
    assert "the 1 of 5 to blame" in said
    assert ("not above zero" in said) == logarithmic
    assert any(colour == tuple(bytes.fromhex(MARKED[1:])) for _, colour in picture.getcolors(1 << 24))


def test_a_profile_of_hundreds_names_those_to_blame(look: Drawn) -> None:
    names = tuple(f"stage{place // 50}.block{place}" for place in range(600))
    marked = frozenset({17, 18, 311, 599})
    picture, words = look(Profile("many", names, tuple(map(float, range(1, 601))), "norm", True, (), marked))
    assert picture.height < 2200
    # 17 and 18 lie on each other; one of them is named, as are the ends.
    assert {names[17], names[311], names[599], names[0]} <= set(words)
    assert 50 < sum(word in names for word in words) < 150


def test_longer_bars_are_larger_values(look: Drawn) -> None:
    picture, _ = look(Profile("bars", ("a", "b", "c"), (1.0, 2.0, 4.0), "share"))
    pixels = np.asarray(picture).astype(int)
    blue = (np.abs(pixels - (0x3B, 0x6E, 0xA5)).sum(2) < 9).sum(1)
    lengths = sorted(set(blue[blue > 20].tolist()))
    assert len(lengths) == 3
    assert lengths[1] / lengths[0] == pytest.approx(2, rel=0.02)
    assert lengths[2] / lengths[0] == pytest.approx(4, rel=0.02)


def test_curves_are_named_where_they_end(look: Drawn) -> None:
    x = tuple(place / 20 for place in range(21))
    series = {f"series {number}": tuple(math.cos(one) for one in x) for number in range(14)}
    series["series 0"] = (math.nan, *series["series 0"][1:])
    series["series 1"] = (math.inf,) * 21
    _, words = look(Curves(HOSTILE, x, series, HOSTILE, HOSTILE))
    assert [word for word in words if word.startswith("series")].count("series 11") == 1
    said = " ".join(words)
    assert "1 of 21 of series 0 and 21 of 21 of series 1" in said
    assert "2 more series are not drawn" in said
    look(Curves("none", (), {}, "x", "y"))
    look(Curves("one", (0.5,), {HOSTILE: (1.0,)}, "x", "y"))


def test_of_a_thousand_classes_those_that_are_confused_are_shown(look: Drawn) -> None:
    counts = np.diag(np.full(1000, 5))
    counts[7, 999], counts[400, 3] = 4, 3
    counts[500:, 500:] *= np.arange(500) % 2  # every other class of these has no picture
    names = (*(f"class {place}" for place in range(999)), HOSTILE)
    _, words = look(Confusion("confused", names, counts))
    assert {"class 7", "class 400", "class 3", "4", "3"} <= set(words)
    assert words.count("5 of 9") == 1
    assert words.count("class 7") == 2  # its row and its column
    said = " ".join(words)
    assert "Left out: 250 of 1,000 classes, which no picture shows" in said
    pictures = int(counts.sum())
    assert f"726 more, which are confused less, and with them {pictures - 24 * 5 - 7:,} of" in said


def test_all_of_a_few_classes_are_shown(look: Drawn) -> None:
    _, words = look(Confusion("digits", tuple("0123456789"), np.diag(np.arange(10))))
    assert words.count("0") == 2
    assert "none" in words  # of zeros there is no picture
    assert "Left out" not in " ".join(words)
    assert "There is no picture to count." in look(Confusion("none", ("a",) * 30, np.zeros((30, 30), int)))[1]


def test_small_pictures_are_enlarged_sharply(look: Drawn) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[::2, ::2] = (255, 0, 255)
    picture, words = look(Gallery("small", (Thumbnail(pixels, f"{HOSTILE}\nsecond line"),)))
    magenta = np.asarray(picture).astype(int) - (255, 0, 255)
    assert int((magenta == 0).all(2).sum()) == 16 * 28 * 28
    assert "second line" in words
    assert "1 picture" in words


def test_maps_lie_over_their_pictures(look: Drawn) -> None:
    grey = np.full((64, 64, 1), 128, np.uint8)
    corner = np.zeros((4, 4), np.float32)
    corner[0, 3] = 2
    shots = (
        Thumbnail(grey, "corner", corner), Thumbnail(grey, "against", -corner),
        Thumbnail(grey, "broken", corner * np.nan), Thumbnail(np.zeros((1, 900, 5), np.uint8), "five channels"),
    )  # fmt: skip
    picture, words = look(Gallery("maps", shots))
    assert {"nothing positive here", "map not finite", "corner", "against"} <= set(words)
    assert "its own largest value" in " ".join(words)
    warm = np.asarray(picture).astype(int)
    warm = (warm[:, :, 0] - warm[:, :, 2]) > 60
    rows, columns = np.nonzero(warm)
    # The right half of the first picture.
    assert columns.min() > 20 + 128
    assert columns.max() < 20 + 256
    assert rows.max() < 85 + 128
    assert "There is no picture to show." in look(Gallery("none", ()))[1]
