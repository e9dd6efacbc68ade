"""Sheets of what units saw: the right pixels, the right part of the picture, and words that hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.preprocess import Geometry, Preprocess
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.render import pictures
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.outlines import MOST, outlined
from cnnexplain.render.kit.panel import MARGIN, DrawnImage
from cnnexplain.render.kit.sheet import sheet, strip
from cnnexplain.render.kit.units import GREY, by_layer, field, panel_sizes, projected

Explain = Callable[..., Explanation]
SQUASH = Preprocess(input_size=(32, 32), resize=(32, 32), crop_mode="squash")


def quadrants(size: tuple[int, int]) -> Image.Image:
    """Red and green above, blue and white below."""
    four = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return Image.fromarray(four).resize(size, Image.Resampling.NEAREST)


def reconstruction(
    values: np.ndarray, box: tuple[float, float, float, float] = (0, 0, 8, 8)
) -> Reconstruction:
    values = np.asarray(values, np.float32)
    _, height, width = values.shape
    return Reconstruction(
        "deconv",
        "conv",
        0,
        (0, 0),
        (1, 1),
        1.0,
        (0, 0, width, height),
        values,
        (height, width),
        Geometry((8, 8), box),
    )


def test_a_reconstruction_is_drawn_as_the_pixels_that_it_is() -> None:
    values = np.zeros((3, 2, 2))
    values[:, 0, 0] = [1, 0, 0]
    values[:, 0, 1] = [0, -1, 0]
    values[:, 1, 0] = [0.5, 0.5, -0.5]
    drawn = np.asarray(projected(reconstruction(values), (20, 20))).astype(int)
    assert drawn[5, 5].tolist() == [255, GREY, GREY]
    assert drawn[5, 15].tolist() == [GREY, 1, GREY]
    assert np.abs(drawn[15, 5] - [GREY + 64, GREY + 64, GREY - 64]).max() <= 1
    assert drawn[15, 15].tolist() == [GREY] * 3
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 4, "few pixels stay sharp"


def test_one_channel_is_grey_and_others_count_in_turn() -> None:
    drawn = np.asarray(projected(reconstruction([[[1.0, -1.0]]]), (20, 10)))
    assert drawn[5, 5].tolist() == [255] * 3
    assert drawn[5, 15].tolist() == [1] * 3
    values = np.zeros((5, 1, 3))
    values[3, 0, 0] = 1.0  # with red
    values[1, 0, 1] = values[4, 0, 1] = 0.5  # both with green
    values[2, 0, 2] = -1.0
    drawn = np.asarray(projected(reconstruction(values), (30, 10)))
    assert drawn[5, 5].tolist() == [255, GREY, GREY]
    assert drawn[5, 15].tolist() == [GREY, 255, GREY]
    assert drawn[5, 25].tolist() == [GREY, GREY, 1]


def test_each_reconstruction_has_its_own_scale_and_a_few_extremes_do_not_set_it() -> None:
    values = np.random.default_rng(0).normal(size=(3, 20, 20))
    usual = projected(reconstruction(values), (40, 40))
    assert usual.tobytes() == projected(reconstruction(values * 1024), (40, 40)).tobytes()
    values[0, 3, 3] = 1000
    assert (
        np.abs(np.asarray(usual, int) - np.asarray(projected(reconstruction(values), (40, 40)), int)).mean()
        < 2
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(112, 112), (28, 28), (64, 16), (1, 1), (224, 3)])
@pytest.mark.parametrize("scale", [1e-44, 1.0, 1e37])
def test_any_values_can_be_drawn_at_any_size(size: tuple[int, int], scale: float) -> None:
    for shape in ((3, 1, 1), (1, 1, 1), (5, 3, 2), (3, 200, 1), (2, 64, 64)):
        values = (np.random.default_rng(0).normal(size=shape) * scale).astype(np.float32)
        assert projected(reconstruction(values), size).size == size


def test_nothing_is_a_flat_grey_with_a_word() -> None:
    drawn = np.asarray(projected(reconstruction(np.zeros((3, 9, 9))), (112, 112)))
    assert (drawn[:20] == GREY).all()
    assert (drawn[40:70] == 255).any()
    assert (np.asarray(projected(reconstruction(np.zeros((3, 9, 9))), (30, 12))) == GREY).all(), (
        "no room for it"
    )


@pytest.mark.parametrize("shrunk", [1, 4])
def test_the_patch_is_the_part_of_the_original_that_the_unit_sees(explained: Explain, shrunk: int) -> None:
    """Of a geometry that cuts the middle out, also where the picture at hand is smaller than the original."""
    preprocess = Preprocess(input_size=(32, 32), resize=(64, 64))  # sees 200x200 in the middle of 400x400
    found = explained({"sees": (0, 0, 16, 16)}, picture=quadrants((400, 400)), preprocess=preprocess)
    assert found.reconstructions[0].box == (100, 100, 200, 200)
    small = found.picture.resize((400 // shrunk, 400 // shrunk), Image.Resampling.NEAREST)
    for sees, colour in [
        ((0, 0, 16, 16), (255, 0, 0)),
        ((16, 0, 32, 16), (0, 255, 0)),
        ((3, 17, 15, 31), (0, 0, 255)),
        ((17, 17, 18, 18), (255, 255, 255)),
    ]:
        found = explained({"sees": sees}, picture=quadrants((400, 400)), preprocess=preprocess)
        found = Explanation(found.image, small, found.geometry, (), found.reconstructions)
        patch = np.asarray(DrawnImage(found, 640).patch(found.reconstructions[0].box, (40, 30)))
        assert (patch[3:-3, 3:-3] == colour).all(), "smoothing looks beyond the edge by a pixel or two"
    patch = np.asarray(DrawnImage(found, 640).patch((150, 100, 250, 200), (40, 40)))
    assert (patch[3:-3, :16] == (255, 0, 0)).all()
    assert (patch[3:-3, 24:] == (0, 255, 0)).all()


def test_what_lies_beside_the_picture_is_hatched(explained: Explain) -> None:
    preprocess = Preprocess(input_size=(32, 32), resize=(32, 32), crop_mode="border")
    picture = Image.new("RGB", (320, 160), (200, 0, 0))
    found = explained(
        {"sees": (8, 0, 24, 16)}, {"sees": (0, 0, 8, 8), "channel": 1}, picture=picture, preprocess=preprocess
    )
    shown = DrawnImage(found, 640)
    patch = np.asarray(shown.patch(found.reconstructions[0].box, (64, 64)))
    assert (patch[32:] == (200, 0, 0)).all()
    assert not (patch[:32] == (200, 0, 0)).all(axis=2).any()
    assert len(np.unique(patch[:32].reshape(-1, 3), axis=0)) == 2
    first, second = by_layer(found.reconstructions)["features.3"]
    assert first.place == "at x 200, y 120", "the middle of the third of four cells"
    assert second.place == "beside the picture"
    sheet(shown, "features.3", [first, second])


def test_units_are_grouped_by_layer_and_ranked_and_their_rules_kept_together(explained: Explain) -> None:
    found = explained(
        {"layer": "deep", "channel": 5, "rule": "guided"},
        {"layer": "deep", "channel": 5, "rule": "deconv"},
        {"layer": "deep", "channel": 2, "rule": "guided"},
        {"layer": "deep", "channel": 5, "cell": None, "rule": "guided"},
        {"layer": "deeper", "channel": 5, "rule": "guided"},
    )
    layers = by_layer(found.reconstructions)
    assert list(layers) == ["deep", "deeper"]
    assert [unit.rank for unit in layers["deep"]] == [1, 2, 3]
    assert list(layers["deep"][0].by_rule) == ["guided", "deconv"]
    assert [unit.words for unit in layers["deep"]] == [
        "1 · channel 5 · 3.41",
        "2 · channel 2 · 3.41",
        "3 · channel 5 · 3.41",
    ]
    assert layers["deep"][2].place == "whole channel"


def test_a_unit_is_placed_where_it_stands_whatever_it_sees(explained: Explain) -> None:
    found = explained({"sees": (0, 0, 32, 32), "cell": (3, 0)}, picture=Image.new("RGB", (320, 160)))
    (unit,) = by_layer(found.reconstructions)["features.3"]
    assert unit.place == "at x 40, y 140", "the middle of the last row's first of four cells"
    assert field([unit]) == "the whole input"


def test_how_much_the_units_see_is_told_by_those_that_see_most(explained: Explain) -> None:
    found = explained(
        {"sees": (0, 4, 7, 16)}, {"sees": (4, 0, 16, 9), "channel": 1}, {"sees": (4, 4, 16, 16), "channel": 2}
    )
    assert field(by_layer(found.reconstructions)["features.3"]) == "12×12 of 32×32"
    found = explained({"sees": (0, 0, 32, 32)}, {"sees": (0, 0, 32, 20), "channel": 1})
    assert field(by_layer(found.reconstructions)["features.3"]) == "up to the whole input"


def test_panels_have_the_shape_of_what_is_seen_and_those_cut_off_are_smaller(explained: Explain) -> None:
    found = explained(
        {"sees": (4, 4, 12, 12)}, {"sees": (0, 4, 6, 12), "channel": 1}, {"sees": (31, 4, 32, 12), "channel": 2},
        picture=Image.new("RGB", (320, 320)),
    )  # fmt: skip
    units = by_layer(found.reconstructions)["features.3"]
    assert panel_sizes(units, 112) == [(112, 112), (84, 112), (28, 112)]


@pytest.mark.parametrize("rules", [("deconv",), ("deconv", "guided", "gradient")])
def test_a_sheet_says_what_is_to_be_known(
    explained: Explain, said: list[str], rules: tuple[str, ...]
) -> None:
    found = explained(
        *(
            {"channel": channel, "rule": rule, "remarks": ("No max pooling here.",)}
            for channel in range(9)
            for rule in rules
        )
    )
    (made,) = pictures(found, RenderOptions())
    assert made.shows == found.reconstructions
    assert said == [], "drawn when it is asked for"
    paper = np.asarray(made.image)
    words = " ".join(said)
    assert "features.3" in said
    assert f"{', '.join(rules)} · 9 units · each sees 4×4 of 32×32 · cat.jpg" in said
    assert "Each reconstruction has its own scale, grey is zero." in words
    assert words.count("No max pooling here.") == 1
    assert [f"{rank} · channel {rank - 1} · 3.41" in said for rank in range(1, 10)] == [True] * 9
    assert said.count("at x 187, y 125") == 9
    assert said.count("guided") == (9 if len(rules) > 1 else 0), "above every tile, where there are several"
    assert "whole input" not in words
    assert (paper[:, -MARGIN:] == 255).all()


def test_a_sheet_shows_the_reconstruction_and_the_patch(explained: Explain) -> None:
    values = np.zeros((3, 4, 4))
    values[0] = 1.0
    found = explained({"values": values, "sees": (20, 2, 24, 6)}, picture=quadrants((320, 320)))
    (made,) = pictures(found, RenderOptions(max_side=320))
    paper = np.asarray(made.image)
    side = paper[:, MARGIN + 320 + 10 :]
    projection = np.argwhere((side == (255, GREY, GREY)).all(axis=2))
    patch = np.argwhere((side == (0, 255, 0)).all(axis=2))
    assert len(projection) == len(patch) == 112 * 112, "of one size"
    assert projection[0, 0] == patch[0, 0], "side by side"
    assert patch[:, 1].min() - projection[:, 1].max() == 5


def test_where_all_see_everything_no_outline_is_drawn(explained: Explain, said: list[str]) -> None:
    everything = [{"channel": one, "sees": (0, 0, 32, 32 - one % 2)} for one in range(9)]
    found = explained(*everything)
    units = by_layer(found.reconstructions)["features.3"]
    assert outlined(DrawnImage(found, 640), units).tobytes() == found.picture.tobytes()
    sheet(DrawnImage(found, 640), "features.3", units)
    assert "Every unit sees the whole input." in " ".join(said)


def test_outlines_are_where_the_units_look_and_equal_ones_share_a_number(explained: Explain) -> None:
    black = Image.new("RGB", (320, 320), (60, 60, 60))
    boxes = [(8, 8, 16, 16), (8, 8, 16, 16), (24, 24, 32, 32)]
    found = explained(*({"channel": one, "sees": sees} for one, sees in enumerate(boxes)), picture=black)
    units = by_layer(found.reconstructions)["features.3"]
    drawn = np.asarray(outlined(DrawnImage(found, 640), units))
    white = (drawn == 255).all(axis=2)
    assert white[80, 80:160].all()
    assert white[159, 80:160].all()
    assert white[240:320, 240].all()
    assert white[240:320, 319].all(), "clipped to the picture"
    assert (drawn[100:140, 100:140] == 60).all(), "what they see stays in sight"
    alone = np.asarray(outlined(DrawnImage(found, 640), units[:1]))
    assert (alone[60:78, 100:103] == 60).all()
    assert (drawn[60:78, 100:103] == 0).any(), "1, 2 instead of 1"


@pytest.mark.parametrize("size", [(600, 20), (20, 600), (90, 60)])
def test_a_picture_too_small_for_outlines_has_none(explained: Explain, size: tuple[int, int]) -> None:
    wanted = [{"channel": one, "sees": (one, one, one + 8, one + 8)} for one in range(9)]
    found = explained(*wanted, picture=Image.new("RGB", size, (90, 120, 90)))
    shown = DrawnImage(found, min(640, max(size)))
    assert outlined(shown, by_layer(found.reconstructions)["features.3"]).tobytes() == found.picture.tobytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("max_side", [32, 640])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (2000, 20), (20, 2000), (640, 479)])
def test_any_picture_has_a_sane_sheet_and_strip(
    explained: Explain, size: tuple[int, int], mode: str, max_side: int
) -> None:
    preprocess = Preprocess(input_size=(32, 32), resize=(36, 36), crop_mode=mode)
    corners = [(0, 0, 1, 1), (31, 31, 32, 32), (0, 14, 32, 17), (14, 0, 15, 32), (0, 0, 32, 32)]
    wanted = [
        {"layer": layer, "channel": number, "sees": sees}
        for layer in "ab"
        for number, sees in enumerate(corners)
    ]
    found = explained(*wanted, picture=Image.new("RGB", size, (90, 120, 90)), preprocess=preprocess)
    made = list(pictures(found, RenderOptions(max_side=max_side)))
    assert [len(one.shows) for one in made] == [5, 5, 0]
    for one in made:
        assert one.image.mode == "RGB"
        assert 400 <= one.image.width <= 2000
        assert 200 <= one.image.height <= 1600
        assert (np.asarray(one.image)[:, -MARGIN:] == 255).all()


def test_many_units_make_a_sheet_of_sane_shape(explained: Explain, said: list[str]) -> None:
    places = [(one % 28, one // 28, one % 28 + 4, one // 28 + 4) for one in range(200)]
    found = explained(*({"channel": one, "sees": sees} for one, sees in enumerate(places)))
    (made,) = pictures(found, RenderOptions())
    assert 0.8 < made.image.width / made.image.height < 2.5
    assert f"Outlined: what the first {MOST} units can see." in " ".join(said)
    assert "200 · channel 199 · 3.41" in said
    (one,) = pictures(explained({}), RenderOptions())
    assert one.image.width < 1200
    assert "deconv · 1 unit · sees 4×4 of 32×32 · cat.jpg" in said


def test_the_strip_goes_from_shallow_to_deep(explained: Explain, said: list[str]) -> None:
    sizes = {"stem": 2, "middle": 8, "head": 32}
    found = explained(
        *(
            {"layer": layer, "channel": channel, "sees": (0, 0, size, size), "rule": rule}
            for layer, size in sizes.items()
            for channel in range(5)
            for rule in ("guided", "deconv")
        )
    )
    *_, made = pictures(found, RenderOptions())
    assert made.shows == ()
    assert made.image.width > 0
    strips = said[said.index("From shallow to deep") :]
    assert "guided · cat.jpg" in strips, "one rule, the first"
    assert [line for line in strips if line in sizes] == list(sizes)
    assert "sees 2×2 of 32×32" in strips
    assert "sees the whole input" in strips
    assert sum("channel 2 ·" in line for line in strips) == 3
    assert not any("channel 3 ·" in line for line in strips), "the first three of each"


def test_the_strip_shows_the_reconstruction_and_the_patch(explained: Explain) -> None:
    values = np.zeros((3, 4, 4))
    values[0] = 1.0
    unit = {"values": values, "sees": (20, 2, 24, 6)}
    found = explained({"layer": "a", **unit}, {"layer": "b", **unit}, picture=quadrants((320, 320)))
    *_, made = pictures(found, RenderOptions())
    paper = np.asarray(made.image)
    assert (paper == (255, GREY, GREY)).all(axis=2).sum() == 2 * 112 * 112
    assert (paper == (0, 255, 0)).all(axis=2).sum() == 2 * 112 * 112


def test_a_strip_of_many_layers_takes_several_rows(explained: Explain) -> None:
    found = explained(*({"layer": f"layer{number}"} for number in range(20)))
    layers = by_layer(found.reconstructions)
    made = strip(DrawnImage(found, 640), layers)
    assert made.width < 2200
    assert made.height > 3 * 150


def test_one_layer_has_no_strip_and_none_has_nothing(explained: Explain) -> None:
    assert len(list(pictures(explained({}, {"channel": 8}), RenderOptions()))) == 1
    assert list(pictures(explained(), RenderOptions())) == []


@pytest.mark.parametrize(
    "text", ["x" * 3000, "\x1b[31m\0\x07", "\u202eתקווה", "👩‍👧" * 50, "", "a/b\\c", "日本語" * 99]
)
def test_hostile_words_stay_on_the_paper(explained: Explain, text: str) -> None:
    other = [{"layer": "b", "channel": 1, "rule": text}, {"layer": "b", "channel": 1, "rule": "guided"}]
    found = explained({"layer": text, "remarks": (text,), "rule": text}, *other, image=f"folder/{text}.jpg")
    for one in pictures(found, RenderOptions()):
        assert one.image.width < 1500
        assert (np.asarray(one.image)[:, -MARGIN:] == 255).all()


def test_rules_that_a_unit_lacks_are_left_blank(explained: Explain) -> None:
    red, blue = np.zeros((2, 3, 4, 4))
    red[0], blue[2] = 1, 1
    found = explained(
        {"rule": "deconv", "values": red},
        {"rule": "guided", "values": blue},
        {"rule": "guided", "values": blue, "channel": 9},
        picture=Image.new("RGB", (200, 200)),
    )
    (made,) = pictures(found, RenderOptions())
    paper = np.asarray(made.image)
    side = 168 * 168  # of a panel, where there are two units
    assert (paper == (255, GREY, GREY)).all(axis=2).sum() == side
    assert (paper == (GREY, GREY, 255)).all(axis=2).sum() == 2 * side
