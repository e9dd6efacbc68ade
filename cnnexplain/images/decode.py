"""From a file to the RGB picture that a person sees. Files come from strangers."""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cnnexplain.errors import ImageError, first_line
from cnnexplain.images.cost import require_cheap

# An allowlist: Pillow's rarer readers are slow, memory-hungry, or start other programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF")  # MPO is read as JPEG
MAX_PIXELS = 89_478_485  # above this Pillow warns of a decompression bomb
PIXELS_AT_ONCE = 1 << 22
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what undoes each EXIF orientation
LYING = tuple(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))  # these swap the sides
REDUCED = ("JPEG", "MPO")  # what can be decoded at a part of its size


def decode(path: str) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white.

    Raises `ImageError` for whatever cannot be read, and for more than `MAX_PIXELS` pixels.
    """
    with _opened(path) as image:
        return _to_rgb(image)


def decode_reduced(path: str, shorter: int, longer: int) -> tuple[Image.Image, tuple[int, int]]:
    """The same where no more is needed than a shorter and a longer side, and the size that the whole picture has.

    A JPEG that is at least twice as large comes out at a half, a quarter or an eighth, which takes about half of the
    time; others come out whole.
    """
    with _opened(path) as image:
        size = image.size
        times = int(min(min(size) / shorter, max(size) / longer))
        if image.format in REDUCED and times > 1:
            image.draft(None, (size[0] // times, size[1] // times))
        reduced = image.size != size
        picture = _to_rgb(image)
        if not reduced:
            return picture, picture.size
        return picture, size if _turn(image) not in LYING else (size[1], size[0])


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    _require_regular_file(path)
    with _problems_named(), Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels")
        require_cheap(image, path)
        yield image


def to_rgb(image: Image.Image) -> Image.Image:
    """The same for a picture that was opened by somebody else."""
    with _problems_named():
        return _to_rgb(image)


@contextmanager
def _problems_named() -> Iterator[None]:
    """Turn whatever a decoder raises into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"the picture is too large to be safe: {error}",
            f"make it smaller than {MAX_PIXELS / 1e6:.0f} megapixels",
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            "this is not a picture that can be read", "save it as JPEG, PNG, GIF, BMP, WebP or TIFF"
        ) from error
    except Exception as error:
        # A damaged file makes decoders raise nearly anything; it must cost its own picture only.
        raise ImageError(
            f"the picture is damaged: {str(error).strip() or type(error).__name__}",
            "save or download it again",
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """The RGB picture that a viewer shows: upright, 16 bits scaled to 8, transparency laid on white."""
    image = _upright(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """A picture with transparent parts on white; a part at a time, since it takes three copies on the way."""
    whole = Image.new("RGB", image.size)
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgba = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        whole.paste(Image.alpha_composite(white, rgba).convert("RGB"), (0, top))
    return whole


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says. A broken EXIF block costs the turn, not the picture."""
    image.load()  # a TIFF is turned here, by Pillow
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - from a stranger's bytes, nearly anything
        return None


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: 16-bit values by their full range, others by their own."""
    values = np.asarray(image)
    if values.dtype.itemsize == 2:
        return Image.fromarray(((values.view(np.uint16).astype(np.uint32) + 128) // 257).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), copy=False, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0 if high > 255 else 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values -= low
    values *= 255 / ((high - low) or 1)
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _require_regular_file(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise ImageError("there is no such file", "check the name") from error
    except (OSError, ValueError) as error:
        raise ImageError(
            f"the file cannot be read: {first_line(error)}", "check its name and permissions"
        ) from error
    if not stat.S_ISREG(mode):
        # A pipe or a device would keep the run waiting for ever.
        raise ImageError("this is not a regular file", "name a picture file")


def refuse_bombs() -> None:
    """For the whole process: Pillow's warning about bombs is an error, its remarks on odd metadata are dropped."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
