"""Sheets of filters: the colours say the numbers, cells are sharp, sheets have bounds, and faults are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.results.kernels import Kernels
from cnnexplain.engine.weights.kernel_statistics import statistics
from cnnexplain.render.kernels import sheet
from cnnexplain.render.kit import tiles
from cnnexplain.render.kit.matrix import _means
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.tiles import BROKEN, Ink, Panels, enlarged, layout, painted

OPTIONS = RenderOptions()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def kernels(values: Any, **fields: Any) -> Kernels:
    values = np.asarray(values, np.float32)
    return Kernels("layer", "Conv2d", values, statistics(values), **fields)


def colours(one: Kernels, slices: int = 6) -> np.ndarray:
    ink = Ink.of(one, OPTIONS)
    panels = Panels.of(one, one.ranked(len(one.values)), slices)
    whole = panels.values if one.view == "norm" else one.values
    return painted(panels, ink.limits(whole, np.arange(len(whole))), ink, in_colour=one.view == "colour")


def lightness(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(int).sum(-1)


def test_zero_is_the_middle_and_the_two_signs_are_red_and_blue() -> None:
    found = colours(kernels([[[[-2, 0, 2]]]]))[0, 0, 0]
    blue, zero, red = found.astype(int)
    assert blue[2] > blue[0] + 60
    assert red[0] > red[2] + 60
    assert max(zero) - min(zero) < 5
    assert min(zero) > 240


def test_in_colour_grey_is_zero_and_channels_are_red_green_and_blue_in_their_order() -> None:
    values = np.zeros((1, 3, 1, 4), np.float32)
    for channel in range(3):
        values[0, channel, 0, channel] = 3
    found = colours(kernels(values, view="colour"))[0, 0, 0]
    assert found.tolist() == [[255, 128, 128], [128, 255, 128], [128, 128, 255], [128, 128, 128]]
    assert colours(kernels(-values, view="colour"))[0, 0, 0].tolist()[0] == [1, 128, 128]


def test_each_filter_has_its_own_scale_or_all_have_one() -> None:
    values = np.stack([noise(1, 3, 3), 0.01 * noise(1, 3, 3)])
    own = colours(kernels(values))
    shared = colours(kernels(values, ends="shared"))
    assert np.array_equal(own[0], own[1])
    assert np.ptp(lightness(shared[1])) < 0.05 * np.ptp(lightness(shared[0]))


def test_slices_are_the_strongest_input_channels_and_carry_their_numbers() -> None:
    values = 0.1 * noise(4, 8, 3, 3)
    values[0, 5] = 3
    values[0, 2] = 2
    values[3, 7] = 2
    one = kernels(values, groups=2)
    panels = Panels.of(one, one.ranked(4), 2)
    assert panels.channels is not None
    assert panels.channels[0].tolist() == [5, 2]
    assert panels.channels[3, 0] == 8 + 7  # the second group reads channels 8 to 15
    assert (panels.values[0] == values[0, [5, 2]]).all()


def test_norm_over_channels() -> None:
    values = noise(3, 5, 3, 3)
    one = kernels(values, view="norm")
    found = Panels.of(one, one.ranked(3), 6).values
    np.testing.assert_allclose(found[:, 0], np.sqrt((values**2).sum(1)), rtol=1e-5)


def test_every_weight_is_a_sharp_square() -> None:
    one = kernels(noise(6, 1, 3, 3))
    laid = layout(one, OPTIONS.max_side)
    painted_ = colours(one)
    image = np.asarray(sheet(one, OPTIONS))
    large = enlarged(painted_, np.zeros(painted_.shape[:-1], bool), laid.cell)
    for rank in range(6):
        assert holds(image, large[rank, 0])


def holds(image: np.ndarray, part: np.ndarray) -> bool:
    """Whether a picture holds another, pixel for pixel."""
    high, wide = part.shape[:2]
    starts = np.argwhere((image[: 1 - high, : 1 - wide] == part[0, 0]).all(-1))
    return any((image[y : y + high, x : x + wide] == part).all() for y, x in starts)


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((2048, 512, 1, 1), "matrix"),
        ((2048, 64, 3, 3), "slices"),
        ((2048, 1, 31, 31), "slices"),
        ((2048, 3, 7, 7), "colour"),
        ((3000, 70), "matrix"),
        ((1, 5000), "matrix"),
        ((5000, 1), "matrix"),
        ((300, 8, 9), "slices"),
        ((40, 8, 5, 3, 3), "slices"),
        ((2, 1, 700, 900), "slices"),
        ((1, 1, 3, 3), "slices"),
        ((200, 64, 7, 7), "norm"),
        ((7, 4, 3, 1), "slices"),
    ],
)
@pytest.mark.parametrize("max_side", [640, 100])
def test_sheets_have_bounds(shape: tuple[int, ...], view: Any, max_side: int) -> None:
    one = kernels(noise(*shape), view=view, ends="shared" if view == "matrix" else "filter", top=5000)
    picture = sheet(one, RenderOptions(max_side=max_side))
    widest, highest = max(2 * max_side, 620), max(3.2 * max_side, 100)
    if shape[-2:] == (700, 900) and len(shape) == 4:  # a kernel larger than a sheet is drawn as it is
        widest, highest = max(widest, 1900), max(highest, 1500)
    assert picture.width <= widest + 60
    assert picture.height <= highest + 420  # with heading, legend and remarks


def test_how_many_of_how_many_are_shown() -> None:
    said = texts(kernels(noise(2048, 64, 3, 3)))
    assert any("256 of 2,048 shown" in text and "strongest 6 of 64" in text for text in said)
    said = texts(kernels(noise(2048, 8, 3, 3), top=2048))
    assert not any("shown" in text for text in said)
    assert any("the strongest of 8 input channels" in text for text in said)
    assert layout(kernels(noise(1500, 1, 3, 3)), 640).filters == 1024


def test_two_thousand_filters_have_numbers_that_can_be_read() -> None:
    laid = layout(kernels(noise(2048, 8, 3, 3), top=2048), 640)
    assert laid.filters == 2048
    assert tiles.NUMBER >= 11
    assert laid.panel[0] * laid.cell[1] >= 12
    assert laid.tile[0] >= tiles.word("2047", bold=True).width


def test_broken_weights_are_marked_and_the_rest_keeps_its_colours() -> None:
    values = noise(4, 1, 3, 3)
    plain = colours(kernels(values))
    values[2, 0, 1, 1] = np.nan
    found = colours(kernels(values))
    assert tuple(found[2, 0, 1, 1]) == BROKEN
    assert np.array_equal(found[[0, 1, 3]], plain[[0, 1, 3]])
    image = np.asarray(sheet(kernels(values), OPTIONS))
    assert (image == BROKEN).all(-1).any()
    matrix = noise(300, 400)
    matrix[17, 33] = np.inf
    assert (np.asarray(sheet(kernels(matrix, view="matrix", ends="shared"), OPTIONS)) == BROKEN).all(-1).any()


@pytest.mark.parametrize("view", ["slices", "norm", "colour"])
@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, 1e-38, 3e38])
def test_no_weights_are_too_odd_to_be_drawn(view: Any, fill: float) -> None:
    with np.errstate(all="ignore"):
        one = kernels(np.full((3, 3, 3, 3), fill), view=view)
        assert isinstance(sheet(one, OPTIONS), Image.Image)
        assert isinstance(
            sheet(kernels(np.full((3, 3), fill), view="matrix", ends="shared"), OPTIONS), Image.Image
        )


@pytest.mark.parametrize("view", ["slices", "colour", "norm"])
def test_a_dead_filter_is_blank_whichever_scale_the_others_have(view: Any) -> None:
    values = noise(4, 3, 3, 3)
    values[2] *= 1e-7
    one = kernels(values, view=view)
    assert one.statistics.dead == (2,)
    found = colours(one)
    blank = colours(kernels(np.zeros_like(values), view=view))[2]
    assert np.array_equal(found[2], blank)
    assert all(np.ptp(found[alive].astype(int)) > 200 for alive in (0, 1, 3))


def test_a_large_matrix_of_noise_is_not_full_of_the_strongest_colours() -> None:
    one = kernels(noise(1000, 2048), view="matrix", ends="shared")
    image = np.asarray(sheet(one, OPTIONS)).astype(int)[150:900, 60:1000]
    strong = (np.abs(image[..., 0] - image[..., 2]) > 60) & (lightness(image) < 420)
    assert strong.mean() < 0.35
    said = texts(one)
    assert any("a cell is the mean of" in text for text in said)
    assert "mean weight of a cell" in said


@pytest.mark.parametrize("ends", ["shared", "filter"])
def test_a_cell_is_the_mean_of_its_weights_also_at_the_end(ends: Any) -> None:
    values = noise(7, 5)
    ink = Ink.of(kernels(values, view="matrix", ends=ends), OPTIONS)
    which = np.array([6, 1, 0, 2, 3])
    found = _means(values, which, ink, 2, 3)
    shares = (values / ink.limits(values, np.arange(7))[:, None])[which]
    expected = [[shares[a : a + 2, b : b + 3].mean() for b in (0, 3)] for a in (0, 2, 4)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_where_cells_are_shared_a_row_of_its_own_scale_says_how_much_of_it() -> None:
    said = texts(kernels(noise(1000, 2048), view="matrix", ends="filter"))
    assert any(text.startswith("≥ +") and text.endswith("% of largest") for text in said)


@pytest.mark.parametrize("shape", [(4, 8, 3), (4, 8, 80), (4, 8, 3, 5, 5)])
def test_slices_of_one_and_three_dimensions_carry_their_channels_numbers(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    from cnnexplain.render import kernels as module

    values = 0.1 * noise(*shape)
    values[:, 6] *= 100
    said: list[str] = []
    monkeypatch.setattr(module, "word", lambda text, **how: said.append(text) or tiles.word(text, **how))
    values[1] *= 2
    sheet(kernels(values, groups=2), OPTIONS)
    assert "6" in said
    assert "14" in said  # of the second group, which reads channels 8 to 15


def test_hostile_names_are_only_letters() -> None:
    one = kernels(noise(3, 3, 3, 3), view="colour")
    named = Kernels("a\nb\u202e<b>\x00" + "x" * 500, "Conv\n2d", one.values, one.statistics, "colour")
    assert sheet(named, OPTIONS).width < 1500


def texts(one: Kernels) -> list[str]:
    """All that is written on a sheet."""
    said: list[str] = []
    from cnnexplain.render import kernels as module

    real = module.write

    def noting(draw: Any, place: Any, text: str, *more: Any, **options: Any) -> float:
        said.append(text)
        return real(draw, place, text, *more, **options)

    module.write = noting
    try:
        sheet(one, OPTIONS)
    finally:
        module.write = real
    return said


@pytest.mark.parametrize(
    "change",
    [{"order": np.array([2, 1, 0, 3])}, {"ends": "shared"}, {"view": "norm"}, {"top": 3}, {"slices": 2}],
)
def test_options_change_the_picture(change: dict[str, Any]) -> None:
    values = noise(4, 8, 3, 3)
    plain, other = sheet(kernels(values), OPTIONS), sheet(kernels(values, **change), OPTIONS)
    assert plain.size != other.size or plain.tobytes() != other.tobytes()
