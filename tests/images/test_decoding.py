"""Whatever a picture is stored as, what comes out is the RGB picture that a person sees."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexplain.images.decode import decode, of_image

Look = Callable[[Image.Image], np.ndarray]
EXACT, LOSSY = 1, 8


@pytest.mark.parametrize(
    ("mode", "suffix", "slack"),
    [
        ("RGB", ".png", EXACT),
        ("RGB", ".bmp", EXACT),
        ("RGB", ".gif", EXACT),
        ("RGB", ".tif", EXACT),
        ("RGB", ".jpg", LOSSY),
        ("RGB", ".webp", LOSSY),
        ("RGBX", ".tif", EXACT),
        ("RGBA", ".png", EXACT),
        ("RGBA", ".tif", EXACT),
        ("P", ".png", EXACT),
        ("P", ".bmp", EXACT),
        ("P", ".tif", EXACT),
        ("PA", ".tif", EXACT),
        ("CMYK", ".tif", EXACT),
        ("CMYK", ".jpg", LOSSY),
        ("YCbCr", ".jpg", LOSSY),
        ("YCbCr", ".tif", 3),
        ("LAB", ".tif", 4),
    ],
)
def test_a_coloured_file_of_any_mode_shows_its_colours(
    tmp_path: Path, quarters: Image.Image, corners: Look, mode: str, suffix: str, slack: int
) -> None:
    path = tmp_path / f"picture{suffix}"
    _in_mode(quarters, mode).save(path, quality=95)
    picture = decode(str(path))
    assert (picture.mode, picture.size) == ("RGB", quarters.size)
    assert np.abs(corners(picture) - corners(quarters)).max() <= slack


def test_a_cmyk_jpeg_is_stored_inverted_as_photoshop_does(tmp_path: Path, quarters: Image.Image) -> None:
    quarters.convert("CMYK").save(tmp_path / "ink.jpg")
    assert b"Adobe" in (tmp_path / "ink.jpg").read_bytes()[:64], "or the test above proves nothing"


@pytest.mark.parametrize("mode", ["RGBa", "HSV", "YCbCr", "LAB", "PA", "CMYK"])
def test_a_coloured_picture_in_memory_shows_its_colours(
    quarters: Image.Image, corners: Look, mode: str
) -> None:
    assert np.abs(corners(of_image(_in_mode(quarters, mode)).picture) - corners(quarters)).max() <= 4


GREY = np.array([[0, 80], [160, 255]])


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        pytest.param(lambda grey: Image.fromarray(grey.astype(np.uint8)), ".png", id="L"),
        pytest.param(lambda grey: Image.fromarray(grey.astype(np.uint8)).convert("LA"), ".png", id="LA"),
        pytest.param(lambda grey: Image.fromarray((grey * 257).astype("<u2")), ".png", id="I;16 PNG"),
        pytest.param(lambda grey: Image.fromarray((grey * 257).astype("<u2")), ".tif", id="I;16 little"),
        pytest.param(lambda grey: Image.fromarray((grey * 257).astype(">u2")), ".tif", id="I;16 big"),
        pytest.param(lambda grey: Image.fromarray((grey / 255).astype(np.float32)), ".tif", id="F, 0 to 1"),
    ],
)  # fmt: skip
def test_grey_of_any_depth_spans_black_to_white(
    tmp_path: Path, corners: Look, make: Callable[[np.ndarray], Image.Image], suffix: str
) -> None:
    path = tmp_path / f"grey{suffix}"
    make(GREY.repeat(8, axis=0).repeat(8, axis=1)).save(path)
    assert np.abs(corners(decode(str(path))) - GREY.reshape(4, 1)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit_is_black_and_white(tmp_path: Path, corners: Look, suffix: str) -> None:
    bits = np.array([[0, 255], [255, 0]], np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    Image.fromarray(bits).convert("1").save(tmp_path / f"bits{suffix}")
    assert corners(decode(str(tmp_path / f"bits{suffix}")))[:, 0].tolist() == [0, 255, 255, 0]


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 2000, np.uint16)).save(tmp_path / "night.png")
    assert decode(str(tmp_path / "night.png")).getpixel((0, 0)) == (8, 8, 8)


def test_values_that_are_no_numbers_are_black() -> None:
    values = np.array([[0, 1], [np.nan, np.inf]], np.float32)
    assert np.asarray(of_image(Image.fromarray(values)).picture)[..., 0].tolist() == [[0, 255], [0, 0]]


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        pytest.param(lambda rgb: _with_alpha(rgb, "RGBA"), ".png", id="RGBA"),
        pytest.param(lambda rgb: _with_alpha(rgb, "RGBA"), ".webp", id="WebP"),
        pytest.param(lambda rgb: _with_alpha(rgb, "RGBA"), ".gif", id="GIF"),
        pytest.param(lambda rgb: _with_alpha(rgb.convert("L").convert("RGB"), "LA"), ".png", id="LA"),
        pytest.param(lambda rgb: rgb.quantize(8), ".png", id="P, one index"),
        pytest.param(lambda rgb: rgb.quantize(8), ".png", id="P, bytes"),
        pytest.param(lambda rgb: rgb, ".png", id="RGB, one colour"),
    ],
)
def test_what_is_transparent_is_white(
    tmp_path: Path, quarters: Image.Image, corners: Look, make: Callable, suffix: str, request
) -> None:
    """The red quarter is seen through, whatever colour is stored beneath."""
    image = make(quarters)
    options = {"lossless": True} if suffix == ".webp" else {}
    if "index" in request.node.name:
        options["transparency"] = image.getpixel((0, 0))
    if "bytes" in request.node.name:
        options["transparency"] = bytes(0 if one == image.getpixel((0, 0)) else 255 for one in range(256))
    if "one colour" in request.node.name:
        options["transparency"] = quarters.getpixel((0, 0))
    image.save(tmp_path / f"glass{suffix}", **options)
    found = corners(decode(str(tmp_path / f"glass{suffix}")))
    assert found[0].tolist() == [255, 255, 255]
    opaque = quarters.convert("L").convert("RGB") if "LA" in request.node.name else quarters
    assert np.abs(found[1:] - corners(opaque)[1:]).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_what_is_half_transparent_is_mixed_with_white(mode: str) -> None:
    straight = {"RGBa": "RGBA", "La": "LA"}.get(mode, mode)
    black = {"RGBA": (0, 0, 0, 128), "LA": (0, 128), "PA": (0, 128)}[straight]
    image = Image.new(straight, (2, 2), black)
    if mode == "PA":
        image.putpalette([0, 0, 0] * 256)
    assert of_image(image.convert(mode)).picture.getpixel((0, 0)) == (127, 127, 127)


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    # By the standard: which sides of the picture that a person sees are the first row and the first column.
    1: lambda seen: seen,  # top, left
    2: lambda seen: seen[:, ::-1],  # top, right
    3: lambda seen: seen[::-1, ::-1],  # bottom, right
    4: lambda seen: seen[::-1],  # bottom, left
    5: lambda seen: seen.swapaxes(0, 1),  # left, top
    6: lambda seen: seen.swapaxes(0, 1)[::-1],  # right, top
    7: lambda seen: seen.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
    8: lambda seen: seen.swapaxes(0, 1)[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_stands_upright(
    tmp_path: Path, quarters: Image.Image, corners: Look, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    stored = STORED[orientation](np.asarray(quarters))
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
    picture = decode(str(path))
    assert picture.size == quarters.size
    assert np.abs(corners(picture) - corners(quarters)).max() <= LOSSY
    with Image.open(path) as opened:
        assert of_image(opened).picture.tobytes() == picture.tobytes(), "a picture from Python is no other"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "RGB"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_tiff_of_any_mode_stands_upright(
    tmp_path: Path, mode: str, compression: str, orientation: int
) -> None:
    """Pillow reads some of them by another way, in which the sides of those that lie are mixed up."""
    pixels = np.random.default_rng(0).integers(0, 255, (7, 11, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.tif"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels)))
    stored = stored.quantize(256) if mode == "P" else stored.convert(mode)
    stored.save(path, exif=exif, compression=compression)
    colours = np.asarray(stored.convert("RGB"))
    places = np.arange(77).reshape(7, 11)
    # Where every pixel of the picture that a person sees is stored.
    origins = STORED[orientation](places).ravel().argsort()
    assert (np.asarray(decode(str(path))).reshape(-1, 3) == colours.reshape(-1, 3)[origins]).all()
    with Image.open(path) as opened:
        assert of_image(opened).picture.tobytes() == decode(str(path)).tobytes()
        assert opened.filename == str(path)


ORIENTED = b"MM\0*\0\0\0\x08\0\x01\x01\x12"  # one entry, the orientation


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"garbage", id="no header"),
        pytest.param(b"MM\0*\xff\xff\xff\xff", id="points nowhere"),
        pytest.param(ORIENTED + b"\0\3\0\0\0\1\0\x63" + bytes(6), id="orientation 99"),
        pytest.param(ORIENTED + b"\0\2\0\0\0\3ab" + bytes(6), id="orientation ab"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_exif_block_does_not_cost_the_picture(
    tmp_path: Path, quarters: Image.Image, corners: Look, exif: bytes, suffix: str
) -> None:
    quarters.save(tmp_path / f"odd{suffix}", exif=b"Exif\0\0" + exif, quality=95)
    picture = decode(str(tmp_path / f"odd{suffix}"))
    assert np.abs(corners(picture) - corners(quarters)).max() <= LOSSY


@pytest.mark.parametrize(
    ("format", "suffix"),
    [("GIF", ".gif"), ("WEBP", ".webp"), ("PNG", ".png"), ("TIFF", ".tif"), ("MPO", ".jpg")],
)
def test_of_several_frames_the_first_is_shown(
    tmp_path: Path, quarters: Image.Image, corners: Look, format: str, suffix: str
) -> None:
    others = [Image.new("RGB", quarters.size, colour) for colour in ("black", "yellow")]
    path = tmp_path / f"film{suffix}"
    quarters.save(path, format, save_all=True, append_images=others, quality=95)
    with Image.open(path) as opened:
        assert opened.format == format
        assert opened.n_frames == 3
    assert np.abs(corners(decode(str(path))) - corners(quarters)).max() <= LOSSY


@pytest.mark.parametrize(
    "name", [b"new\nline.png", b"\xff\xfe.png", "❄ é.png".encode(), b"no suffix", b"-x.png"]
)
def test_any_name_will_do(tmp_path: Path, quarters: Image.Image, name: bytes) -> None:
    path = os.path.join(tmp_path, os.fsdecode(name))
    quarters.save(path, "PNG")
    assert decode(path).tobytes() == quarters.tobytes()


def _in_mode(rgb: Image.Image, mode: str) -> Image.Image:
    if mode in ("P", "PA"):
        indexed = rgb.quantize(8, method=Image.Quantize.MEDIANCUT)
        return indexed if mode == "P" else indexed.convert("PA")
    if mode == "RGBa":
        return rgb.convert("RGBA").convert("RGBa")
    if mode == "LAB":
        from PIL import ImageCms

        profiles = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
        return ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB")
    return rgb.convert(mode)


def _with_alpha(rgb: Image.Image, mode: str) -> Image.Image:
    alpha = np.full(rgb.size[::-1], 255, np.uint8)
    alpha[: rgb.height // 2, : rgb.width // 2] = 0
    with_alpha = rgb.convert("RGBA")
    with_alpha.putalpha(Image.fromarray(alpha))
    return with_alpha.convert(mode)
