"""From a file to the RGB picture that a person sees. Files come from strangers."""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from cnnexplain.errors import ImageError, first_line
from cnnexplain.images.cost import require_cheap, require_short, require_short_by_head
from cnnexplain.images.decoded import PHOTOGRAPHS, Decoded, DecodeOptions, repeated
from cnnexplain.images.levels import Levels

# An allowlist: Pillow's rarer readers are slow, memory-hungry, or start other programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF")  # MPO is read as JPEG
MAX_PIXELS = 89_478_485  # above this Pillow warns of a decompression bomb
PIXELS_AT_ONCE = 1 << 22
HEAD = 32  # bytes that show the kind of a file, and a WebP's size
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # the turn that undoes each EXIF orientation
LYING = tuple(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))  # these swap the sides
STRAIGHT = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # modes, and those that have the bands by themselves
# Pillow gives the lower bytes of a PNG of 16 bits when they are declared as stored the other way round.
LOWER_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}
REDUCED = ("JPEG", "MPO")  # formats that can be decoded at a part of their size


def decode(path: str) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white.

    Raises `ImageError` for whatever cannot be read, and for more than `MAX_PIXELS` pixels.
    """
    return read(path).picture


def read(path: str, options: DecodeOptions = DecodeOptions()) -> Decoded:  # noqa: B008 - frozen
    """The picture as a person sees it and, where they match, as the channels of a model. Raises `ImageError`.

    With `sides`, a JPEG that is at least twice as large as needed comes out at a half, a quarter or an eighth, which
    takes about half of the time; others come out whole.
    """
    _require_regular_file(path)
    with _problems_named():
        with open(path, "rb") as file:
            head = file.read(HEAD)
        if head[:2] in (b"II", b"MM"):
            from cnnexplain.images import bands  # most pictures are no TIFFs

            if pages := bands.stored_bands(path, head, options):
                width, height = pages[0].size
                _require_size(width, height)
                require_short(path, width * height, "TIFF", paged=True)
                return _seen(bands.of_tiff(path, pages, options))
        require_short_by_head(path, head)
        with Image.open(path, formats=FORMATS) as image:
            _require_size(*image.size)
            require_cheap(image, path)
            levels = _deep_colours(image, path, options)
            return _of_image(image, options) if levels is None else levels


def of_image(image: Image.Image, options: DecodeOptions = DecodeOptions()) -> Decoded:  # noqa: B008 - frozen
    """A picture that the caller has opened, decoded as `read` decodes a file. Raises `ImageError`."""
    with _problems_named():
        return _of_image(image, replace(options, sides=None))


def of_array(values: NDArray[Any], options: DecodeOptions = DecodeOptions()) -> Decoded:  # noqa: B008 - frozen
    """The picture of an array, (height, width) or (height, width, bands), without alpha. Raises `ImageError`."""
    from cnnexplain.images import bands

    with _problems_named():
        return _seen(bands.of_array(values, options))


def _of_image(image: Image.Image, options: DecodeOptions) -> Decoded:
    notes, size = _frames(image), image.size
    if options.sides is not None and image.format in REDUCED:
        shorter, longer = options.sides
        times = int(min(min(size) / shorter, max(size) / longer))
        if times > 1:
            image.draft(None, (size[0] // times, size[1] // times))
    reduced = image.size != size
    if reduced and _turn(image) in LYING:
        size = (size[1], size[0])
    bits = _bits(image)
    image = _upright(image)
    if not reduced:
        size = image.size
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image)  # of the type and the order of bytes that the mode has
        levels = Levels(values.dtype.newbyteorder("="), options.range, bits if image.mode != "F" else None)
        image = Image.fromarray(levels.of(values))
        levels.require_range(options.typed)
        notes += (levels.note,)
    channels = None
    if options.channels not in PHOTOGRAPHS:
        channels, note = _bands(image, options.channels)
        notes += (note,)
    return Decoded(_to_rgb(image), size, channels, notes)


def _bands(image: Image.Image, channels: int) -> tuple[NDArray[np.uint8] | None, str]:
    """A picture's bands where there are as many as the model has channels, and a note on them."""
    mode = STRAIGHT.get(image.mode, image.mode)
    if mode == "P" and image.has_transparency_data:
        mode = "RGBA"
    if Image.getmodebands(mode) == channels:
        names = ", ".join(Image.getmodebandnames(mode))
        values = np.asarray(image if image.mode == mode else image.convert(mode))
        alpha = " The last is not taken for transparency." if mode in ("LA", "RGBA") else ""
        return values, f"The picture's bands ({names}) are the model's {channels} channels.{alpha}"
    return None, repeated(1 if image.mode in ("1", "L", "LA") else 3, channels)


def _frames(image: Image.Image) -> tuple[str, ...]:
    """A note on the frame that is taken, where there are several. (Further frames of an MPO repeat the photograph.)"""
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception:  # noqa: BLE001 - of a GIF, whose second frame may be damaged: the first need not be
        several = True
    if not several:
        return ()
    if image.tell():  # by somebody who opened the picture
        return (f"Frame {image.tell() + 1} was taken.",)
    if getattr(image, "default_image", False):
        return ("The PNG's default image was taken, which programs that play its animation do not show.",)
    return ("The first of several frames was taken.",)


def _bits(image: Image.Image) -> int | None:
    """How many bits of a deep picture's values are used, where its file declares it."""
    bits = getattr(image, "tag_v2", {}).get(258)
    return int(bits[0]) if isinstance(bits, tuple) and bits and bits[0] in (12, 16, 32) else None


def _deep_colours(image: ImageFile.ImageFile, path: str, options: DecodeOptions) -> Decoded | None:
    """Colours of 16 bits of a PNG by the wanted range, where there is one; Pillow itself keeps the upper 8."""
    raw = image.tile[0].args if image.format == "PNG" and image.tile else None
    if options.range is None or not isinstance(raw, str) or raw not in LOWER_BYTES:
        return None
    notes = _frames(image)
    with Image.open(path, formats=("PNG",)) as again:
        again.tile = [tile._replace(args=LOWER_BYTES[raw]) for tile in again.tile]
        lower = _upright(again)
    upper = None if raw == "LA;16B" else _upright(image)
    depth = Image.getmodebands(raw.partition(";")[0])
    colours = depth - (depth % 2 == 0)
    levels = Levels(np.dtype(np.uint16), options.range)
    drawn = np.empty((lower.height, lower.width, depth), np.uint8)
    rows = max(1, PIXELS_AT_ONCE // lower.width)
    for top in range(0, lower.height, rows):
        box = (0, top, lower.width, min(top + rows, lower.height))
        low = np.asarray(lower.crop(box)).astype(np.uint16)
        if upper is None:  # both bytes of grey, then both of alpha
            values = low[..., 0::2] << 8 | low[..., 1::2]
        else:
            values = np.asarray(upper.crop(box)).astype(np.uint16) << 8 | low
        part = drawn[top : top + rows]
        part[..., :colours] = levels.of(values[..., :colours])
        part[..., colours:] = values[..., colours:] >> 8
    decoded = _of_image(Image.fromarray(drawn), options)
    return replace(decoded, notes=(*notes, levels.note, *decoded.notes))


def _require_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{width}x{height} pixels")


def _seen(decoded: Decoded) -> Decoded:
    """`decoded` with its picture as a person sees it, in RGB."""
    return replace(decoded, picture=_to_rgb(decoded.picture))


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
    """An upright picture of 8 bits as a viewer shows it: transparency laid on white."""
    return _on_white(image) if image.has_transparency_data else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """A picture with transparent parts on white; a part at a time, since it takes three copies on the way."""
    canvas = Image.new("RGB", image.size)
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgba = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        canvas.paste(Image.alpha_composite(white, rgba).convert("RGB"), (0, top))
    return canvas


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says. A broken EXIF block costs the turn, not the picture."""
    name = getattr(image, "filename", "")
    if image.format == "TIFF":
        # Else Pillow 13.0 maps the file into memory, and where it is to be turned takes its height for its width.
        image.filename = ""  # type: ignore[attr-defined]
    try:
        image.load()  # a TIFF is turned here, by Pillow
    finally:
        if image.format == "TIFF":
            image.filename = name  # type: ignore[attr-defined]
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - from a stranger's bytes, nearly anything
        return None


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
