"""Pictures out of bands: a TIFF of any number of them and any depth, and arrays from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.images.decoded import PHOTOGRAPHS, Decoded, DecodeOptions, mismatch, repeated
from cnnexplain.images.levels import Levels
from cnnexplain.images.tiff import WHITE_IS_ZERO, BandLayout, blocks, layouts, require_small

MOST_PAGES = 32  # that are looked at
MULTIPLIED = 1  # TIFF's code for an alpha that colours are multiplied by
UPRIGHT = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}  # the turn that undoes each orientation


def stored_bands(path: str, head: bytes, options: DecodeOptions) -> list[BandLayout]:
    """The pages of a TIFF that Pillow would not show in full: the first, or a page for each channel; else none.

    `head` holds the first bytes of the file.
    """
    several = options.channels not in PHOTOGRAPHS and options.channels <= MOST_PAGES
    pages = layouts(path, head, options.channels + 1 if several else 1)
    if several and len(pages) == options.channels and _alike(pages):
        return pages
    return [] if not pages or pages[0].plain else pages[:1]


def _alike(pages: Sequence[BandLayout]) -> bool:
    """Whether pages are the bands of a single picture: grey, all of the same size and kind, and no more of them."""
    kinds = {(page.size, page.dtype, page.bands, page.photometric, page.orientation) for page in pages}
    return len(kinds) == 1 and pages[0].bands == 1 and not pages[-1].following


def of_tiff(path: str, pages: Sequence[BandLayout], options: DecodeOptions) -> Decoded:
    """The picture of the pages of `stored_bands`: of 8 bits, grey or RGB, with its alpha if it has one.

    Raises `ImageError` where its bands are not the model's channels, or nobody knows what its values mean.
    """
    first = pages[0]
    stored = len(pages) * first.bands
    colours, channels = stored - first.alpha, options.channels
    visible = first.colours if stored == first.bands else 0  # bands that a person's picture is made of
    notes: tuple[str, ...] = ()
    if channels in PHOTOGRAPHS:
        visible = visible or (colours if colours == channels else 0)
        if not visible:
            raise mismatch(stored, channels)
        if colours > visible:
            notes = (
                f"Of the file's {stored} bands the first {visible} were taken, which it calls red, green and blue.",
            )
    elif channels not in (stored, colours):
        if colours != visible:
            raise mismatch(stored, channels)
        notes = (repeated(visible, channels),)
    if first.following and len(pages) == 1:
        notes += ("The first of several frames was taken.",)
    require_small(pages)
    values, note = _values(path, pages, options)
    values = np.ascontiguousarray(UPRIGHT.get(first.orientation, lambda stored: stored)(values))
    notes = (note, *notes) if note else notes
    bands = None
    if channels not in PHOTOGRAPHS and channels in (stored, colours):
        bands = values[..., :channels]
        notes += (_bands_note(stored, channels, first),)
    picture = _picture(values, visible or min(3, colours), first)
    return Decoded(picture, picture.size, bands, notes)


def _bands_note(stored: int, channels: int, layout: BandLayout) -> str:
    note = f"The file's {channels} bands are the model's channels"
    if layout.alpha and channels == stored:
        note += "; the last is not taken for transparency"
    elif layout.alpha:
        note += ", and its transparency was left out"
    if channels > 3 or layout.colours != 3:
        note += (
            "; the picture shows the first three as red, green and blue"
            if channels > 2
            else "; it shows the first"
        )
    return note + "."


def _values(path: str, pages: Sequence[BandLayout], options: DecodeOptions) -> tuple[NDArray[np.uint8], str]:
    """All bands as stored, (height, width, bands), from black 0 to white 255, and a note on how they became levels."""
    first = pages[0]
    (width, height), native = first.size, first.dtype.newbyteorder("=")
    stacked = np.empty((height, width, len(pages) * first.bands), np.uint8)
    colours = stacked.shape[2] - first.alpha
    levels = Levels(native, options.range if native != np.uint8 else None)
    opacity = Levels(native, None)
    for page, layout in enumerate(pages):
        for top, left, band, values in blocks(path, layout):
            rows, columns, depth = values.shape
            part = stacked[top : top + rows, left : left + columns, page + band : page + band + depth]
            colour_bands = max(0, colours - page - band)
            part[..., :colour_bands] = levels.of(values[..., :colour_bands])
            if colour_bands < depth:
                part[..., colour_bands:] = opacity.of(values[..., colour_bands:])
    levels.require_range(options.typed)
    if first.photometric == WHITE_IS_ZERO:
        np.subtract(255, stacked[..., :colours], out=stacked[..., :colours])
    return stacked, levels.note


def _picture(values: NDArray[np.uint8], visible: int, layout: BandLayout) -> Image.Image:
    """The first bands as a picture for people."""
    visible = 3 if visible >= 3 else 1
    drawn = values[..., :visible]
    if not layout.alpha or values.shape[2] != visible + 1:
        return Image.fromarray(np.ascontiguousarray(drawn[..., 0] if visible == 1 else drawn))
    mode = {1: "LA", 3: "RGBA"}[visible]
    if layout.extra[-1] == MULTIPLIED:
        mode = {1: "La", 3: "RGBa"}[visible]
    return Image.frombytes(mode, (values.shape[1], values.shape[0]), values.tobytes())


def of_array(values: NDArray[Any], options: DecodeOptions) -> Decoded:
    """A picture from Python: (height, width) or (height, width, bands) of bytes, integers or floats."""
    array = np.atleast_3d(values)
    bands, channels = array.shape[2], options.channels
    if bands not in (*PHOTOGRAPHS, channels) or (channels == 1 and bands not in PHOTOGRAPHS):
        raise mismatch(bands, channels)
    levels = Levels(array.dtype, options.range if array.dtype != np.uint8 else None)
    drawn = levels.of(array)
    levels.require_range(options.typed)
    notes = (levels.note,) if levels.note else ()
    picture = Image.fromarray(np.ascontiguousarray(drawn[..., :3] if bands >= 3 else drawn[..., 0]))
    decoded = Decoded(picture, picture.size, None, notes)
    if channels in PHOTOGRAPHS:
        return decoded
    if bands == channels:
        return replace(decoded, bands=drawn)
    return replace(decoded, notes=(*notes, repeated(bands, channels)))
