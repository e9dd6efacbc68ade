"""Feature maps as pictures: cells stay sharp, colours mean what the words say, sheets stay within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results import Detail
from cnnexplain.core.results.channels import FEW_BLANK, FeatureMaps, Look
from cnnexplain.engine.channels import histogram, principal, statistics
from cnnexplain.render.kit import feature_sheet, feature_strip, measures
from cnnexplain.render.kit.channels import DrawnChannels
from cnnexplain.render.kit.colormaps import palette
from cnnexplain.render.kit.feature_sheet import sheet
from cnnexplain.render.kit.feature_strip import strip
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import MOUNT, DrawnImage

OPTIONS = RenderOptions()
GEOMETRY = Preprocess((32, 32), resize=(32, 32))


def made(
    values: Any,
    layer: str = "features",
    picture: tuple[int, int] = (300, 200),
    remarks: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
    shown: int | None = None,
    image: str = "photos/cat.jpg",
    **look: Any,
) -> tuple[DrawnImage, FeatureMaps]:
    """Feature maps of one layer, the strongest first, and the picture that they are of."""
    maps = torch.as_tensor(np.asarray(values, np.float32))
    measured = statistics(maps)
    order = np.argsort(-(measured.strength if maps.ndim == 3 else measured.max), kind="stable").tolist()
    components, variance = principal(maps) if maps.ndim == 3 else (None, torch.zeros(0))
    photograph = Image.new("RGB", picture, (90, 120, 90))
    geometry = GEOMETRY.geometry(picture)
    found = FeatureMaps(
        layer,
        maps[order].numpy(),
        tuple(order),
        shown or len(order),
        measured,
        histogram(maps),
        geometry,
        None if components is None else components.numpy(),
        tuple(variance.tolist()),
        labels,
        Look(**look),
        Detail({}, remarks),
    )
    target = Prediction(1, "cat", 0.5, 1.0)
    explanation = Explanation(image, photograph, geometry, (target,), results=(found,))
    return DrawnImage(explanation, 640), found


def colours(name: str) -> np.ndarray:
    return np.frombuffer(palette(name), np.uint8).reshape(-1, 3)


def test_every_cell_is_a_square_of_one_colour() -> None:
    values = np.random.default_rng(0).random((2, 7, 5))
    shown, maps = made(values)
    picture = np.asarray(DrawnChannels(shown, maps, OPTIONS, 60).channel(0))
    assert picture.shape == (7 * 8, 5 * 8, 3)
    squares = picture.reshape(7, 8, 5, 8, 3)
    assert (squares == squares[:, :1, :, :1]).all()


def test_colours_run_from_zero_to_the_largest_value_and_a_sign_is_centred() -> None:
    shown, maps = made([[[0.0, 1], [2, 4]]])
    picture = np.asarray(DrawnChannels(shown, maps, OPTIONS, 2).channel(0))
    expected = colours("inferno")[[0, 64, 128, 255]].reshape(2, 2, 3)
    assert np.abs(picture.astype(int) - expected).max() <= 2
    shown, maps = made([[[-4.0, 0], [2, 4]]])
    assert maps.signed
    picture = np.asarray(DrawnChannels(shown, maps, OPTIONS, 2).channel(0))
    assert (picture[0, 1] == colours("RdBu")[127]).all()  # zero
    assert (picture[0, 0] == colours("RdBu")[0]).all()
    assert (picture[1, 1] == colours("RdBu")[254]).all()


def test_channels_have_their_own_scale_or_share_the_layers() -> None:
    values = [np.full((2, 2), 1.0), np.full((2, 2), 10.0)]
    for scale, level in (("channel", 255), ("layer", 26)):
        shown, maps = made(values, scale=scale)
        weak = DrawnChannels(shown, maps, OPTIONS, 2)
        assert weak.channel(1).getpixel((0, 0)) == tuple(colours("inferno")[level])
        assert ("same for all" in weak.remark()) == (scale == "layer")


def test_large_maps_become_means_of_whole_cells() -> None:
    values = np.zeros((1, 6, 6))
    values[0, :2, :2] = [[0, 4], [4, 8]]
    values[0, 4, 4] = 4
    shown, maps = made(values)
    small = DrawnChannels(shown, maps, OPTIONS, 3)
    picture = np.asarray(small.channel(0))
    assert picture.shape == (3, 3, 3)
    assert "mean of 2×2 cells" in small.reduction
    assert np.abs(picture[0, 0].astype(int) - colours("inferno")[128]).max() <= 8
    assert picture[2, 2].sum() < picture[0, 0].sum()


def test_a_channel_that_is_zero_everywhere_has_no_colour() -> None:
    shown, maps = made([[[0.0, 0], [0, 0]], [[1, 1], [1, 1]]])
    blank = DrawnChannels(shown, maps, OPTIONS, 64).channel(1)
    assert blank.getpixel((5, 5)) == tuple(bytes.fromhex(MOUNT[1:]))


def test_components_are_red_green_and_blue_and_grey_where_they_are_zero() -> None:
    """One pattern alone is grey; channels with patterns of their own give each a colour."""
    ramp = np.linspace(-1, 1, 9).reshape(3, 3)
    shown, maps = made([ramp, 2 * ramp])
    picture = np.asarray(DrawnChannels(shown, maps, OPTIONS, 3).components())
    assert (picture[..., 0] == picture[..., 1]).all()
    assert picture[0, 0, 0] == 0
    assert picture[1, 1, 0] in (127, 128)
    assert picture[2, 2, 0] == 255
    across, down = np.meshgrid([-1.0, 0, 1], [-1.0, 0, 1])
    shown, maps = made([3 * across, down])
    picture = np.asarray(DrawnChannels(shown, maps, OPTIONS, 3).components())
    assert picture[1].tolist() == [[0, 128, 128], [128, 128, 128], [255, 128, 128]]  # the strong one is red
    assert picture[:, 1].tolist() == [[128, 0, 128], [128, 128, 128], [128, 255, 128]]


def test_a_map_of_one_value_everywhere_has_no_components() -> None:
    shown, maps = made(np.ones((2, 3, 3)))
    assert DrawnChannels(shown, maps, OPTIONS, 30).components() is None


def test_overlay_lies_where_the_model_looked_and_cells_keep_their_edges() -> None:
    """Of 300x200 pixels the model saw the middle 200x200: the left half of the map lies on x 50 to 150."""
    values = np.zeros((1, 2, 2))
    values[0, :, 0] = 1
    shown, maps = made(values, overlay=True)
    picture = np.asarray(DrawnChannels(shown, maps, RenderOptions(alpha=1), 300).channel(0))
    assert picture.shape == (200, 300, 3)
    assert (picture[:, 50:150] == colours("inferno")[255]).all()
    assert (picture[:, 150:250] == colours("inferno")[0]).all()
    assert not (picture[:, 20:45] == colours("inferno")[0]).all(-1).any()


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((2048, 7, 7), None),
        ((64, 112, 112), None),
        ((4096, 28, 28), None),
        ((3, 1, 200), None),
        ((512, 14, 14), 9),
        ((1, 2, 2), None),
    ],
)
def test_sheets_stay_within_bounds(shape: tuple[int, ...], shown: int | None, said: list[str]) -> None:
    one = sheet(*made(np.random.default_rng(1).random(shape), shown=shown), OPTIONS)
    assert max(one.size) <= 3200
    assert min(one.size) >= 200
    many = f"{shown} of {shape[0]} shown" if shown else "all shown"
    assert any(many in line for line in said)
    # Every channel's number can be read.
    numbers = {line.split(" · ")[0] for line in said}
    assert {str(channel) for channel in range(shape[0] if shown is None else 0)} <= numbers


@pytest.mark.parametrize("order", ["by strength", "by index", "as they were named"])
def test_of_many_blank_channels_a_few_are_drawn_and_the_others_counted(order: str, said: list[str]) -> None:
    values = np.zeros((60, 4, 4))
    values[::3, 1, 1] = np.arange(1, 21)
    shown, maps = made(values, order=order)
    assert len(maps.drawn) == 20 + FEW_BLANK
    sheet(shown, maps, OPTIONS)
    assert any(f"36 of 60 shown, {order}; 24 more are zero everywhere" in line for line in said)
    assert any("40 of 60 channels: 1, 2, 4, 5" in line for line in said)
    assert {line for line in said if line.startswith("59")} == set()
    strip(shown, [maps], OPTIONS)
    assert sum(line.split(" · ")[0] == "3" for line in said) == 2  # on the strip, too
    assert len(made(np.zeros((60, 4, 4)))[1].drawn) == FEW_BLANK  # also where there is nothing else


def test_a_part_in_the_order_of_numbers_says_that_it_is_the_strongest(said: list[str]) -> None:
    sheet(*made(np.random.default_rng(0).random((12, 3, 3)), shown=5, order="by index"), OPTIONS)
    sheet(*made(np.random.default_rng(0).random((12, 3, 3)), order="by index"), OPTIONS)
    told = [line for line in said if "shown" in line]
    assert "5 of 12 shown, the strongest, by index" in told[0]
    assert "all shown, by index" in told[1]


def test_many_bars_stand_in_columns_on_one_scale(said: list[str]) -> None:
    one = sheet(*made(np.linspace(-1, 1, 256)), OPTIONS)
    assert max(one.size) <= 3200
    assert one.width > one.height
    assert {f"unit {unit}" for unit in range(256)} <= {*said}
    pixels = np.asarray(one).astype(int)
    red = (pixels == (178, 24, 43)).all(-1)[250:]
    longest = [int(red[:, left : left + one.width // 8].sum(1).max()) for left in (0, one.width * 3 // 8)]
    assert longest[0] > 3 * longest[1] > 0  # of 1 and of the column that ends near 0


def test_a_single_score_is_called_by_its_class(said: list[str]) -> None:
    sheet(*made([-2.0], labels=("ripe",)), OPTIONS)
    assert "ripe" in said
    assert any(line.startswith("1 unit ·") for line in said)


def test_bars_go_both_ways_from_zero_and_name_classes(said: list[str]) -> None:
    shown, maps = made([-2.0, 1, 4], labels=("a dog", "<b>bird</b>\n", "a cat"), overlay=True)
    one = sheet(shown, maps, OPTIONS)
    assert "2 a cat" in said
    assert any("−2" in line for line in said)
    assert any("no place on the picture" in line for line in said)
    pixels = set(map(tuple, np.asarray(one).reshape(-1, 3).tolist()))
    assert {(178, 24, 43), (33, 102, 172)} <= pixels
    assert not any("ilent" in line for line in said)  # a class never counts as silent


def test_bars_of_nothing_and_histograms_of_nothing(said: list[str]) -> None:
    sheet(*made([0.0, 0.0]), OPTIONS)
    sheet(*made(np.zeros((2, 3, 3))), OPTIONS)
    assert any("silent channels: 2 of 2" in line for line in said)


def test_a_strip_of_layers_of_any_size_says_shapes_and_remarks(said: list[str]) -> None:
    layers = [
        made(np.random.default_rng(2).random((30, 224, 224)), "a" * 80, shown=8)[1],
        made(np.random.default_rng(2).normal(size=(3, 9, 17)), "b\n<i>", remarks=("run twice",))[1],
        made(np.random.default_rng(2).random((20, 1, 2)), "c", shown=12)[1],
    ]
    shown, _ = made(np.ones((1, 2, 2)), image="x/<b>\u202e.png")
    one = strip(shown, layers, OPTIONS)
    assert one.width <= 1300
    assert "30 × 224×224" in said
    assert "run twice" in said
    assert any("mean of 2×2 cells" in line for line in [" ".join(said)])


def test_no_word_is_smaller_than_eleven_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    for module in (feature_sheet, feature_strip, measures):
        write = module.write

        def listening(draw, place, text, size, *rest, write: Callable[..., float] = write, **more):
            sizes.append(size)
            return write(draw, place, text, size, *rest, **more)

        monkeypatch.setattr(module, "write", listening)
    shown, maps = made(np.random.default_rng(0).random((300, 7, 7)))
    sheet(shown, maps, OPTIONS)
    strip(shown, [maps], RenderOptions(max_side=64))
    assert min(sizes) >= 11
