"""Small files that would keep a decoder at work for minutes, or fill the memory: refused before that, or bounded."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexplain.errors import ImageError
from cnnexplain.images import cost
from cnnexplain.images import decode as decoding
from cnnexplain.images.decode import decode

SIDE = 9_400  # pixels a side, just within the limit


def jpeg(side: int, **settings: object) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (side, side), "navy").save(stream, "JPEG", **settings)
    return stream.getvalue()


def resized(data: bytes, side: int) -> bytes:
    """A JPEG whose header says another size."""
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: place + 5] + struct.pack(">HH", side, side) + data[place + 9 :]


def scans(times: int, side: int = SIDE) -> bytes:
    """A progressive JPEG whose last scan comes that many times: 0.1 s each for a file of a few bytes."""
    data = resized(jpeg(64, progressive=True), side)
    return data[:-2] + data[data.rfind(b"\xff\xc4") : -2] * times + data[-2:]


def empty_scans(times: int) -> bytes:
    """The same of a JPEG as cameras write it, with no data in any scan."""
    data = resized(jpeg(64), SIDE)
    place = data.rfind(b"\xff\xda")
    return data[:place] + data[place : place + 10] * times + data[-2:]


def tiff(data: bytes) -> bytes:
    """A TIFF that holds such a JPEG."""
    tags = {256: SIDE, 257: SIDE, 258: 8, 259: 7, 262: 1, 273: 122, 277: 1, 278: SIDE, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


def bitmap(compression: int, width: int, height: int) -> bytes:
    """A bitmap of one pixel and an end of the line, which Pillow fills up byte by byte."""
    data = b"\1\7\0\0\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 // compression, compression, 6, 0, 0, 4, 0)
    return b"BM" + struct.pack("<IHHI", 76, 0, 0, 70) + header + bytes(16) + data


SLOW = {
    "many scans.jpg": (scans(200), "88 megapixels drawn 20[0-9] times over"),
    "many empty scans.jpg": (empty_scans(10_000), "drawn 10000 times over"),
    "many scans.tif": (tiff(scans(200)), "drawn 20[0-9] times over"),
    "an endless line.bmp": (bitmap(1, 89_000_000, 1), "89 megapixels in a packed bitmap"),
    "an endless line.dib": (bitmap(2, 9_000_000, 1)[14:], "9 megapixels in a packed bitmap"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SLOW)
def test_what_would_take_minutes_is_refused_at_once(tmp_path: Path, name: str) -> None:
    content, problem = SLOW[name]
    assert len(content) < 110_000
    (tmp_path / name).write_bytes(content)
    started = time.process_time()
    with pytest.raises(ImageError, match=problem) as caught:
        decode(str(tmp_path / name))
    assert time.process_time() - started < 1
    assert "save it again" in caught.value.hint


@pytest.mark.parametrize("name", ["many scans.jpg", "a line.bmp"])
def test_what_is_small_enough_is_read_all_the_same(tmp_path: Path, name: str) -> None:
    content = scans(200, 64) if name.endswith("jpg") else bitmap(1, 9_000, 1)
    (tmp_path / name).write_bytes(content)
    assert decode(str(tmp_path / name)).mode == "RGB"


@pytest.mark.parametrize("settings", [{}, {"progressive": True}])
def test_pictures_as_programs_write_them_have_few_scans(tmp_path: Path, settings: dict[str, bool]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, **settings)
    found = cost._scans(str(tmp_path / "a.jpg"))
    assert found == (10 if settings else 1)
    assert found * decoding.MAX_PIXELS < cost.MAX_SCANNED


def test_scans_are_counted_across_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(scans(40, 64))
    whole = cost._scans(str(tmp_path / "a.jpg"))
    for size in (4, 5, 7, 64):
        monkeypatch.setattr(cost, "CHUNK", size)
        assert cost._scans(str(tmp_path / "a.jpg")) == whole


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (37, 50, 4), np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png", **({"transparency": bytes(range(200))} if mode == "P" else {}))
    whole = decode(str(tmp_path / "a.png"))
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 120)
    assert decode(str(tmp_path / "a.png")).tobytes() == whole.tobytes()


MEASURE = """
import re, sys
from cnnexplain.images.decode import decode, refuse_bombs

def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

refuse_bombs()
before = highest()
assert decode(sys.argv[1]).size == (9400, 9400)
print(highest() - before)
"""


@pytest.mark.parametrize("turned", [1, 6])
def test_the_largest_picture_takes_the_memory_that_the_security_page_says(
    tmp_path: Path, turned: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.new("LA", (SIDE, SIDE)).save(tmp_path / "a.png", compress_level=1, exif=exif)
    call = [sys.executable, "-c", MEASURE, str(tmp_path / "a.png")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1200
