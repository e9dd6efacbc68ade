"""The picture of a heat map explains itself, whatever the picture, the map and the words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.words import number
from cnnexplain.render.kit.colormaps import palette
from cnnexplain.render.kit.options import SEQUENTIAL
from cnnexplain.render.kit.panel import MARGIN, NARROWEST, drawn
from cnnexplain.render.map import BAR_WIDTH

Make = Callable[..., tuple]
HILL = np.exp(-(((np.arange(7)[:, None] - 2) / 2) ** 2 + ((np.arange(7) - 4) / 2) ** 2)) - 0.2


MAPS = {
    "a hill": HILL,
    "all negative": -HILL - 2,
    "all zero": np.zeros((7, 7)),
    "constant": np.ones((7, 7)),
    "one cell": [[3]],
    "one row": [[1, -2, 3, 0.5]],
    "one column": [[1], [2], [-3]],
    "tiny": HILL * 1e-30,
    "the tiniest there are": HILL * 1e-43,
    "huge": HILL * 1e38,
    "a single spike": np.pad([[9.0]], 20),
}
SIZES = [(1, 1), (1, 2000), (2000, 1), (2, 3), (33, 20), (640, 479), (5000, 4000), (300, 2)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.filterwarnings("error")
def test_a_picture_of_any_size_has_a_sane_card(
    cards: Make, said: list[str], size: tuple[int, int], mode: str
) -> None:
    picture, preprocess = Image.new("RGB", size, (90, 120, 90)), Preprocess(crop_mode=mode)
    one, heatmap = cards(HILL, picture, preprocess)
    card = one.card(heatmap)
    assert card.mode == "RGB"
    assert NARROWEST + 2 * MARGIN <= card.width <= 2 * 640 + 200
    assert 150 <= card.height <= 2 * 640 + 250
    words = " ".join(said)
    for expected in (
        "tiger cat",
        "39.3%",
        "gradcam at layer4",
        "cat.jpg",
        "Circle: the strongest",
        "Smallest −0.2",
    ):
        assert expected in words
    assert f"x {heatmap.peak[0]}, y {heatmap.peak[1]}." in words


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("preprocess", [Preprocess(), Preprocess(input_size=(40, 200), resize=(60, 220))])
@pytest.mark.filterwarnings("error")
def test_any_map_can_be_drawn(cards: Make, said: list[str], name: str, preprocess: Preprocess) -> None:
    one, heatmap = cards(MAPS[name], preprocess=preprocess)
    card = np.asarray(one.card(heatmap))
    bar = _bar(card)
    assert (bar is not None) == (heatmap.max > 0)
    if heatmap.max > 0:
        assert number(heatmap.max) in said
        assert number(heatmap.max / 2) in said
        assert "0" in said
        overlay = np.asarray(one.overlay(heatmap))
        assert np.ptp(overlay, axis=2).max() > 40, "its strongest cell has colour"


@pytest.mark.parametrize("name", ["all negative", "all zero"])
def test_where_nothing_is_positive_nothing_has_colour(cards: Make, said: list[str], name: str) -> None:
    one, heatmap = cards(MAPS[name], Image.new("RGB", (300, 200), (200, 40, 40)))
    card, overlay = one.card(heatmap), np.asarray(one.overlay(heatmap)).astype(int)
    assert np.ptp(overlay, axis=2).max() < 15, "grey, and the ink of the words"
    assert any("Nothing at this layer speaks for the class" in line for line in said)
    assert not any("Circle" in line for line in said)
    assert _bar(np.asarray(card)) is None
    assert (overlay[80:120, 80:220] == 255).any(), "and it says so on the picture"


def test_of_a_map_of_pixels_no_layer_is_named(cards: Make, said: list[str]) -> None:
    one, heatmap = cards(MAPS["all negative"], layer="input")
    one.card(heatmap)
    assert any("No part of the image speaks for the class" in line for line in said)
    assert not any("layer" in line for line in said)
    one, heatmap = cards(HILL, layer="input")
    one.card(heatmap)
    assert any("7x7 pixels, 0.8, around x" in line for line in said)


def test_the_words_on_a_picture_too_small_for_them_are_left_out(cards: Make) -> None:
    one, heatmap = cards(MAPS["all negative"], Image.new("RGB", (60, 40), (200, 40, 40)), max_side=40)
    assert np.ptp(np.asarray(one.overlay(heatmap)).reshape(-1, 3), axis=0).tolist() == [0, 0, 0]


def test_the_bar_has_the_true_scale_and_the_colours_only_the_order(cards: Make, said: list[str]) -> None:
    """Two maps of which one is a thousand times the other differ in their numbers alone."""
    first, small = cards(HILL)
    second, large = cards(HILL * 1024)
    assert (np.asarray(first.overlay(small)) == np.asarray(second.overlay(large))).all()
    assert first.card(small).tobytes() != second.card(large).tobytes()
    assert "0.8" in said
    assert "819" in said


@pytest.mark.parametrize("colormap", SEQUENTIAL)
def test_the_bar_runs_through_the_whole_colour_map(cards: Make, colormap: str) -> None:
    one, heatmap = cards(HILL, colormap=colormap)
    bar = _bar(np.asarray(one.card(heatmap)), colormap)
    colours = np.frombuffer(palette(colormap), np.uint8).reshape(256, 3)
    assert (bar[0] == colours[-1]).all()
    assert (bar[-1] == colours[0]).all()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alpha_says_how_strongly_the_map_covers(cards: Make, alpha: float) -> None:
    one, heatmap = cards(np.ones((4, 4)), Image.new("RGB", (300, 300), (100, 100, 100)), alpha=alpha)
    hottest = np.frombuffer(palette("inferno"), np.uint8)[-3:]
    expected = 100 * (1 - alpha) + hottest * alpha
    assert np.abs(np.asarray(one.overlay(heatmap))[200, 200] - expected).max() <= 1.5


def test_only_what_speaks_for_the_class_is_warm(cards: Make) -> None:
    one, heatmap = cards([[-5.0, 5.0]], Image.new("RGB", (400, 100)), alpha=1.0)
    overlay = np.asarray(one.overlay(heatmap)).astype(int).sum(axis=2)
    assert overlay[:, :90].max() <= 10
    assert overlay[:, 320:].min() >= 500


@pytest.mark.parametrize(
    "text",
    [
        "x" * 3000,
        "\x1b[31m\0\x07",
        "\u202eתקווה",
        "👩‍👧" * 50,
        "\ud800",
        "",
        "a/b\\c",
        "日本語" * 99,
        "[red]<script>",
    ],
)
def test_hostile_words_change_no_measure(cards: Make, text: str) -> None:
    one, heatmap = cards(HILL, label=text, image=f"folder/{text}.jpg", layer=text)
    usual, same = cards(HILL)
    assert one.card(heatmap).size == usual.card(same).size


def test_the_chance_stays_in_sight_behind_a_long_name(cards: Make) -> None:
    one, heatmap = cards(HILL, label="w" * 500)
    usual, same = cards(HILL, label="")
    right = np.asarray(one.card(heatmap))[20:50, -MARGIN - 70 : -MARGIN]
    assert (right < 200).any(), "the percentage is at the right edge"
    assert (np.asarray(usual.card(same))[20:50, -MARGIN - 70 : -MARGIN] == 255).all()
    assert (np.asarray(one.card(heatmap))[:, -MARGIN:] == 255).all(), "and nothing is in the margin"


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((640, 480), 640, (640, 480)),
        ((1280, 960), 640, (640, 480)),
        ((5000, 1), 640, (640, 1)),
        ((1, 1), 640, (224, 224)),
        ((32, 20), 640, (224, 140)),
        ((100, 50), 150, (100, 50)),
        ((40, 20), 100, (80, 40)),
        ((300, 300), 32, (32, 32)),
    ],
)
def test_a_picture_is_drawn_large_enough_and_no_larger(
    size: tuple[int, int], max_side: int, expected: tuple[int, int]
) -> None:
    found = drawn(Image.new("RGB", size), max_side)
    assert found.size == expected
    assert drawn(found, max_side).size == expected, "a second time changes nothing"


def test_a_tiny_picture_is_enlarged_without_blur(cards: Make) -> None:
    chess = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("RGB")
    assert set(np.unique(np.asarray(drawn(chess, 640)))) == {0, 255}


def _bar(card: np.ndarray, colormap: str = "inferno") -> np.ndarray | None:
    """One column of the colour bar: where the paper ends, `BAR_WIDTH` wide, in the map's colours from the top."""
    hottest = np.frombuffer(palette(colormap), np.uint8)[-3:]
    first = (card == hottest).all(axis=2)
    for y, x in np.argwhere(first):
        if x + BAR_WIDTH <= card.shape[1] and first[y, x : x + BAR_WIDTH].all():
            column = card[y:, x]
            blank = np.argwhere((column == 255).all(axis=1))
            if len(blank) and blank[0, 0] >= 20:
                return column[: blank[0, 0]]
    return None
