"""The whole geometry: a bright object moves about, and what is marked and drawn follows it.

The model's map is the brightness of 8x8 blocks of its input, so that where the map is strongest is known.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnexplain
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results.map import Heatmap
from cnnexplain.render import map as drawing

torch = pytest.importorskip("torch")
nn = torch.nn
CELLS = 8
SIDE = 64


@pytest.fixture(scope="module")
def bright() -> nn.Module:
    """Scores a picture by its brightness: block means, their mean, and a line through it."""
    blocks = nn.Conv2d(3, 1, SIDE // CELLS, stride=SIDE // CELLS, bias=False)
    nn.init.constant_(blocks.weight, 1 / blocks.weight.numel())
    scores = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        scores.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    return nn.Sequential(blocks, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), scores)


@pytest.fixture(scope="module", params=["center", "squash", "border"])
def explainer(request: pytest.FixtureRequest, bright: nn.Module) -> cnnexplain.Explainer:
    share = 0.875 if request.param == "center" else 1.0
    preprocess = Preprocess(crop_mode=request.param, mean=(0.0,), std=(1.0,)).with_crop((SIDE, SIDE), share)
    return cnnexplain.load(bright, preprocess=preprocess, labels=["dark", "bright"])


Box = tuple[int, int, int, int]
PLACES = [(0.0, 0.0), (0.5, 0.5), (1.0, 0.3), (0.2, 1.0), (1.0, 1.0)]


def placed(explainer: cnnexplain.Explainer, size: tuple[int, int], place: tuple[float, float]) -> Box:
    """An object of somewhat more than two cells a side, at a share of the way across what the model sees."""
    geometry = explainer.model.preprocess.geometry(size)
    box = []
    for axis in (0, 1):
        low, high = geometry.seen[axis], geometry.seen[axis + 2]
        cell = (geometry.box[axis + 2] - geometry.box[axis]) / CELLS
        length = min(max(1, round(2.5 * cell)), size[axis])
        start = min(round(low + place[axis] * max(0, high - low - length)), size[axis] - length)
        box.append((start, start + length))
    return box[0][0], box[1][0], box[0][1], box[1][1]


def painted(size: tuple[int, int], *objects: tuple[Box, int]) -> Image.Image:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for (left, top, right, bottom), level in objects:
        pixels[top:bottom, left:right] = level
    return Image.fromarray(pixels)


def within(peak: tuple[int, int] | None, box: Box) -> bool:
    return peak is not None and box[0] <= peak[0] < box[2] and box[1] <= peak[1] < box[3]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "size", [(200, 120), (90, 300), (64, 64), (7, 5), (12, 40), (3, 3), (1000, 31), (1, 1)]
)
def test_the_peak_is_on_the_object(
    tmp_path: Path, explainer: cnnexplain.Explainer, size: tuple[int, int], place: tuple[float, float]
) -> None:
    box = placed(explainer, size, place)
    painted(size, (box, 255)).save(tmp_path / "object.png")
    explanation = explainer.explain(tmp_path / "object.png", target="bright")
    heatmap = explanation.heatmaps[0]
    assert heatmap.values.shape == (CELLS, CELLS)
    assert explanation.geometry.picture_size == size
    assert within(heatmap.peak, box), (heatmap.peak, box)


ORIENTED = {
    # By the EXIF standard: how the file's rows and columns run through the picture that a person sees.
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.swapaxes(0, 1),
    6: lambda seen: seen.swapaxes(0, 1)[::-1],
    7: lambda seen: seen.swapaxes(0, 1)[::-1, ::-1],
    8: lambda seen: seen.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_the_peak_is_on_the_object_as_a_person_sees_it(
    tmp_path: Path, explainer: cnnexplain.Explainer, orientation: int, suffix: str
) -> None:
    """All are one picture to a person, however the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for size, place in [((160, 90), (1.0, 0.2)), ((70, 150), (0.1, 0.9))]:
        box = placed(explainer, size, place)
        stored = ORIENTED[orientation](np.asarray(painted(size, (box, 255))))
        path = os.fspath(tmp_path / f"turned{suffix}")
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
        for picture in (path, Image.open(path)):
            explanation = explainer.explain(picture, target="bright")
            assert explanation.geometry.picture_size == size
            assert explanation.picture.size == size
            assert within(explanation.heatmaps[0].peak, box)


def test_what_is_outside_the_crop_attracts_nothing(tmp_path: Path, bright: nn.Module) -> None:
    preprocess = Preprocess(mean=(0.0,), std=(1.0,)).with_crop((SIDE, SIDE), 0.875)
    explainer = cnnexplain.load(bright, preprocess=preprocess)
    for size, far, near in [
        ((300, 100), (0, 0, 90, 100), (170, 30, 200, 60)),
        ((80, 300), (0, 220, 80, 300), (20, 120, 50, 150)),
    ]:
        painted(size, (far, 255), (near, 90)).save(tmp_path / "both.png")
        assert within(explainer.explain(tmp_path / "both.png", target="1").heatmaps[0].peak, near)
        painted(size, (far, 255)).save(tmp_path / "far.png")
        assert explainer.explain(tmp_path / "far.png", target="1").heatmaps[0].peak is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [(200, 120), (90, 300), (1300, 700), (12, 9), (40, 400)])
def test_the_heat_is_drawn_on_the_object(
    monkeypatch: pytest.MonkeyPatch,
    explainer: cnnexplain.Explainer,
    size: tuple[int, int],
    place: tuple[float, float],
) -> None:
    monkeypatch.setattr(drawing.MapCards, "_mark", lambda *_: None)  # the circle would be found instead
    box = placed(explainer, size, place)
    explanation = explainer.explain(painted(size, (box, 255)), target="bright")
    cards = drawing.MapCards(explanation, drawing.RenderOptions(alpha=1.0))
    overlay = cards.overlay(explanation.heatmaps[0])
    heat = np.asarray(overlay.convert("L")).astype(float)
    left, top, right, bottom = _drawn(explanation.geometry.seen, size, overlay.size)
    inside = np.zeros(heat.shape, bool)
    inside[top:bottom, left:right] = True
    heat[~inside] = 0  # what was never seen is pale
    rows, columns = np.nonzero(heat > 0.97 * heat.max())
    left, top, right, bottom = _drawn(box, size, overlay.size)
    assert left <= columns.min() <= columns.max() < right
    assert top <= rows.min() <= rows.max() < bottom
    assert heat.max() > 230, "inferno's brightest"
    assert _holds(explainer.picture(explanation, alpha=1.0), overlay), "the card shows it"


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (90, 90)])
def test_what_was_never_seen_is_pale_and_hatched(
    monkeypatch: pytest.MonkeyPatch, bright: nn.Module, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(drawing.MapCards, "_mark", lambda *_: None)  # the circle may reach beyond
    preprocess = Preprocess(mean=(0.0,), std=(1.0,)).with_crop((SIDE, SIDE), 0.8)
    explainer = cnnexplain.load(bright, preprocess=preprocess)
    explanation = explainer.explain(Image.new("RGB", size, (200, 10, 10)), target="1")
    overlay = drawing.MapCards(explanation, drawing.RenderOptions(alpha=0.5)).overlay(explanation.heatmaps[0])
    pixels = np.asarray(overlay).astype(int)
    left, top, right, bottom = _drawn(explanation.geometry.seen, size, overlay.size)
    seen = np.zeros(pixels.shape[:2], bool)
    seen[top:bottom, left:right] = True
    outside, within = pixels[~seen], pixels[seen]
    assert len(outside)
    assert len(within)
    assert outside.min() >= 120
    assert np.ptp(outside, axis=1).max() <= 25, "grey, or nearly"
    assert len(np.unique(outside, axis=0)) == 2, "the paper and the hatching"
    assert np.ptp(within, axis=1).mean() > 25, "the heat has colour"
    above, beside = top - 1 if top else bottom, left - 1 if left else right
    for y, x in ((above, (left + right) // 2), ((top + bottom) // 2, beside)):
        assert np.ptp(pixels[y, x]) <= 25, "it begins at the very edge of what was seen"


def _drawn(box: tuple[float, ...], size: tuple[int, int], drawn: tuple[int, int]) -> Box:
    scale = (drawn[0] / size[0], drawn[1] / size[1]) * 2
    left, top, right, bottom = (round(edge * one) for edge, one in zip(box, scale, strict=True))
    return left, top, right, bottom


def _holds(card: Image.Image, panel: Image.Image) -> bool:
    """Whether the panel stands somewhere in the card, pixel by pixel."""
    paper, wanted = np.asarray(card).astype(np.int32), np.asarray(panel).astype(np.int32)
    height, width = wanted.shape[:2]
    weights = np.array([1, 256, 65536])
    paper, wanted = paper @ weights, wanted @ weights
    corners = (wanted[0, 0], wanted[0, -1], wanted[-1, 0], wanted[-1, -1])
    rows, columns = paper.shape[0] - height + 1, paper.shape[1] - width + 1
    cut = [paper[y : y + rows, x : x + columns] for y in (0, height - 1) for x in (0, width - 1)]
    found = np.argwhere(np.all([one == corner for one, corner in zip(cut, corners, strict=True)], axis=0))
    return any((paper[y : y + height, x : x + width] == wanted).all() for y, x in found[:2000])


def test_of_equal_cells_the_first_is_marked_however_they_are_rounded() -> None:
    """Two equal squares: which of their cells is larger in the last digits depends on the processor."""
    geometry = Preprocess().with_crop((SIDE, SIDE), 1.0).geometry((SIDE, SIDE))
    values = np.zeros((CELLS, CELLS), np.float32)
    values[2, 5], values[6, 1], values[7, 7] = 0.3, np.nextafter(np.float32(0.3), np.float32(1)), 0.2999
    for sign in (1, -1):
        scale = "evidence" if sign > 0 else "rule"
        heatmap = Heatmap(
            "gradcam", "blocks", Prediction(0, "bright", 1, 1), sign * values, geometry, scale=scale
        )
        assert heatmap.peak == (44, 20)
    values[1:4, 4:7] = 0.3  # around the first: their middle
    values[4, 7] = 0.3  # touches them at a corner alone
    heatmap = Heatmap("gradcam", "blocks", Prediction(0, "bright", 1, 1), values, geometry)
    assert heatmap.peak == (44, 20)
    values[1:4, 5:7] = values[2, 5] = 0.1
    values[1:4, 2:5] = 0.3
    assert Heatmap("gradcam", "blocks", Prediction(0, "bright", 1, 1), values, geometry).peak == (28, 20)
    values[6, 1] = 0.3001
    assert Heatmap("gradcam", "blocks", Prediction(0, "bright", 1, 1), values, geometry).peak == (12, 52)
