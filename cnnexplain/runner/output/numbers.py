"""The values of a picture's maps as a file that a page can read from disk, and can only read.

A page that was opened from disk may neither fetch a file nor look at the pixels of a picture. It may use a style sheet,
which cannot run anything: the values stand in one as the texts of custom properties (`--numbers-0` and so on, each no
longer than a browser bears). They are in windows-1252, in which every byte is a letter, what zlib packed; a byte that
cannot stand in a text is written as "=" and the byte 64 above it. That takes 3 % of room, where base64 takes 33 %.
What is packed:

    4 bytes, little-endian: how long the header is
    the header, JSON: where the picture itself is on every drawn one, and of every map, in the order of the record's
        entries, its shape, smallest and largest value, box on the picture and look; null for one without a place;
        of every sheet, by the name of its file, its size and the spots on it (`render/kit/spots.py`)
    of every map that has a place, (h, w) row by row: the high bytes of all levels, then the low bytes.

A level is a step from the smallest value to the largest: value = min + level * (max - min) / 65535, which is off by
half a step at most.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from cnnexplain import __version__
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.map import Heatmap
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.map import MapCards

PACKING = 1  # of 0 to 3
STEPS = 2**16 - 1
PROPERTY = 1_000_000  # bytes: a browser refuses a property of more than two million letters
_AWKWARD = b'=\0\n\f\r"\\'  # in a text; the first is what the others are written with
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def numbers_of(
    explanation: Explanation, options: RenderOptions, sheets: Mapping[str, Any] | None = None
) -> bytes | None:
    """The file for all maps of a picture, and the spots of its sheets by their files; None where there are neither."""
    maps = [heatmap if _is_shown(heatmap) else None for heatmap in explanation.heatmaps]
    if not any(maps):
        return sheets_only(sheets) if sheets else None
    cards = MapCards(explanation, options)
    header = {
        "size": explanation.geometry.picture_size,
        "original": cards.original,
        "maps": [heatmap and _described(heatmap, cards) for heatmap in maps],
        "sheets": sheets or {},
    }
    return _packed(header, (_planes(heatmap.values) for heatmap in maps if heatmap))


def sheets_only(sheets: Mapping[str, Any]) -> bytes:
    """The file for spots of sheets, by the names of these, where there are no maps."""
    return _packed({"maps": [], "sheets": sheets}, ())


def _packed(header: Mapping[str, Any], planes: Iterable[bytes]) -> bytes:
    text = _compact(header).encode()
    return style_sheet(isal_zlib.compress(b"".join((struct.pack("<I", len(text)), text, *planes)), PACKING))


def style_sheet(packed: bytes) -> bytes:
    """The file that holds these bytes as the texts of custom properties."""
    parts = [packed[start : start + PROPERTY] for start in range(0, len(packed), PROPERTY)]
    properties = b";".join(b'--numbers-%d:"%s"' % (place, _text(part)) for place, part in enumerate(parts))
    mark = b"/* cnnexplain %s: values of maps */" % __version__.encode()
    return b'@charset "windows-1252";\n%s\n:root{%s}\n' % (mark, properties)


def _text(packed: bytes) -> bytes:
    """Bytes as they may stand between quotes in a style sheet."""
    for awkward in _AWKWARD:
        packed = packed.replace(bytes((awkward,)), bytes((_AWKWARD[0], awkward + 64)))
    return packed


def levels(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The level of every value (h, w), 0 to `STEPS`: 0 for the smallest, and where all are the same."""
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    if not high > low:
        return np.zeros(values.shape, np.uint16)
    scaled: NDArray[np.uint16] = np.rint((wide - low) * (STEPS / (high - low))).astype(np.uint16)
    return scaled


def _is_shown(heatmap: Heatmap) -> bool:
    return heatmap.placed and bool(np.isfinite(heatmap.values).all())


def _described(heatmap: Heatmap, cards: MapCards) -> dict[str, Any]:
    return {
        "shape": heatmap.values.shape,
        "min": heatmap.min,
        "max": heatmap.max,
        "box": heatmap.geometry.box,
        "peak": heatmap.peak,
        **cards.look(heatmap),
    }


def _planes(values: NDArray[np.float32]) -> bytes:
    """The high bytes of all levels, then the low ones: apart they pack better."""
    both = levels(values)
    return (both >> 8).astype(np.uint8).tobytes() + both.astype(np.uint8).tobytes()
