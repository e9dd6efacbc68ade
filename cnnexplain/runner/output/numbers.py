"""The values of a picture's maps as a file that a page can read from disk, and can only read.

A page that was opened from disk may neither fetch a file nor look at the pixels of a picture. It may use a style sheet,
which cannot run anything: the values stand in one as the text of a custom property, base64 of what zlib has packed,

    4 bytes, little-endian: how long the header is
    the header, JSON: where the picture itself is on every drawn one, and of every map, in the order of the record's
        entries, its shape, smallest and largest value, box on the picture and look; null for one without a place
    of every map that has a place, (h, w) row by row: of 16 bits the high bytes of all levels, then the low bytes; of 12
        bits the high 8 bits of all, then the low 4, two in a byte, the first in its upper half.

A level is a step from the smallest value to the largest: value = min + level * (max - min) / (2 ** bits - 1), which is
off by half a step at most. Maps of layers have 16 bits. Those of pixels have 12: the lowest bits of so many values
cannot be packed, and would make the file half as large again.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from cnnexplain import __version__
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.map import Heatmap
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.map import MapCards

FEW = 64 * 64  # cells: so many have all 16 bits
PACKING = 1  # of 0 to 3
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def numbers_of(explanation: Explanation, options: RenderOptions) -> bytes | None:
    """The file for all maps of a picture; None where none has a place on it."""
    maps = [heatmap if _is_shown(heatmap) else None for heatmap in explanation.heatmaps]
    if not any(maps):
        return None
    cards = MapCards(explanation, options)
    header = {
        "size": explanation.geometry.picture_size,
        "original": cards.original,
        "maps": [heatmap and _described(heatmap, cards) for heatmap in maps],
    }
    text = _compact(header).encode()
    planes = (_planes(heatmap.values) for heatmap in maps if heatmap)
    packed = isal_zlib.compress(b"".join((struct.pack("<I", len(text)), text, *planes)), PACKING)
    return b'/* cnnexplain %s: values of maps */\n:root{--numbers:"%s"}\n' % (
        __version__.encode(),
        base64.b64encode(packed),
    )


def bits_of(values: NDArray[np.float32]) -> int:
    """How finely a map (h, w) is written."""
    return 16 if values.size <= FEW else 12


def levels(values: NDArray[np.float32], bits: int) -> NDArray[np.uint16]:
    """The level of every value (h, w), 0 to 2 ** bits - 1: 0 for the smallest, and where all are the same."""
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    if not high > low:
        return np.zeros(values.shape, np.uint16)
    scaled: NDArray[np.uint16] = np.rint((wide - low) * ((2**bits - 1) / (high - low))).astype(np.uint16)
    return scaled


def _is_shown(heatmap: Heatmap) -> bool:
    return heatmap.placed and bool(np.isfinite(heatmap.values).all())


def _described(heatmap: Heatmap, cards: MapCards) -> dict[str, Any]:
    return {
        "shape": heatmap.values.shape,
        "min": heatmap.min,
        "max": heatmap.max,
        "bits": bits_of(heatmap.values),
        "box": heatmap.geometry.box,
        "peak": heatmap.peak,
        **cards.look(heatmap),
    }


def _planes(values: NDArray[np.float32]) -> bytes:
    """The high bits of all levels, then the low ones: apart they pack better."""
    bits = bits_of(values)
    both = levels(values, bits).ravel()
    high, low = (both >> (bits - 8)).astype(np.uint8), both.astype(np.uint8)
    if bits == 16:
        return high.tobytes() + low.tobytes()
    pairs = np.append(low & 15, np.zeros(low.size % 2, np.uint8)).reshape(-1, 2)
    return high.tobytes() + ((pairs[:, 0] << 4) | pairs[:, 1]).tobytes()
