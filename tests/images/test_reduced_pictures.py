"""JPEGs far larger than needed are decoded at a part of their size; where the model looked stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.images.decode import decode, read
from cnnexplain.images.decoded import DecodeOptions

WHITE = (255, 255, 255)
PHOTOS = Path(__file__).parents[2] / "docs" / "photos"


def decode_reduced(path: str, shorter: int, longer: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture of at least these sides, and the size of the whole."""
    found = read(path, DecodeOptions(sides=(shorter, longer)))
    return found.picture, found.size


def spotted(size: tuple[int, int], spot: tuple[int, int]) -> Image.Image:
    """Grey with a white square, a twentieth of the width, whose centre is `spot`."""
    picture, half = Image.new("RGB", size, (90, 90, 90)), size[0] // 40
    picture.paste(WHITE, (spot[0] - half, spot[1] - half, spot[0] + half, spot[1] + half))
    return picture


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 1024), (512, 512)),
        ((1279, 1023), (1279, 1023)),  # a half would be too small
        ((1281, 1025), (641, 513)),
        ((4000, 3000), (1000, 750)),
        ((8000, 6000), (1000, 750)),
        ((8000, 400), (8000, 400)),
    ],
)
def test_no_side_comes_out_smaller_than_it_is_needed(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", size, (10, 200, 30)).save(path)
    picture, whole = decode_reduced(str(path), 512, 512 if size == (1024, 1024) else 640)
    assert whole == size
    assert picture.size == expected
    assert np.abs(np.asarray(picture)[::50, ::50].astype(int) - (10, 200, 30)).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_other_formats_come_out_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.{suffix}"
    Image.new("RGB", (3000, 2000)).save(path)
    picture, whole = decode_reduced(str(path), 100, 100)
    assert picture.size == whole == (3000, 2000)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_it_is_turned_as_the_whole_picture_is(tmp_path: Path, orientation: int, mode: str) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[274] = orientation
    spotted((2400, 1600), (300, 200)).convert(mode).save(path, exif=exif)
    whole = decode(str(path))
    picture, size = decode_reduced(str(path), 300, 300)
    assert size == whole.size == ((2400, 1600) if orientation < 5 else (1600, 2400))
    assert max(picture.size) == 600
    small = np.asarray(whole.resize(picture.size, Image.Resampling.BOX)).astype(int)
    assert np.abs(small - np.asarray(picture)).mean() < 2


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(4000, 3000), (1500, 4100)])
def test_the_model_sees_the_same_part_and_the_map_lies_on_it(
    tmp_path: Path, size: tuple[int, int], crop_mode: str
) -> None:
    path = tmp_path / "large.jpg"
    spot = (int(size[0] * 0.6), int(size[1] * 0.45))
    spotted(size, spot).save(path, quality=95)
    preprocess = Preprocess(crop_mode=crop_mode)
    whole, expected = preprocess.apply(decode(str(path)))
    reduced, original = decode_reduced(str(path), 512, 640)
    assert max(reduced.size) < max(size)
    seen, geometry = preprocess.apply(reduced, original)
    assert geometry == expected
    assert seen.shape == whole.shape
    assert np.abs(seen.astype(int) - whole).mean() < 1
    row, column = (int(values.mean()) for values in np.nonzero(seen[:, :, 0] > 200))
    x, y = geometry.pixel_of_cell(row, column, seen.shape[:2])
    assert abs(x - spot[0]) < size[0] / 40
    assert abs(y - spot[1]) < size[0] / 40


def test_a_real_model_answers_alike(tmp_path: Path) -> None:
    import torch

    import cnnexplain

    model = cnnexplain.load("bundled:efficientnet_lite0").model
    for name in ("chelsea", "coffee"):
        path = tmp_path / f"{name}.jpg"
        with Image.open(PHOTOS / f"{name}.png") as photograph:
            large = photograph.convert("RGB").resize((photograph.width * 6, photograph.height * 6))
        large.save(path)
        reduced, size = decode_reduced(str(path), 512, 640)
        assert reduced.width < size[0]
        seen = [model.preprocess.apply(decode(str(path)))[0], model.preprocess.apply(reduced, size)[0]]
        with torch.inference_mode():
            chances = model.module(model.inputs(seen)).softmax(1)
        assert float((chances[0] - chances[1]).abs().max()) < 0.03
