"""Pictures of more than 8 bits: every byte counts in its place, and which values are black and white is said."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiffs import tiff

from cnnexplain.core.preprocess import Range
from cnnexplain.errors import ImageError
from cnnexplain.images.decode import Decoded, DecodeOptions, decode, of_image, read

# Values whose two bytes differ, so that exchanged they are others: 0x8000 would be 0x0080.
WORDS = np.array([[0x0000, 0x8000, 0x00FF], [0x1234, 0xFF00, 0xFFFF]], np.uint16)
GREY = np.array([[0, 128, 1], [18, 254, 255]])


def written(folder: Path, content: bytes, name: str = "a.tif") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def grey(found: Image.Image) -> np.ndarray:
    pixels = np.asarray(found)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def png(values: np.ndarray, interlaced: bool = False) -> bytes:
    """A PNG of 16 bits (height, width, channels), whose filters are those of Paeth."""
    height, width, bands = values.shape
    rows, before = [], bytes(width * bands * 2)
    size = bands * 2
    for row in values.astype(">u2"):
        line = row.tobytes()
        coded = bytearray()
        for place, byte in enumerate(line):
            a, b, c = (
                (line[place - size] if place >= size else 0),
                before[place],
                (before[place - size] if place >= size else 0),
            )
            nearest = min((a, b, c), key=lambda one: abs(a + b - c - one))
            coded.append((byte - nearest) % 256)
        rows.append(b"\4" + coded)
        before = line
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("predictor", [False, True])
def test_words_of_either_order_of_bytes(tmp_path: Path, order: str, deflate: bool, predictor: bool) -> None:
    path = written(tmp_path, tiff(WORDS, order, deflate=deflate, predictor=predictor and deflate))
    assert (grey(decode(path)) == GREY).all()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I;16N"])
def test_words_of_every_mode_that_pillow_has(mode: str) -> None:
    order = ">" if mode.endswith("B") else "<"
    image = Image.frombytes(mode, (3, 2), WORDS.astype(f"{order}u2").tobytes())
    assert (grey(of_image(image).picture) == GREY).all()


def test_a_png_of_words(tmp_path: Path) -> None:
    found = read(written(tmp_path, png(WORDS[..., None]), "a.png"))
    assert (grey(found.picture) == GREY).all()
    assert found.notes == ("The values 0 to 65535 are black to white. The picture's run from 0 to 65535.",)


def test_white_that_is_zero_is_turned_round(tmp_path: Path) -> None:
    assert (grey(decode(written(tmp_path, tiff(WORDS, ">", photometric=0)))) == 255 - GREY).all()


KINDS = [
    "<u2",
    ">u2",
    "<i2",
    ">i2",
    "<u4",
    ">u4",
    "<i4",
    ">i4",
    "<f4",
    ">f4",
    "<f8",
    ">f8",
    "<f2",
    ">f2",
    "<i1",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [None, 16])
def test_a_range_says_what_is_black_and_white_of_every_kind(
    tmp_path: Path, kind: str, tile: int | None
) -> None:
    low, high = (-20, 100) if np.dtype(kind).kind in "if" else (10, 130)
    values = np.array([[low - 5, low, low + 30], [low + 60, high, high + 7]])
    content = tiff(values.astype(kind[1:]), kind[0], tile=tile, deflate=tile is not None)
    found = read(written(tmp_path, content), DecodeOptions(range=(low, high)))
    assert (grey(found.picture) == [[0, 0, 64], [128, 255, 255]]).all()
    (note,) = found.notes
    assert f"The values {low} to {high} are black to white, as given." in note
    assert f"run from {low - 5} to {high + 7}; what lies outside is cut off." in note


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_scaled_by_its_own_extremes(tmp_path: Path, kind: str) -> None:
    """A picture of unknown values is refused, with the range that was found, and what to type works."""
    values = np.array([[3, 7], [100, 120]]).astype(kind[1:])
    path = written(tmp_path, tiff(values, kind[0]))
    if kind[1:] == "u2":
        assert grey(decode(path)).tolist() == [[0, 0], [0, 0]]
        return
    with pytest.raises(
        ImageError, match="from 3 to 120, and nothing says which are black and white"
    ) as caught:
        decode(path)
    typed = caught.value.hint.split("--range ")[1]
    low, high = map(float, typed.split(","))
    assert low <= 3
    assert high >= 120
    read(path, DecodeOptions(range=(low, high)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_from_0_to_1_are_what_they_seem(tmp_path: Path, order: str, kind: str) -> None:
    values = np.array([[0, 0.25], [0.5, 0.75]])
    found = read(written(tmp_path, tiff(values.astype(kind), order)))
    assert grey(found.picture).tolist() == [[0, 64], [128, 191]]
    assert found.notes == ("The values 0 to 1 are black to white. The picture's run from 0 to 0.75.",)


@pytest.mark.parametrize("image", [Image.fromarray(np.full((2, 2), 1.5, np.float32)),
                                   Image.fromarray(np.full((2, 2), 70_000, np.int32)),
                                   Image.fromarray(np.full((2, 2), -1, np.int32))])  # fmt: skip
def test_pictures_of_pillow_are_not_guessed_either(image: Image.Image) -> None:
    with pytest.raises(ImageError, match="nothing says which are black and white"):
        of_image(image)
    assert of_image(image, DecodeOptions(range=(-2, 70_000))).picture.mode == "RGB"


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_that_are_no_numbers_are_black_and_told(tmp_path: Path, order: str) -> None:
    values = np.array([[0.5, np.nan], [np.inf, -np.inf]], np.float32)
    found = read(written(tmp_path, tiff(values, order)))
    assert grey(found.picture).tolist() == [[128, 0], [0, 0]]
    assert "3 are no finite numbers, and black" in found.notes[0]
    with pytest.raises(ImageError, match="no finite number"):
        decode(written(tmp_path, tiff(np.full((2, 2), np.nan, np.float32), order)))


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_the_range_holds_for_colours_of_16_bits(tmp_path: Path, bands: int) -> None:
    """Pillow keeps the upper 8 bits of these, of which 12 would be left with 4."""
    values = np.linspace(0, 4095, 5 * 4 * bands).astype(np.uint16).reshape(5, 4, bands)
    if bands in (2, 4):
        values[..., -1] = 65535  # opaque: no matter of the range
    expected = np.rint(values * (255 / 4095))[..., : 3 if bands > 2 else 1]
    alpha = [2] if bands in (2, 4) else None
    files = [written(tmp_path, png(values), "a.png")]
    files += [
        written(tmp_path, tiff(values, order, extra=alpha), f"{place}.tif")
        for place, order in enumerate("<>")
    ]
    for path in files:
        found = read(path, DecodeOptions(range=(0, 4095)))
        assert np.abs(np.asarray(found.picture) - expected).max() <= 1, path
        assert "0 to 4095" in found.notes[0]


def test_a_picture_of_12_bits_in_16_is_not_black(tmp_path: Path) -> None:
    path = written(tmp_path, tiff(np.array([[0, 2048, 4095]], np.uint16), ">"))
    assert grey(decode(path)).tolist() == [[0, 8, 16]]
    assert grey(read(path, DecodeOptions(range=(0, 4095))).picture).tolist() == [[0, 128, 255]]


def test_12_bits_that_a_file_declares_are_known(tmp_path: Path) -> None:
    data = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00])  # 0x000, 0x800, 0xFFF, and a rest
    tags = {256: 3, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 1, 279: 6}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data
    assert grey(decode(written(tmp_path, content))).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("given", [(0.0, 1000.0), None])
def test_pictures_of_8_bits_have_no_range(tmp_path: Path, given: Range | None) -> None:
    pixels = np.array([[[9, 90, 200]]], np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    found: Decoded = read(str(path), DecodeOptions(range=given))
    assert (np.asarray(found.picture) == pixels).all()
    assert found.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_stand_upright_as_others_do(tmp_path: Path, orientation: int) -> None:
    values = np.arange(6 * 4).reshape(6, 4).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / "plain.tif", exif=exif)
    deep = written(tmp_path, tiff(values.astype(np.uint16) * 257, ">", orientation=orientation))
    assert (np.asarray(decode(deep)) == np.asarray(decode(str(tmp_path / "plain.tif")))).all()


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "raw"])
def test_what_libtiff_packs_is_unpacked(tmp_path: Path, packing: str) -> None:
    values = np.random.default_rng(0).integers(0, 65535, (37, 50), np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF", compression=packing)
    found = decode(written(tmp_path, stream.getvalue()))
    assert (grey(found) == (values.astype(int) + 128) // 257).all()


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "zstd"])
@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("kind", [np.float32, np.uint16])
def test_differences_that_libtiff_writes_are_added_up(
    tmp_path: Path, packing: str, predictor: int, kind: type
) -> None:
    if predictor == 3 and kind == np.uint16:
        pytest.skip("for floats only")
    values = np.random.default_rng(0).random((37, 50)).astype(np.float32)
    stored = values if kind == np.float32 else (values * 65535).astype(np.uint16)
    Image.fromarray(stored).save(tmp_path / "a.tif", compression=packing, tiffinfo={317: predictor})
    assert np.abs(grey(decode(str(tmp_path / "a.tif"))) - np.rint(values * 255)).max() <= 1


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (
            1024,
            4095,
            "That is 12 steps of the 255 between black and white that a model is fed. --range 0,4095,",
        ),
        (
            30000,
            30100,
            "That is 1 step of the 255 between black and white that a model is fed. --range 30000,30100,",
        ),
        (0, 20000, ""),
        (777, 777, ""),
    ],
)
def test_pictures_of_which_few_levels_are_left_say_so(low: int, high: int, said: str, tmp_path: Path) -> None:
    values = np.array([[low, high]], np.uint16)
    (note,) = read(written(tmp_path, tiff(values))).notes
    assert said in note
    assert ("steps of the 255" in note or "step of the 255" in note) == bool(said)
    given = read(written(tmp_path, tiff(values)), DecodeOptions(range=(float(low), high + 1.0)))
    assert "--range" not in given.notes[0]
