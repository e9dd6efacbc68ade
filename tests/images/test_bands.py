"""Bands of a picture and channels of a model: what matches goes in as it is, and what does not is said or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiffs import pages, tiff
from torch import Tensor, nn

import cnnexplain
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import ImageError
from cnnexplain.images.decode import DecodeOptions, of_image, read

NOISE = np.random.default_rng(0)


def bands(number: int, kind: type = np.uint8, size: tuple[int, int] = (5, 7)) -> np.ndarray:
    """Noise of so many bands, (height, width, bands)."""
    return NOISE.integers(0, 255, (*size, number)).astype(kind) * kind(257 if kind == np.uint16 else 1)


def written(folder: Path, content: bytes | Image.Image, name: str = "a.tif") -> str:
    if isinstance(content, Image.Image):
        content.save(folder / name)
    else:
        (folder / name).write_bytes(content)
    return str(folder / name)


class Brightest(nn.Module):
    """As many classes as channels; each answers to its own channel, and its map says where it is bright."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 8, 8, bias=False, groups=channels)
        self.fc = nn.Linear(channels, channels, bias=False)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 64)
            self.fc.weight.copy_(torch.eye(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


def explainer(channels: int, size: int = 32) -> cnnexplain.Explainer:
    preprocess = Preprocess((size, size), channels, (size, size), mean=(0.0,), std=(1.0,))
    return cnnexplain.load(Brightest(channels).eval(), preprocess=preprocess)


def spotted(channels: int, kind: type = np.uint8) -> np.ndarray:
    """Dark; every band has a bright square of its own, 8x8 of 32x32, on the way from left to right and down."""
    most = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1
    values = np.zeros((32, 32, channels), kind)
    for band in range(channels):
        row, column = divmod(band, 4)
        values[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, band] = most
    return values


FILES: dict[str, Callable[[np.ndarray], bytes]] = {
    "chunky": tiff,
    "big-endian": lambda values: tiff(values, ">"),
    "planes": lambda values: tiff(values, planar=True, rows=5),
    "strips, packed": lambda values: tiff(values, ">", deflate=True, predictor=True, rows=3),
    "tiles": lambda values: tiff(values, tile=16, planar=True),
    "BigTIFF": lambda values: tiff(values, ">", big=True, deflate=True),
    "called grey": lambda values: tiff(values, photometric=1, extra=[0] * (values.shape[2] - 1)),
    "called RGB": lambda values: tiff(values, photometric=2, extra=[0] * (values.shape[2] - 3)),
    "with alpha at the end": lambda values: tiff(values, photometric=2, extra=[0] * (values.shape[2] - 4) + [2]),
    "pages": lambda values: pages([values[..., band] for band in range(values.shape[2])], photometric=1),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("channels", [4, 5, 13])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_every_band_is_the_models_own_channel(tmp_path: Path, name: str, channels: int, kind: type) -> None:
    """A class is found where its own band is bright, and scores what the band's mean is."""
    path = written(tmp_path, FILES[name](spotted(channels, kind)))
    model = explainer(channels)
    for band in (0, 3, channels - 1):
        found = model.explain(path, target=str(band))
        (heatmap,) = found.heatmaps
        assert heatmap.peak == (8 * (band % 4) + 4, 8 * (band // 4) + 4)
        assert heatmap.target.logit == pytest.approx(1 / 16, rel=1e-4)
        assert any(f"{channels} bands" in note or "bands (" in note for note in found.notes)


@pytest.mark.parametrize(
    ("image", "channels"),
    [
        (Image.fromarray(spotted(4), "RGBA"), 4),
        (Image.fromarray(spotted(4)).convert("RGBA"), 4),
        (Image.frombytes("CMYK", (32, 32), spotted(4).tobytes()), 4),
        (Image.fromarray(spotted(2)), 2),
    ],
    ids=["RGBA", "RGBA once more", "CMYK", "LA"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_bands_of_pictures_that_pillow_knows(image: Image.Image, channels: int) -> None:
    model = explainer(channels)
    for band in range(channels):
        found = model.explain(image, target=str(band))
        assert found.heatmaps[0].peak == (8 * band + 4, 4)
        assert f"are the model's {channels} channels" in found.notes[0]


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(60, 40), (30, 47), (400, 3)])
def test_each_band_is_resized_by_itself(mode: str, size: tuple[int, int]) -> None:
    """As a grey picture would be: Pillow would weigh the others with a fourth band."""
    values = NOISE.integers(0, 255, (size[1], size[0], 4), np.uint8)
    means = (0.1, 0.4, 0.6, 0.9)
    preprocess = Preprocess((20, 24), 4, (22, 26), mode, mean=means, std=(1.0,))
    pixels, geometry = preprocess.apply(Image.new("RGB", size), bands=values)
    for band in range(4):
        alone = Preprocess((20, 24), 1, (22, 26), mode, mean=means[band : band + 1], std=(1.0,))
        expected, place = alone.apply(Image.fromarray(values[..., band]))
        assert (pixels[..., band] == expected[..., 0]).all()
        assert geometry == place


@pytest.mark.parametrize("extra", [None, [0]])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_fourth_band_that_nobody_calls_alpha_is_left_out_of_rgb(
    tmp_path: Path, extra: list[int] | None, kind: type
) -> None:
    """Near infrared laid over white would be another picture."""
    values = bands(4, kind)
    found = read(written(tmp_path, tiff(values, extra=extra)))
    assert (np.asarray(found.picture) == values[..., :3] // (257 if kind == np.uint16 else 1)).all()
    assert "Of the file's 4 bands the first 3 were taken, which it calls red, green and blue." in found.notes


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_band_that_is_called_alpha_is_alpha(tmp_path: Path, kind: type, order: str) -> None:
    values = bands(4, kind)
    most = np.iinfo(kind).max
    values[..., 3] = np.where(np.arange(7) < 3, 0, most)
    for extra in (1, 2):
        stored = values.copy()
        if extra == 1:
            stored[:, :3, :3] = 0  # multiplied in
        found = np.asarray(read(written(tmp_path, tiff(stored, order, extra=[extra]))).picture)
        assert (found[:, :3] == 255).all()
        assert np.abs(found[:, 3:].astype(int) - values[:, 3:, :3] // (most // 255)).max() <= 1


@pytest.mark.parametrize(
    ("stored", "channels", "photometric", "extra"),
    [(4, 3, 1, [0, 0, 0]), (13, 3, 1, [0] * 12), (2, 1, 1, [0]), (2, 3, 1, [0]), (4, 1, 1, None), (5, 4, 2, [0, 0]),
     (4, 5, 2, [0]), (13, 12, 1, [0] * 12), (6, 4, 1, None)],
)  # fmt: skip
def test_bands_that_do_not_match_are_refused(
    tmp_path: Path, stored: int, channels: int, photometric: int, extra: list[int] | None
) -> None:
    path = written(tmp_path, tiff(bands(stored, np.uint16), photometric=photometric, extra=extra))
    takes = "1 channel" if channels == 1 else f"{channels} channels"
    with pytest.raises(ImageError, match=f"has {stored} bands, and the model takes {takes}") as caught:
        read(path, DecodeOptions(channels))
    assert caught.value.hint
    assert not caught.value.stops_run


def test_an_alpha_beyond_the_models_channels_is_left_out(tmp_path: Path) -> None:
    values = bands(5)
    values[..., 4] = 0  # nothing of it is to be seen
    found = read(written(tmp_path, tiff(values, photometric=2, extra=[0, 2])), DecodeOptions(4))
    assert found.bands is not None
    assert (found.bands == values[..., :4]).all()
    assert "its transparency was left out" in found.notes[0]


@pytest.mark.parametrize("channels", [2, 4, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_a_plain_picture_is_repeated_and_that_is_said(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = bands(3)
    image = Image.fromarray(pixels).convert(mode)
    found = read(written(tmp_path, image, "a.png"), DecodeOptions(channels))
    assert found.bands is None
    having = "is grey" if mode == "L" else "has 3"
    assert found.notes == (
        f"The model takes {channels} channels and the picture {having}: red, green and blue are fed in turn.",
    )
    explained = explainer(channels, 16).explain(image)
    assert explained.notes == found.notes
    assert (explained.pixels[..., 0] == explained.pixels[..., 3 % channels]).all() or channels < 4


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_photographs_sees_what_a_person_does(mode: str, channels: int) -> None:
    image = Image.fromarray(bands(3)).convert(mode)
    found = of_image(image, DecodeOptions(channels))
    assert found.bands is None
    assert found.notes == ()


def test_three_grey_pages_are_no_colours(tmp_path: Path) -> None:
    found = read(written(tmp_path, pages([bands(1)[..., 0]] * 3)), DecodeOptions(3))
    assert found.notes == ("The first of several frames was taken.",)


@pytest.mark.parametrize("frames", [3, 5])
def test_pages_that_are_not_as_many_as_channels_are_frames(tmp_path: Path, frames: int) -> None:
    found = read(written(tmp_path, pages([bands(1, np.uint16)[..., 0]] * frames)), DecodeOptions(4))
    assert found.bands is None
    assert "The first of several frames was taken." in found.notes


def test_what_is_shown_of_many_bands_are_the_first_three(tmp_path: Path) -> None:
    values = bands(6, np.uint16)
    found = read(written(tmp_path, tiff(values, ">", photometric=1)), DecodeOptions(6))
    assert (np.asarray(found.picture) == values[..., :3] // 257).all()
    assert "the picture shows the first three as red, green and blue" in found.notes[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_bands_stand_upright_with_the_picture(tmp_path: Path, orientation: int) -> None:
    values = bands(5)
    plain = written(tmp_path, tiff(values[..., :3], orientation=orientation), "plain.tif")
    found = read(written(tmp_path, tiff(values, photometric=2, orientation=orientation)), DecodeOptions(5))
    assert found.bands is not None
    assert (np.asarray(found.picture) == np.asarray(read(plain).picture)).all()
    assert (found.bands[..., :3] == np.asarray(found.picture)).all()


@pytest.mark.parametrize("packing", [34887, 34712, 7])
def test_a_packing_that_is_not_read_is_named(tmp_path: Path, packing: int) -> None:
    content = tiff(bands(5))
    place = content.index(b"\x03\x01\x03\x00\x01\x00\x00\x00")  # compression, one short
    content = content[: place + 8] + packing.to_bytes(2, "little") + content[place + 10 :]
    with pytest.raises(
        ImageError, match=f"5 bands of 8 bits are packed as is not read here .compression {packing}"
    ):
        read(written(tmp_path, content), DecodeOptions(5))


@pytest.mark.parametrize("layout", ["contig", "separate", "pages"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "more", [{}, {"bigtiff": True}, {"tile": (16, 32)}, {"compression": "zlib", "rowsperstrip": 7}]
)
def test_files_that_tifffile_writes(tmp_path: Path, layout: str, order: str, more: dict) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = bands(13, np.uint16, (32, 48))
    stored = values if layout == "contig" else values.transpose(2, 0, 1)
    planar = {} if layout == "pages" else {"planarconfig": layout}
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=order, photometric="minisblack", **planar, **more)
    found = read(str(tmp_path / "a.tif"), DecodeOptions(13))
    assert found.bands is not None
    assert (found.bands == values // 257).all()
