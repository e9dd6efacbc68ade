"""Pictures out of bands: a TIFF of any number of them and any depth, and arrays from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.images.decoded import PHOTOGRAPHS, Decoded, Wanted, mismatch, repeated
from cnnexplain.images.levels import Levels
from cnnexplain.images.tiff import WHITE_IS_ZERO, Layout, blocks, layouts, require_small

MOST_PAGES = 32  # that are looked at
MULTIPLIED = 1  # what TIFF calls an alpha that colours are multiplied by
UPRIGHT = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}  # what undoes each orientation


def stored_bands(path: str, head: bytes, wanted: Wanted) -> list[Layout]:
    """The pages of a TIFF that only its bands tell rightly: one, or as many as are channels; else none.

    `head` is what the file begins with.
    """
    several = wanted.channels not in PHOTOGRAPHS and wanted.channels <= MOST_PAGES
    pages = layouts(path, head, wanted.channels + 1 if several else 1)
    if several and len(pages) == wanted.channels and _alike(pages):
        return pages
    return [] if not pages or pages[0].plain else pages[:1]


def _alike(pages: Sequence[Layout]) -> bool:
    """Whether pages are the bands of one picture: grey, of one size and kind, and no more of them."""
    kinds = {(one.size, one.dtype, one.bands, one.photometric, one.orientation) for one in pages}
    return len(kinds) == 1 and pages[0].bands == 1 and not pages[-1].following


def of_tiff(path: str, pages: Sequence[Layout], wanted: Wanted) -> Decoded:
    """The picture of such pages. It is of 8 bits, grey or RGB, with its alpha if it has one.

    Raises `ImageError` where its bands are not the model's channels, or nobody knows what its values mean.
    """
    first = pages[0]
    stored = len(pages) * first.bands
    colours, channels = stored - first.alpha, wanted.channels
    shown = first.colours if stored == first.bands else 0  # bands that a person's picture is made of
    notes: tuple[str, ...] = ()
    if channels in PHOTOGRAPHS:
        shown = shown or (colours if colours == channels else 0)
        if not shown:
            raise mismatch(stored, channels)
        if colours > shown:
            notes = (
                f"Of the file's {stored} bands the first {shown} were taken, which it calls red, green and blue.",
            )
    elif channels not in (stored, colours):
        if colours != shown:
            raise mismatch(stored, channels)
        notes = (repeated(shown, channels),)
    if first.following and len(pages) == 1:
        notes += ("The first of several frames was taken.",)
    require_small(pages)
    values, note = _values(path, pages, wanted)
    values = np.ascontiguousarray(UPRIGHT.get(first.orientation, lambda stored: stored)(values))
    notes = (note, *notes) if note else notes
    bands = None
    if channels not in PHOTOGRAPHS and channels in (stored, colours):
        bands = values[..., :channels]
        notes += (_told(stored, channels, first),)
    picture = _picture(values, shown or min(3, colours), first)
    return Decoded(picture, picture.size, bands, notes)


def _told(stored: int, channels: int, layout: Layout) -> str:
    said = f"The file's {channels} bands are the model's channels"
    if layout.alpha and channels == stored:
        said += "; the last is not taken for transparency"
    elif layout.alpha:
        said += ", and its transparency was left out"
    if channels > 3 or layout.colours != 3:
        said += (
            "; the picture shows the first three as red, green and blue"
            if channels > 2
            else "; it shows the first"
        )
    return said + "."


def _values(path: str, pages: Sequence[Layout], wanted: Wanted) -> tuple[NDArray[np.uint8], str]:
    """All bands, (height, width, bands), black 0 and white 255, as they lie in the file; and what was made of them."""
    first = pages[0]
    (width, height), native = first.size, first.dtype.newbyteorder("=")
    whole = np.empty((height, width, len(pages) * first.bands), np.uint8)
    colours = whole.shape[2] - first.alpha
    levels = Levels(native, wanted.range if native != np.uint8 else None)
    opacity = Levels(native, None)
    for page, layout in enumerate(pages):
        for top, left, band, values in blocks(path, layout):
            rows, columns, depth = values.shape
            part = whole[top : top + rows, left : left + columns, page + band : page + band + depth]
            known = max(0, colours - page - band)
            part[..., :known] = levels.of(values[..., :known])
            if known < depth:
                part[..., known:] = opacity.of(values[..., known:])
    levels.require_known(wanted.typed)
    if first.photometric == WHITE_IS_ZERO:
        np.subtract(255, whole[..., :colours], out=whole[..., :colours])
    return whole, levels.note


def _picture(values: NDArray[np.uint8], shown: int, layout: Layout) -> Image.Image:
    """The first bands as a person's picture."""
    shown = 3 if shown >= 3 else 1
    drawn = values[..., :shown]
    if not layout.alpha or values.shape[2] != shown + 1:
        return Image.fromarray(np.ascontiguousarray(drawn[..., 0] if shown == 1 else drawn))
    mode = {1: "LA", 3: "RGBA"}[shown]
    if layout.extra[-1] == MULTIPLIED:
        mode = {1: "La", 3: "RGBa"}[shown]
    return Image.frombytes(mode, (values.shape[1], values.shape[0]), values.tobytes())


def of_array(values: NDArray[Any], wanted: Wanted) -> Decoded:
    """A picture from Python: (height, width) or (height, width, bands) of bytes, integers or floats."""
    given = np.atleast_3d(values)
    bands, channels = given.shape[2], wanted.channels
    if bands not in (*PHOTOGRAPHS, channels) or (channels == 1 and bands not in PHOTOGRAPHS):
        raise mismatch(bands, channels)
    levels = Levels(given.dtype, wanted.range if given.dtype != np.uint8 else None)
    drawn = levels.of(given)
    levels.require_known(wanted.typed)
    notes = (levels.note,) if levels.note else ()
    picture = Image.fromarray(np.ascontiguousarray(drawn[..., :3] if bands >= 3 else drawn[..., 0]))
    found = Decoded(picture, picture.size, None, notes)
    if channels in PHOTOGRAPHS:
        return found
    if bands == channels:
        return replace(found, bands=drawn)
    return replace(found, notes=(*notes, repeated(bands, channels)))
