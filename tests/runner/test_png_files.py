"""PNG files as they are written: what other readers make of them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage.io import imread

from cnnexplain.runner.output.png import BAND, write_png
from cnnexplain.runner.output.write import save_png


def written(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    write_png(picture, file, "cnnexplain 1.2")
    return file.getvalue()


@pytest.mark.parametrize(
    "size",
    [(1, 1), (3, 1), (1, 5), (16, BAND // 48), (16, BAND // 48 + 1), (640, 3 * BAND // 1920 + 7), (BAND, 2)],
)
def test_every_pixel_is_read_back_by_others(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    data = written(Image.fromarray(pixels))
    with Image.open(io.BytesIO(data)) as read:
        assert (read.format, read.mode, read.size) == ("PNG", "RGB", size)
        assert np.array_equal(np.asarray(read), pixels)
        assert read.info["Software"] == "cnnexplain 1.2"
    if min(size) > 1:  # which scikit-image would take for something else
        assert np.array_equal(imread(io.BytesIO(data)), pixels)


def test_the_chunks_are_whole() -> None:
    data, kinds, place = written(Image.new("RGB", (40, 700), "red")), [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert int.from_bytes(data[place + 8 + length : place + 12 + length], "big") == zlib.crc32(
            kind + content
        )
        kinds.append(kind)
        place += 12 + length
    assert (kinds[:2], kinds[-1], set(kinds[2:-1])) == ([b"IHDR", b"tEXt"], b"IEND", {b"IDAT"})
    assert b"cnnexplain" in data[:100]


@pytest.mark.parametrize("dpi", [1, 72, 300, 600, 10000])
def test_pixels_per_inch_are_in_the_file_and_change_no_pixel(dpi: int) -> None:
    picture, file = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(2, 5, 3)), io.BytesIO()
    save_png(picture, file, dpi)
    with Image.open(file) as read:
        assert read.info["dpi"] == pytest.approx((dpi, dpi), abs=0.013), "whole pixels a metre"
        assert read.tobytes() == picture.tobytes()
    plain = io.BytesIO()
    save_png(picture, plain)
    with Image.open(plain) as read:
        assert "dpi" not in read.info, "nobody asked for a size on paper"
    chunk = 4 + 4 + 9 + 4
    assert len(file.getvalue()) == len(plain.getvalue()) + chunk


def test_a_plain_picture_is_small() -> None:
    assert len(written(Image.new("RGB", (1000, 1000), "white"))) < 20_000


def test_other_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode L"):
        save_png(Image.new("L", (2, 2)), io.BytesIO())
