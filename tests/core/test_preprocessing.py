"""What a model is fed equals what timm and torchvision would feed it, and is found again on the picture."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.preprocess import Geometry, Preprocess

SIZES = [
    (1, 1), (2, 1), (3, 150), (150, 3), (17, 31), (224, 224), (225, 223), (257, 256), (333, 500), (640, 479)
]  # fmt: skip
PLAIN = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def landscape() -> Image.Image:
    """Smooth hills and hard edges, in colour."""
    y, x = np.mgrid[0:640, 0:640] / 640
    hills = [np.sin(x * 9 + y * 4 + phase) + ((x * 8 + y * 5) % 1 > 0.5) for phase in (0, 2, 4)]
    return Image.fromarray((np.stack(hills, axis=2) * 63 + 64).astype(np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize(("height", "width", "share"), [(224, 224, 0.875), (96, 160, 0.9), (65, 33, 1.0)])
def test_the_input_is_timms(
    landscape: Image.Image, size: tuple[int, int], mode: str, height: int, width: int, share: float
) -> None:
    from timm.data import create_transform

    picture = landscape.resize(size)
    theirs = create_transform(
        (3, height, width), interpolation="bilinear", crop_pct=share, crop_mode=mode, **PLAIN
    )
    ours = Preprocess(crop_mode=mode, interpolation="bilinear", **PLAIN).with_crop((height, width), share)
    _assert_same(ours.apply(picture)[0], _before_tensors(theirs, picture))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("resize", "crop", "how"), [(256, 224, "bilinear"), (232, 224, "bicubic"), (50, 64, "nearest")]
)
def test_the_input_is_torchvisions(
    landscape: Image.Image, size: tuple[int, int], resize: int, crop: int, how: str
) -> None:
    from torchvision.transforms import v2

    picture = landscape.resize(size)
    theirs = v2.Compose([v2.Resize(resize, v2.InterpolationMode(how), antialias=True), v2.CenterCrop(crop)])
    ours = Preprocess((crop, crop), resize=(resize, resize), interpolation=how)
    _assert_same(ours.apply(picture)[0], np.asarray(theirs(picture)), nearest=how == "nearest")


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_model_of_any_number_of_channels_gets_them(landscape: Image.Image, channels: int) -> None:
    preprocess = Preprocess((40, 30), channels, (50, 50), mean=(0.1, 0.2, 0.3), std=(0.5,))
    pixels, _ = preprocess.apply(landscape)
    assert pixels.shape == (40, 30, channels)
    assert len(preprocess.mean) == len(preprocess.std) == channels
    colours = Preprocess((40, 30), 3, (50, 50)).apply(landscape)[0]
    if channels == 1:
        grey = np.asarray(Image.fromarray(colours).convert("L"))
        assert np.abs(pixels[:, :, 0].astype(int) - grey).max() <= 2
        assert preprocess.mean == (pytest.approx(0.2),)
    else:
        assert (pixels == colours[:, :, np.arange(channels) % 3]).all()
        assert preprocess.mean == ((0.1, 0.2, 0.3) * 2)[:channels]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_border_is_padded_with_the_mean(channels: int) -> None:
    preprocess = Preprocess((40, 40), channels, (40, 40), "border", mean=(0.25, 0.5, 1.0), std=(1.0,))
    pixels, geometry = preprocess.apply(Image.new("RGB", (20, 10), (9, 9, 9)))
    assert geometry.box == (0, -5, 20, 15)
    assert geometry.seen == (0, 0, 20, 10)
    assert (pixels[10:30] == 9).all()
    filled = np.array(preprocess.mean) * 255
    assert np.abs(pixels[[0, 9, 30, 39], 20] - filled).max() <= 0.5


def random_case(seed: int) -> tuple[Preprocess, tuple[int, int]]:
    chance = random.Random(seed)
    side = lambda: chance.choice((1, 2, 3, chance.randint(4, 99), chance.randint(100, 900)))  # noqa: E731
    crop = (chance.randint(1, 130), chance.randint(1, 130))
    mode = chance.choice(("center", "squash", "border"))
    preprocess = Preprocess(crop_mode=mode).with_crop(crop, chance.choice((0.5, 0.875, 0.9, 1.0)))
    return preprocess, (side(), side())


@pytest.mark.parametrize("seed", range(60))
def test_a_cell_lies_where_its_pixels_are(seed: int) -> None:
    """The cell of a map under a pixel leads back to that pixel, to within a cell."""
    preprocess, size = random_case(seed)
    geometry = preprocess.geometry(size)
    left, top, right, bottom = geometry.box
    chance = random.Random(seed)
    for _ in range(20):
        rows, columns = chance.randint(1, 60), chance.randint(1, 60)
        across, down = (right - left) / columns, (bottom - top) / rows
        x, y = (
            chance.uniform(low, high) for low, high in zip(geometry.seen[:2], geometry.seen[2:], strict=True)
        )
        row, column = min(rows - 1, int((y - top) / down)), min(columns - 1, int((x - left) / across))
        found = geometry.pixel_of_cell(row, column, (rows, columns))
        assert 0 <= found[0] < size[0]
        assert 0 <= found[1] < size[1]
        assert abs(found[0] + 0.5 - x) <= across / 2 + 0.5
        assert abs(found[1] + 0.5 - y) <= down / 2 + 0.5


@pytest.mark.parametrize("seed", range(40))
def test_the_box_is_where_the_input_came_from(seed: int) -> None:
    """A picture whose colours are its coordinates says of each input pixel where it was."""
    preprocess, size = random_case(1000 + seed)
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    coordinates = np.stack([x / width * 255, y / height * 255, np.full_like(x, 255)], axis=2)
    picture = Image.fromarray(coordinates.round().astype(np.uint8))
    pixels, geometry = preprocess.apply(picture)
    assert geometry == preprocess.geometry(size)
    left, top, right, bottom = geometry.box
    rows, columns = preprocess.input_size
    expected_x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    expected_y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    # The outermost half pixels of a picture have nothing beyond them to be mixed with.
    across, down = max(1, (right - left) / columns), max(1, (bottom - top) / rows)
    inside_x = (expected_x > across) & (expected_x < width - across)
    inside_y = (expected_y > down) & (expected_y < height - down)
    found_x = pixels[inside_y][:, inside_x, 0] / 255 * width
    found_y = pixels[inside_y][:, inside_x, 1] / 255 * height
    slack_x, slack_y = 0.02 * across + 1.5 * width / 255, 0.02 * down + 1.5 * height / 255
    assert (np.abs(found_x - expected_x[inside_x]) <= slack_x).all()
    assert (np.abs(found_y - expected_y[inside_y, None]) <= slack_y).all()


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_what_is_seen_never_leaves_the_picture_and_is_never_empty(mode: str) -> None:
    for size in [*SIZES, (3, 5000), (5000, 3), (1, 5000), (60_000, 2)]:
        geometry = Preprocess(
            (64, 96), resize=(64, 96) if mode != "center" else (72, 108), crop_mode=mode
        ).geometry(size)
        left, top, right, bottom = geometry.seen
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert all(map(math.isfinite, geometry.box))
        if mode != "center":
            assert geometry.seen == (0, 0, *size), "only a crop leaves anything out"


def test_a_peak_beyond_the_picture_is_on_its_edge() -> None:
    geometry = Geometry((20, 10), (-10.0, -20.0, 30.0, 20.0))
    assert geometry.pixel_of_cell(0, 0, (4, 4)) == (0, 0)
    assert geometry.pixel_of_cell(3, 3, (4, 4)) == (19, 9)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory used at most")
def test_a_picture_of_any_shape_is_cheap() -> None:
    """Resized whole, a 60000x2 picture would be 7,680,000 pixels wide."""
    script = """
import pathlib, time
from PIL import Image
from cnnexplain.core.preprocess import Preprocess
for size in ((60_000, 2), (2, 60_000)):
    for mode in ("center", "squash", "border"):
        for channels in (1, 3):
            Preprocess(crop_mode=mode, channels=channels).apply(Image.new("RGB", size))
status = dict(line.split(":") for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024, time.process_time())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    assert megabytes < 100
    assert seconds < 5


def _before_tensors(transform, picture: Image.Image) -> np.ndarray:
    """Their picture just before it becomes a tensor."""
    for step in transform.transforms[:-2]:
        picture = step(picture)
    return np.asarray(picture)


def _assert_same(ours: np.ndarray, theirs: np.ndarray, *, nearest: bool = False) -> None:
    assert ours.shape == theirs.shape
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    if nearest:  # another pixel may be taken where two are equally near
        assert (difference == 0).mean() > 0.97
        return
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.001


def test_words_say_how_a_picture_comes_to_an_oblong_input() -> None:
    square, oblong = Preprocess(), Preprocess(input_size=(48, 160), resize=(48, 160))
    assert "shorter side to 256, the middle cut out" in square.words
    assert "to cover 48x160, the middle cut out" in oblong.words
    left, top, right, bottom = oblong.geometry((300, 100)).box
    assert (left, right) == (0, 300)  # as the words say
    assert 0 < top < bottom < 100
    assert "to fit into 48x160, padded" in replace(oblong, crop_mode="border").words
    assert "longer side to 256, padded" in replace(square, crop_mode="border").words
