"""Maps of pixels: their colours mean what the words and the bar beside them say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.render.kit.colormaps import ENDS, MIDDLE, palette
from cnnexplain.render.kit.options import COLORMAPS, DIVERGING, SEQUENTIAL
from cnnexplain.render.kit.panel import MARGIN
from cnnexplain.render.kit.scale import limit
from cnnexplain.render.map import BAR_WIDTH

Make = Callable[..., tuple]
QUARTERS = np.kron(
    [[1.0, -1.0], [0.0, 0.5]], np.ones((112, 112))
)  # above: for, against; below: none, half for
NOISE = np.random.default_rng(1).normal(size=(224, 224)).astype(np.float32)


def colours(name: str) -> np.ndarray:
    return np.frombuffer(palette(name), np.uint8).reshape(256, 3)


@pytest.mark.parametrize("name", DIVERGING)
def test_both_signs_have_their_colour_and_zero_has_none(cards: Make, name: str) -> None:
    one, heatmap = cards(QUARTERS, scale="signed", colormap=name)
    drawn = np.asarray(one.overlay(heatmap))
    assert drawn.shape == (200, 300, 3)
    assert (drawn[50, 75] == colours(name)[2 * MIDDLE]).all()
    assert (drawn[50, 225] == colours(name)[0]).all()
    assert (drawn[150, 75] == colours(name)[MIDDLE]).all()
    assert np.abs(drawn[150, 225].astype(int) - colours(name)[MIDDLE + MIDDLE // 2]).max() <= 4


def test_red_is_for_and_blue_against(cards: Make, said: list[str]) -> None:
    one, heatmap = cards(QUARTERS, scale="signed")
    drawn = np.asarray(one.overlay(heatmap)).astype(int)
    assert drawn[50, 75, 0] > drawn[50, 75, 2] + 50
    assert drawn[50, 225, 2] > drawn[50, 225, 0] + 50
    assert drawn[150, 75].min() > 240, "zero is nearly white"
    one.card(heatmap)
    assert "Red speaks for the class, blue against." in " ".join(said)


def test_a_map_with_one_sign_only_keeps_zero_in_the_middle(cards: Make) -> None:
    for sign, level in ((1, 2 * MIDDLE), (-1, 0)):
        one, heatmap = cards(sign * np.abs(QUARTERS), scale="signed")
        drawn = np.asarray(one.overlay(heatmap))
        assert (drawn[50, 75] == colours("RdBu")[level]).all()
        assert (drawn[150, 75] == colours("RdBu")[MIDDLE]).all()


@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_a_signed_map_is_coloured_alike_on_both_sides_of_zero(cards: Make, shift: float) -> None:
    """Turning the sign turns the colours, also where there is more of one sign than of the other."""
    level = {tuple(colour): place for place, colour in enumerate(colours("RdBu")[: 2 * MIDDLE + 1])}
    size = Image.new("RGB", (224, 224))
    one, heatmap = cards(NOISE + shift, size, scale="signed")
    other, turned = cards(-NOISE - shift, size, scale="signed")
    first = [level[tuple(pixel)] for pixel in np.asarray(one.overlay(heatmap)).reshape(-1, 3)]
    second = [level[tuple(pixel)] for pixel in np.asarray(other.overlay(turned)).reshape(-1, 3)]
    assert np.abs(np.array(first) + second - 2 * MIDDLE).max() <= 2, "some colours stand twice"


def test_colours_end_where_two_percent_is_left(cards: Make, said: list[str]) -> None:
    values = np.full((100, 100), 0.25)
    values[10:20, :40] = -1.0  # 4%
    values[60:66, 50:55] = 40.0  # 0.3%
    one, heatmap = cards(values, Image.new("RGB", (100, 100)), scale="signed", max_side=224)
    assert limit(np.abs(values)) == 1
    drawn = np.asarray(one.overlay(heatmap))
    times = drawn.shape[0] // 100
    assert (drawn[62 * times, 52 * times] == colours("RdBu")[2 * MIDDLE]).all(), "clipped"
    assert (drawn[14 * times, 5 * times] == colours("RdBu")[0]).all(), "the very end"
    assert (drawn[90 * times, 90 * times] == colours("RdBu")[round(MIDDLE * 1.25)]).all()
    one.card(heatmap)
    words = " ".join(said)
    assert "Colours end at ±1, which 98% of the pixels do not exceed;" in words
    assert "from −1 to 40." in words
    assert "≥ 1" in said
    assert "−1" in said, "nothing lies below"
    assert "0" in said


@pytest.mark.filterwarnings("error")
def test_a_magnitude_goes_from_nothing_to_its_limit(cards: Make, said: list[str]) -> None:
    values = np.full((100, 100), 0.5)
    values[:50] = 0
    values[70:76, :] = 2.0
    values[71, 0] = 8.0
    one, heatmap = cards(values, Image.new("RGB", (100, 100)), scale="magnitude")
    drawn = np.asarray(one.overlay(heatmap))
    times = drawn.shape[0] // 100
    assert (drawn[20 * times, 50 * times] == colours("inferno")[0]).all()
    assert (drawn[60 * times, 50 * times] == colours("inferno")[round(255 / 4)]).all()
    assert np.abs(drawn[71 * times, times].astype(int) - colours("inferno")[255]).max() <= 12
    one.card(heatmap)
    words = " ".join(said)
    assert "Colours end at 2, which 98% of the pixels do not exceed; the largest is 8." in words
    assert {"≥ 2", "1", "0"} <= set(said)
    assert "Circle" not in words


def test_where_nothing_is_clipped_nothing_is_said_of_it(cards: Make, said: list[str]) -> None:
    for scale in ("signed", "magnitude"):
        one, heatmap = cards([[1.0, 2.0], [3.0, 4.0]], scale=scale)
        one.card(heatmap)
    assert not any(sign in line for sign in ("≥", "≤", "98%") for line in said)
    assert {"4", "2", "0", "−4"} <= set(said)


def test_a_few_pixels_among_zeros_are_seen(cards: Make) -> None:
    """Where fewer than half a percent are not zero, the colours end at the largest."""
    values = np.zeros((100, 100))
    values[50, 50] = 7.0
    assert limit(values) == 7
    for scale, name in (("signed", "RdBu"), ("magnitude", "inferno")):
        one, heatmap = cards(values, Image.new("RGB", (500, 500)), scale=scale)
        assert (
            np.asarray(one.overlay(heatmap))[252, 252] == colours(name)[254 if scale == "signed" else 255]
        ).all()


@pytest.mark.parametrize("scale", ["signed", "magnitude"])
def test_zero_everywhere_is_said_and_has_no_bar(cards: Make, said: list[str], scale: str) -> None:
    one, heatmap = cards(np.zeros((224, 224)), Image.new("RGB", (300, 200), (200, 40, 40)), scale=scale)
    card, overlay = np.asarray(one.card(heatmap)), np.asarray(one.overlay(heatmap)).astype(int)
    assert np.ptp(overlay, axis=2).max() < 15, "grey, and the ink of the words"
    assert (overlay[80:120, 80:220] == 255).any(), "the stamp"
    assert any("The map is zero everywhere." in line for line in said)
    assert (card[80:280, MARGIN + 2 * 300 + 12 :] == 255).all(), "no bar"


@pytest.mark.parametrize("scale", ["signed", "magnitude"])
def test_the_bar_runs_through_all_colours_and_ends_in_numbers(cards: Make, scale: str) -> None:
    one, heatmap = cards(NOISE, scale=scale)
    card = np.asarray(one.card(heatmap))
    name, last = ("RdBu", 2 * MIDDLE) if scale == "signed" else ("inferno", 255)
    left, top = MARGIN + 2 * 300 + 12 + 12, MARGIN + 26 + 17 + 22
    bar = card[top : top + 200, left : left + BAR_WIDTH]
    assert (bar[0] == colours(name)[last]).all()
    assert (bar[-1] == colours(name)[0]).all()
    if scale == "signed":
        assert np.abs(bar[99:101].astype(int) - colours(name)[MIDDLE]).max() <= 4
    assert (card[:, -MARGIN:] == 255).all(), "the numbers beside it do not run over"


@pytest.mark.parametrize("scale", ["signed", "magnitude"])
def test_numbers_of_any_length_stay_on_the_paper(cards: Make, scale: str) -> None:
    one, heatmap = cards(NOISE * 1.2345e-21, scale=scale)
    assert (np.asarray(one.card(heatmap))[:, -MARGIN:] == 255).all()


def test_what_was_never_seen_stays_hatched(cards: Make, said: list[str]) -> None:
    preprocess = Preprocess(input_size=(64, 64), resize=(80, 80))
    one, heatmap = cards(np.ones((64, 64)), Image.new("RGB", (300, 200)), preprocess, scale="signed")
    drawn = np.asarray(one.overlay(heatmap)).astype(int)
    assert (drawn[100, 150] == colours("RdBu")[2 * MIDDLE]).all()
    left, top, right, bottom = (round(edge) for edge in heatmap.geometry.seen)
    inside = np.zeros(drawn.shape[:2], bool)
    inside[top:bottom, left:right] = True
    assert (drawn[inside] == colours("RdBu")[2 * MIDDLE]).all()
    assert len(np.unique(drawn[~inside], axis=0)) == 2, "the paper and the hatching"
    one.card(heatmap)
    assert "Hatched: never seen by the model." in " ".join(said)


@pytest.mark.parametrize("scale", ["signed", "magnitude"])
def test_alpha_lets_the_picture_through(cards: Make, scale: str) -> None:
    picture = Image.new("RGB", (300, 300), (100, 100, 100))
    end = colours("RdBu")[254] if scale == "signed" else colours("inferno")[255]
    for alpha, part in ((None, 1.0), (1.0, 1.0), (0.4, 0.4), (0.0, 0.0)):
        one, heatmap = cards(np.ones((4, 4)), picture, scale=scale, alpha=alpha)
        expected = 100 * (1 - part) + end * part
        assert np.abs(np.asarray(one.overlay(heatmap))[200, 200] - expected).max() <= 1.5


@pytest.mark.parametrize("name", [None, *COLORMAPS])
@pytest.mark.parametrize("scale", ["evidence", "signed", "magnitude"])
def test_a_colour_map_is_used_for_the_maps_of_its_kind(cards: Make, name: str | None, scale: str) -> None:
    kind, usual = (DIVERGING, "RdBu") if scale == "signed" else (SEQUENTIAL, "inferno")
    one, heatmap = cards(np.ones((4, 4)), scale=scale, colormap=name, alpha=1.0)
    expected = colours(name if name in kind else usual)[255]
    assert (np.asarray(one.overlay(heatmap))[150, 250] == expected).all()


@pytest.mark.parametrize("name", DIVERGING)
def test_the_words_name_the_colours_that_are_used(cards: Make, said: list[str], name: str) -> None:
    warm, cold = ENDS[name]
    one, heatmap = cards(NOISE, scale="signed", colormap=name)
    one.card(heatmap)
    assert f"{warm} speaks for the class, {cold} against." in " ".join(said)
    said.clear()
    one, heatmap = cards(NOISE, scale="signed", colormap=name, of_class=False)
    one.card(heatmap)
    assert f"{warm} is positive, {cold} negative." in " ".join(said)
    assert "class," not in " ".join(said)
    said.clear()
    one, heatmap = cards(NOISE, scale="rule", colormap=name)
    one.card(heatmap)
    assert f"{warm} and {cold.lower()} are the two signs of what the rule let through" in " ".join(said)
    assert "class," not in " ".join(said)


@pytest.mark.parametrize("scale", ["evidence", "signed", "magnitude"])
def test_what_a_method_has_to_say_stands_below_whole(cards: Make, said: list[str], scale: str) -> None:
    remarks = ("The values add up to 1.23. " * 20, "A second one.", "x" * 3000)
    one, heatmap = cards(NOISE, scale=scale, remarks=remarks, layer="input", image="a/cat.jpg")
    plain, same = cards(NOISE, scale=scale)
    assert one.card(heatmap).height > plain.card(same).height + 60
    words = " ".join(said)
    assert words.count("The values add up to 1.23.") == 20
    assert "A second one." in said, "each begins on a line of its own"
    assert "gradcam · cat.jpg" in said, "a map of the input needs no layer"
    assert (np.asarray(one.card(heatmap))[:, -MARGIN:] == 255).all()


MAPS = {
    "huge": NOISE * 5e37,
    "tiny": NOISE * 1e-38,
    "the tiniest there are": NOISE * 1e-44,
    "one pixel": [[-3.0]],
    "one row": [[1, -2, 3, 0.5]],
    "one column": [[1], [2], [-3]],
    "8x8": NOISE[:8, :8],
    "all negative": -np.abs(NOISE),
    "constant": np.ones((9, 9)),
}


@pytest.mark.parametrize("scale", ["signed", "magnitude"])
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size", [(1, 1), (2000, 20), (20, 2000), (300, 2), (640, 479)])
@pytest.mark.filterwarnings("error")
def test_any_map_can_be_drawn_on_any_picture(
    cards: Make, scale: str, name: str, size: tuple[int, int]
) -> None:
    for max_side in (32, 640):
        for mode in ("center", "border"):
            one, heatmap = cards(
                MAPS[name], Image.new("RGB", size), Preprocess(crop_mode=mode), scale=scale, max_side=max_side
            )
            assert one.card(heatmap).mode == "RGB"


def test_thin_lines_survive_being_drawn_small(cards: Make) -> None:
    values = np.zeros((224, 224))
    values[:, ::16] = 1.0
    one, heatmap = cards(values, Image.new("RGB", (56, 56)), scale="magnitude", max_side=56)
    drawn = np.asarray(one.overlay(heatmap)).astype(int).sum(axis=2)
    assert (drawn[:, ::4] > 100).all(), "a quarter of full strength"
    assert (drawn[:, 1::4] < 20).all()


def test_few_pixels_are_shown_as_squares_and_many_smoothly(cards: Make) -> None:
    picture = Image.new("RGB", (400, 400))
    for cells, sharp in ((8, True), (200, False)):
        one, heatmap = cards(np.indices((cells, cells)).sum(0) % 2, picture, scale="magnitude")
        found = len(np.unique(np.asarray(one.overlay(heatmap)).reshape(-1, 3), axis=0))
        assert (found == 2) == sharp
