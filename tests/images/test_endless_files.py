"""Files and lists of any length: what is read of them is bounded before it is read."""

from __future__ import annotations

import builtins
import io
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiffs import pages, tiff

from cnnexplain.errors import ImageError, OptionError
from cnnexplain.images import cost
from cnnexplain.images import find as finding
from cnnexplain.images.decode import DecodeOptions, decode, read
from cnnexplain.images.find import ImageOptions, find

pytestmark = pytest.mark.filterwarnings("ignore")
PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


def encoded(format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, format, **({"compression": "jpeg"} if format == "TIFF" else {}))
    return stream.getvalue()


def with_tail(path: Path, content: bytes, length: int) -> str:
    """A file that takes no room on the disk beyond its content."""
    path.write_bytes(content)
    os.truncate(path, length)
    return str(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("length", [300_000_000, 1 << 40])
def test_a_small_picture_in_an_endless_file_is_refused_at_once(
    tmp_path: Path, format: str, length: int
) -> None:
    path = with_tail(tmp_path / "a", encoded(format), length)
    started = time.process_time()
    with pytest.raises(ImageError, match="too long for its picture") as caught:
        decode(path)
    assert time.process_time() - started < 1
    assert f"{length / 1e6:,.0f} MB" in caught.value.problem
    assert "save the picture again" in caught.value.hint


def texts_first(format: str) -> bytes:
    """A picture with texts before its pixels that go on to the end of the file."""
    whole = encoded(format)
    if format == "PNG":
        place = whole.index(b"IDAT") - 4
        return whole[:place] + struct.pack(">I", 0x7FFFFFFF) + b"tEXt"
    comments = (
        4000 * (b"\xff\xfe\xff\xff" + bytes(65533))
        if format == "JPEG"
        else 1_100_000 * (b"\xff" + 255 * b"a")
    )
    if format == "JPEG":
        return whole[:2] + comments + whole[2:]
    return whole[:13] + whole[13 : whole.index(b",")][:768] + b"!\xfe" + comments


@pytest.mark.timeout(60)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF"])
def test_texts_without_end_before_the_pixels_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    path = with_tail(tmp_path / "a", texts_first(format), 1 << 32)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ImageError, match=f"too long for its picture: 4,295 MB of {format} for 0.0041"):
        decode(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_of_a_sparse_tiff_no_more_is_read_than_its_picture(tmp_path: Path, kind: type) -> None:
    """Its strip lies behind three gigabytes of nothing."""
    values = PIXELS.astype(kind)
    content = bytearray(tiff(values))
    place, far = content.index(struct.pack("<HHII", 273, 4, 1, 8)), 3 << 30
    content[place : place + 12] = struct.pack("<HHII", 273, 4, 1, far)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.seek(far)
        file.write(values.tobytes())
    started = time.process_time()
    expected = (values + 128) // 257 if kind == np.uint16 else values
    assert (np.asarray(decode(str(path))) == expected).all()
    assert time.process_time() - started < 1
    os.truncate(path, 1 << 40)
    with pytest.raises(ImageError, match="too long for its picture"):
        decode(str(path))


@pytest.mark.parametrize("packing", ["strips", "tiles"])
def test_strips_that_say_that_they_are_endless_are_read_no_further_than_needed(
    tmp_path: Path, packing: str
) -> None:
    values = PIXELS[..., 0].astype(np.uint16)
    content = bytearray(tiff(values, tile=None if packing == "strips" else 64))
    counts = 279 if packing == "strips" else 325
    place = content.index(struct.pack("<HHI", counts, 4, 1))
    content[place + 8 : place + 12] = struct.pack("<I", 0xFFFFFFFF)
    path = with_tail(tmp_path / "a.tif", bytes(content), 1 << 31)
    assert decode(path).size == (64, 64)


@pytest.mark.parametrize(
    ("bands", "size", "kind", "problem"),
    [(900, (600, 600), np.float64, "too much memory"), (3, (9500, 9500), np.uint16, "too large"),
     (13, (1 << 20, 1 << 20), np.uint16, "too large")],
)  # fmt: skip
def test_a_tiff_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, bands: int, size: tuple[int, int], kind: type, problem: str
) -> None:
    small = tiff(np.zeros((1, 1, bands), kind))
    content = bytearray(small)
    for tag, side in ((256, size[0]), (257, size[1])):
        place = content.index(struct.pack("<HHI", tag, 3, 1))
        content[place : place + 12] = struct.pack("<HHII", tag, 4, 1, side)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=problem):
        read(str(tmp_path / "a.tif"), DecodeOptions(bands))


@pytest.mark.parametrize(("limit", "most"), [("MOST_BYTES", 5 * 8 * 9 * 2), ("MOST_BLOCKS", 5 * 8)])
def test_the_pages_of_one_picture_are_refused_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(pages([np.full((8, 9), page, np.uint16) for page in range(5)], rows=1))
    monkeypatch.setattr(f"cnnexplain.images.tiff.{limit}", most)
    found = read(str(path), DecodeOptions(5, range=(0, 255))).bands
    assert found is not None
    assert found[0, 0].tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr(f"cnnexplain.images.tiff.{limit}", most - 1)
    monkeypatch.setattr("cnnexplain.images.bands.blocks", None)  # no value is read
    with pytest.raises(ImageError, match="too much memory: 5 pages of 9x8 pixels with 1 band of 16 bits"):
        read(str(path), DecodeOptions(5, range=(0, 255)))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_opened_once_before_pillow_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    (tmp_path / "a").write_bytes(encoded(format))
    opened: list[object] = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *of, **how: opened.append(of[0]) or real(*of, **how))
    decode(str(tmp_path / "a"))
    assert opened == [str(tmp_path / "a")] * 2


@pytest.mark.parametrize("seed", range(6))
def test_damage_anywhere_in_a_tiff_of_bands_raises_nothing_else(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    order = "<>"[seed % 2]
    whole = tiff(
        PIXELS[:20, :30].astype(np.uint16).repeat(2, 2),
        order,
        deflate=seed > 2,
        rows=7,
        planar=seed in (1, 4),
    )
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.integers(1, 5)):
            place = int(
                chance.integers(0, len(damaged)) if chance.random() < 0.3 else chance.integers(-420, 0)
            )
            damaged[place] = int(chance.integers(0, 256))
        (tmp_path / "a.tif").write_bytes(damaged)
        try:
            assert read(str(tmp_path / "a.tif"), DecodeOptions(6)).picture.mode == "RGB"
        except ImageError:
            refused += 1
    assert refused


def test_what_a_file_may_hold_beside_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MAX_BESIDE", 1000)
    most = 1000 + cost.MAX_OF_PIXEL * 64 * 64
    assert decode(with_tail(tmp_path / "a.jpg", encoded("JPEG"), most)).size == (64, 64)
    with pytest.raises(ImageError, match="too long"):
        decode(with_tail(tmp_path / "b.jpg", encoded("JPEG"), most + 1))


@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"save_all": True}])
@pytest.mark.parametrize("size", [(1, 1), (37, 50), (16383, 3)])
def test_a_webp_tells_its_size_at_its_beginning(settings: dict[str, bool], size: tuple[int, int]) -> None:
    stream = io.BytesIO()
    others = [Image.new("RGB", size, "red")] if "save_all" in settings else []
    Image.new("RGB", size).save(stream, "WEBP", **settings, **({"append_images": others} if others else {}))
    assert cost._webp_size(stream.getvalue()[:30]) == size


class Endless(io.RawIOBase):
    """A pipe whose other end writes the same for ever."""

    def __init__(self, written: Callable[[int], bytes]) -> None:
        self.written, self.times = written, 0

    def readinto(self, buffer: bytearray) -> int:
        data = self.written(self.times)[: len(buffer)]
        self.times += 1
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True


ENDLESS = {
    "the same name": (lambda _: b"a.png\n" * 1000, False),
    "other names": (lambda turn: b"".join(b"%d.png\n" % (turn * 500 + one) for one in range(500)), False),
    "empty lines": (lambda _: b"\n" * 8192, False),
    "nothing between NULs": (lambda _: bytes(8192), True),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_list_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "MAX_NAMES", 20_000)
    written, null = ENDLESS[name]
    stream = io.BufferedReader(Endless(written))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    with pytest.raises(OptionError, match="does not end") as caught:
        find(["-"], ImageOptions(null=null))
    assert "--limit N" in caught.value.hint


def test_the_first_of_an_endless_list_can_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("7.png")
    written, _ = ENDLESS["other names"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless(written))))
    found = find([], ImageOptions(files_from=Path("-"), limit=9))
    assert [one.path for one in found] == [f"{one}.png" for one in range(9)]


@pytest.mark.parametrize("null", [False, True])
def test_a_list_without_ends_is_none(tmp_path: Path, null: bool) -> None:
    (tmp_path / "list").write_bytes(b"x" * 70_000)
    with pytest.raises(OptionError, match="is no list of names"):
        find([], ImageOptions(files_from=tmp_path / "list", null=null))


@pytest.mark.parametrize("size", [1, 3, 7, 65536])
def test_a_list_is_the_same_however_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "CHUNK", size)
    names = ["a.png", "bé.png", "c d.png"]
    for one in names:
        Image.fromarray(PIXELS).save(one)
    for content, null in (
        ("\n".join(names), False),
        ("\r\n".join([*names, "", ""]), False),
        ("\0".join(names), True),
    ):
        Path("list").write_bytes(content.encode())
        assert [one.path for one in find([], ImageOptions(files_from=Path("list"), null=null))] == names


MEASURE = """
import re
from pathlib import Path
from cnnexplain.errors import OptionError
from cnnexplain.images.find import ImageOptions, find
for null in (False, True):
    try:
        find([], ImageOptions(files_from=Path("/dev/zero"), null=null))
    except OptionError as error:
        print(error.problem)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory used at most")
@pytest.mark.timeout(60)
def test_a_device_as_a_list_costs_neither_time_nor_memory() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    first, second, megabytes = done.stdout.splitlines()
    assert re.search("without an end of the line and is no list of names", first)
    assert re.search("does not end", second)
    assert int(megabytes) < 100
