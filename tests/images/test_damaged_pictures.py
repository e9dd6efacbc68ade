"""What cannot be read costs its own picture only: one error, in words, quickly."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexplain.errors import ImageError
from cnnexplain.images import decode as decoding
from cnnexplain.images.decode import decode

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]
READABLE = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


def _noise(format: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()


def _png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = [
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (header, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)  # fmt: skip


CONTENTS: dict[str, tuple[str, bytes, str]] = {
    "text called jpg": ("notes.jpg", b"dear diary, " * 99, "not a picture"),
    "a web page called png": ("page.png", b"<!doctype html><html></html>", "not a picture"),
    "empty": ("empty.png", b"", "not a picture"),
    "truncated jpeg": ("half.jpg", _noise("JPEG")[:-900], "damaged"),
    "truncated png": ("half.png", _noise("PNG")[:-900], "damaged"),
    "truncated gif": ("half.gif", _noise("GIF")[:-900], "damaged"),
    "truncated webp": ("half.webp", _noise("WEBP")[:-900], ""),
    "truncated tiff": ("half.tif", _noise("TIFF")[:-900], ""),
    "only a header": ("head.png", _noise("PNG")[:33], ""),
    "bomb": ("bomb.png", _png_header(100_000, 100_000), "too large"),
    "just above the limit": ("large.png", _png_header(9_460, 9_460), "too large"),
    "one very long row": ("row.png", _png_header(2**31 - 1, 1), ""),
    "photoshop": ("layers.psd", b"8BPS\0\1" + bytes(6) + b"\0\3" + struct.pack(">IIHH", 8, 8, 8, 3), "not a picture"),
    "svg": ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a picture"),
    "pdf": ("page.jpg", b"%PDF-1.7\n", "not a picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTENTS)
def test_a_bad_file_is_refused_in_two_lines(tmp_path: Path, case: str) -> None:
    name, content, problem = CONTENTS[case]
    (tmp_path / name).write_bytes(content)
    error = _refused(str(tmp_path / name))
    assert problem in error.problem


@pytest.mark.parametrize("format", ["EPS", "PPM", "PCX", "TGA", "ICO", "SGI", "DDS", "ICNS", "MSP"])
def test_a_format_off_the_list_is_refused_under_any_name(tmp_path: Path, format: str) -> None:
    """Pillow could read these, some by starting other programs."""
    Image.new("1" if format == "MSP" else "RGB", (64, 64)).save(tmp_path / "picture.png", format)
    assert "not a picture" in _refused(str(tmp_path / "picture.png")).problem


def _directory(place: Path) -> str:
    (place / "folder.jpg").mkdir()
    return str(place / "folder.jpg")


def _pipe(place: Path) -> str:
    os.mkfifo(place / "pipe.jpg")
    return str(place / "pipe.jpg")


def _loop(place: Path) -> str:
    (place / "a.jpg").symlink_to("b.jpg")
    (place / "b.jpg").symlink_to("a.jpg")
    return str(place / "a.jpg")


def _dangling(place: Path) -> str:
    (place / "link.jpg").symlink_to("gone.jpg")
    return str(place / "link.jpg")


def _closed(place: Path) -> str:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (place / "mine.jpg").write_bytes(_noise("JPEG"))
    (place / "mine.jpg").chmod(0)
    return str(place / "mine.jpg")


def _inside_a_file(place: Path) -> str:
    (place / "cat.jpg").write_bytes(b"")
    return str(place / "cat.jpg" / "cat.jpg")


PLACES: list[Callable[[Path], str]] = [
    _directory,
    _pipe,
    _loop,
    _dangling,
    _closed,
    _inside_a_file,
    lambda place: str(place / "missing.jpg"),
    lambda place: "/dev/zero",
    lambda place: str(place / "a\0b.jpg"),
    lambda place: str(place / ("x" * 300 + ".jpg")),
    lambda place: "",
    lambda place: "\ud800.jpg",  # no file system has such a name
]


@pytest.mark.parametrize("make", PLACES)
def test_what_is_no_file_is_refused_and_nothing_waits_for_it(
    tmp_path: Path, make: Callable[[Path], str]
) -> None:
    _refused(make(tmp_path))


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, **_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "mine.jpg").write_bytes(_noise("JPEG"))
    monkeypatch.setattr(Image, "open", denied)
    assert "Permission denied" in _refused(str(tmp_path / "mine.jpg")).problem


def test_the_limit_is_on_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    Image.new("L", (10, 10)).save(tmp_path / "fits.png")
    Image.new("L", (101, 1)).save(tmp_path / "long.png")
    assert decode(str(tmp_path / "fits.png")).size == (10, 10)
    assert "101x1" in _refused(str(tmp_path / "long.png")).problem


@pytest.mark.parametrize("format", READABLE)
def test_damage_anywhere_raises_nothing_else(tmp_path: Path, format: str) -> None:
    """120 files each with a few bytes changed, cut out or put in: a picture or an ImageError, never more."""
    chance = random.Random(format)
    whole = _noise(format)
    path = tmp_path / "damaged"
    refused = 0
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(min(len(damaged), chance.choice((40, 400, 10**6))))
            damaged[place : place + chance.choice((0, 1, 1, 1, 5))] = chance.randbytes(
                chance.choice((1, 1, 4))
            )
        path.write_bytes(damaged)
        try:
            assert decode(str(path)).mode == "RGB"
        except ImageError:
            refused += 1
    assert refused, "the damage did none"


def _refused(path: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(path)
    assert caught.value.problem
    assert caught.value.hint
    assert "\n" not in caught.value.problem + caught.value.hint
    assert not caught.value.stops_run
    return caught.value


def test_pillows_remarks_are_not_shown_and_bombs_are_errors(tmp_path: Path) -> None:
    """In a process of its own, as a run is: the filters are the process's."""
    nowhere = b"Exif\0\0MM\0*\0\0\0\x08\0\x09"
    Image.new("RGB", (8, 8)).save(tmp_path / "odd.jpg", exif=nowhere)
    script = """
import sys, warnings
from PIL import Image
from cnnexplain.images.decode import decode, refuse_bombs
refuse_bombs()
decode(sys.argv[1])
try:
    warnings.warn("", Image.DecompressionBombWarning)
except Image.DecompressionBombWarning:
    print("refused")
"""
    call = [sys.executable, "-c", script, str(tmp_path / "odd.jpg")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
