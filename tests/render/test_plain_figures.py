"""Plain figures: what is on a card or a sheet, pixel by pixel, without its words; and scales that maps share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops
from torch import nn

from cnnexplain import Explainer, load
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.render import kernels, pictures
from cnnexplain.render.kit import panel, text
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.plain import in_columns, in_rows
from cnnexplain.render.map import MapCards

Make = Callable[..., Any]
HILL = np.exp(-(((np.arange(7)[:, None] - 2) / 2) ** 2 + ((np.arange(7) - 4) / 2) ** 2)) - 0.2
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8))


@pytest.mark.parametrize("scale", ["evidence", "signed", "magnitude", "component"])
@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("max_side", [120, 640])
def test_a_plain_figure_is_the_overlay_of_the_card(cards: Make, scale: str, mode: str, max_side: int) -> None:
    values = np.maximum(HILL, 0) if scale == "magnitude" else HILL
    made, heatmap = cards(values, PHOTO, Preprocess(crop_mode=mode), scale=scale, max_side=max_side)
    plain = figure(made, heatmap, figure="plain", max_side=max_side)
    assert max(plain.size) <= max_side
    assert plain.size == made.image.picture.size
    card = made.card(heatmap)
    left, top, width, height = made.original
    beside = card.crop((left + width + 12, top, left + 2 * width + 12, top + height))
    changed = np.asarray(ImageChops.difference(plain, beside)).any(2)
    if scale in ("evidence", "component"):  # but for the circle
        x, y = ((place + 0.5) * times for place, times in zip(heatmap.peak, made.image.scale, strict=True))
        rows, columns = changed.nonzero()
        assert changed.any()
        assert np.hypot(rows - y, columns - x).max() < 11
    else:
        assert not changed.any()


def test_the_map_alone_and_the_photograph_alone(cards: Make) -> None:
    made, heatmap = cards(HILL, PHOTO)
    assert figure(made, heatmap, figure="plain", alpha=0.0).tobytes() == made.image.grey.tobytes()
    other, same = cards(HILL, Image.new("RGB", PHOTO.size))
    alone = [
        figure(each, heatmap, figure="plain", alpha=1.0) for each, heatmap in ((made, heatmap), (other, same))
    ]
    assert alone[0].tobytes() == alone[1].tobytes(), "nothing of the photograph shines through"


def test_a_map_of_nothing_has_no_words(cards: Make) -> None:
    made, heatmap = cards(-HILL - 2, PHOTO)
    assert figure(made, heatmap, figure="plain").tobytes() == made.image.grey.tobytes()
    made, heatmap = cards(np.zeros((7, 7)), PHOTO, scale="signed")
    assert figure(made, heatmap, figure="plain").tobytes() == made.image.grey.tobytes()


def test_classes_share_a_scale_and_methods_and_layers_do_not(cards: Make, said: list[str]) -> None:
    made, heatmap = cards(HILL)
    weak = replace(heatmap, values=heatmap.values / 4)
    nothing = replace(heatmap, values=np.zeros_like(heatmap.values))
    other = replace(weak, method="hirescam")
    deeper = replace(weak, layer="layer9")
    explanation = replace(made.explanation, results=(heatmap, weak, nothing, other, deeper))
    own, shared = (MapCards(explanation, RenderOptions(scale=scale)) for scale in ("own", "shared"))
    assert own.overlay(weak).tobytes() == own.overlay(heatmap).tobytes()
    assert own.overlay(heatmap).tobytes() == shared.overlay(heatmap).tobytes(), (
        "the strongest keeps its colours"
    )
    assert shared.overlay(weak).tobytes() != own.overlay(weak).tobytes()
    assert shared.look(weak)["limit"] == shared.look(heatmap)["limit"] == heatmap.max
    assert shared.look(nothing)["limit"] == 0
    for alone in (other, deeper):
        assert shared.overlay(alone).tobytes() == own.overlay(alone).tobytes()
    shared.figure(weak)
    assert "Colours end at 0.8, the same for 2 maps of this method and layer." in " ".join(said)
    said.clear()
    shared.figure(other)
    assert "the same for" not in " ".join(said)


@pytest.mark.parametrize(
    ("scale", "words"), [("signed", "Colours end at ±"), ("magnitude", "Colours end at ")]
)
def test_maps_of_pixels_share_the_largest_end(cards: Make, said: list[str], scale: Any, words: str) -> None:
    values = np.abs(np.random.default_rng(1).normal(size=(60, 60)))
    made, heatmap = cards(values, scale=scale)
    weak = replace(heatmap, values=heatmap.values / 3)
    explanation = replace(made.explanation, results=(heatmap, weak))
    shared = MapCards(explanation, RenderOptions(scale="shared"))
    assert shared.look(weak)["limit"] == made.look(heatmap)["limit"] < heatmap.max
    shared.figure(weak)
    drawn = " ".join(said)
    assert words in drawn
    assert "the same for 2 maps" in drawn
    assert "98%" not in drawn
    assert not any(line.startswith("≥") for line in said), "all of the weaker map is within the scale"


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Of a small network with two convolutions and a head."""
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 5), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    )
    return load(module, preprocess=Preprocess(input_size=(64, 64), resize=(64, 64)))


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("deconv", {}),
        ("deconv", {"layer": ("0", "2"), "rule": "deconv,guided"}),
        ("activations", {}),
        ("activations", {"layer": ("0", "2")}),
        ("activations", {"layer": "2", "overlay": True}),
        ("activations", {"layer": "6"}),
        ("occlusion", {"window": 16, "stride": 16}),
    ],
)
def test_sheets_have_tiles_and_no_words(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch, command: str, options: dict[str, Any]
) -> None:
    found = explainer.explain(PHOTO, command, **options)
    sheets = [picture.image for picture in pictures(found, RenderOptions())]
    written = listened(monkeypatch)
    plain = [picture.image for picture in pictures(found, RenderOptions(figure="plain"))]
    assert len(plain) == len(sheets)
    assert bool(written) is (options.get("layer") == "6"), "only bars need their numbers"
    for one, other in zip(plain, sheets, strict=True):
        assert one.width * one.height < other.width * other.height


@pytest.mark.parametrize("view", ["slices", "norm"])
def test_sheets_of_filters_have_no_words(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    for layer in explainer.filters("all", view=view):
        card = np.asarray(explainer.picture(layer))
        written = listened(monkeypatch)
        plain = np.asarray(explainer.picture(layer, figure="plain"))
        monkeypatch.undo()
        assert plain.shape[0] < card.shape[0]
        assert written == [] or layer.view == "matrix", "of a matrix the part without words is cut out"
        assert colours(plain) <= colours(card) | {(255, 255, 255)}


def test_rows_of_unequal_pictures_do_not_touch() -> None:
    rows = [
        [Image.new("RGB", (10, 4), "red"), Image.new("RGB", (3, 9), "red")],
        [Image.new("RGB", (5, 5), "red")],
    ]
    laid = np.asarray(in_rows(rows, 2))
    assert laid.shape == (9 * 2 + 2, 10 * 2 + 2, 3)
    assert (laid[:, 10:12] == 255).all()
    assert (laid[9:11] == 255).all()
    assert (laid == (255, 0, 0)).all(2).sum() == 40 + 27 + 25
    assert in_columns([picture for row in rows for picture in row], 2).size == (28, 26)


def figure(made: MapCards, heatmap: Any, **options: Any) -> Image.Image:
    """A map drawn with other options."""
    return MapCards(made.explanation, RenderOptions(**options)).figure(heatmap)


def colours(picture: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    """All colours of a picture."""
    return set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()))


def listened(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """All words that are drawn from now on."""
    written: list[str] = []
    lay, word = text.lay, kernels.word

    def listening(draw: Any, place: Any, words: str, *rest: Any) -> None:
        written.append(words)
        lay(draw, place, words, *rest)

    def reading(words: str, **more: Any) -> Image.Image:
        written.append(words)
        return word(words, **more)

    monkeypatch.setattr(text, "lay", listening)
    monkeypatch.setattr(panel, "lay", listening)
    monkeypatch.setattr(kernels, "word", reading)
    return written
