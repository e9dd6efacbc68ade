"""TIFF files written byte by byte, of any number of bands, depth and order of bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(
    values: np.ndarray,
    order: str = "<",
    *,
    photometric: int | None = None,
    extra: Sequence[int] | None = None,
    planar: bool = False,
    deflate: bool = False,
    predictor: bool = False,
    rows: int | None = None,
    tile: int | None = None,
    orientation: int = 1,
    big: bool = False,
) -> bytes:
    """A TIFF of values (height, width) or (height, width, bands), in strips of `rows` or tiles of `tile` a side.

    `extra` is what the bands beyond grey or RGB are said to be: 0 unspecified, 1 and 2 alpha; None says nothing.
    """
    return pages([np.atleast_3d(values)], order, photometric=photometric, extra=extra, planar=planar, deflate=deflate,
                 predictor=predictor, rows=rows, tile=tile, orientation=orientation, big=big)  # fmt: skip


def pages(
    frames: Sequence[np.ndarray],
    order: str = "<",
    *,
    photometric: int | None = None,
    extra: Sequence[int] | None = None,
    planar: bool = False,
    deflate: bool = False,
    predictor: bool = False,
    rows: int | None = None,
    tile: int | None = None,
    orientation: int = 1,
    big: bool = False,
) -> bytes:
    """The same of several pages."""
    offset, count = ("Q", "Q") if big else ("I", "H")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HH", 8, 0) if big else b""
    content = head + bytes(struct.calcsize(offset))
    link = len(head)  # where the place of the next page is to be written
    for frame in map(np.atleast_3d, frames):
        height, width, bands = frame.shape
        stored = frame.astype(frame.dtype.newbyteorder(order))
        planes = np.split(stored, bands, axis=2) if planar else [stored]
        parts = []
        for plane in planes:
            if tile is not None:
                across, down = -(-width // tile) * tile, -(-height // tile) * tile
                padded = np.pad(plane, ((0, down - height), (0, across - width), (0, 0)))
                parts += [
                    padded[y : y + tile, x : x + tile]
                    for y in range(0, down, tile)
                    for x in range(0, across, tile)
                ]
            else:
                parts += [plane[y : y + (rows or height)] for y in range(0, height, rows or height)]
        packed = [_packed(part, order, deflate=deflate, predictor=predictor) for part in parts]
        offsets, place = [], len(content)
        for part in packed:
            offsets.append(place)
            place += len(part)
        content += b"".join(packed)
        counts = [len(part) for part in packed]
        tags = {
            256: [width], 257: [height], 258: [frame.dtype.itemsize * 8] * bands, 259: [8 if deflate else 1],
            262: [photometric if photometric is not None else 2 if bands >= 3 else 1], 274: [orientation],
            277: [bands], 284: [2 if planar else 1], 317: [2 if predictor else 1],
            339: [FORMATS[frame.dtype.kind]] * bands,
        }  # fmt: skip
        if extra is not None:
            tags[338] = list(extra)
        if tile is not None:
            tags |= {322: [tile], 323: [tile], 324: offsets, 325: counts}
        else:
            tags |= {273: offsets, 278: [rows or height], 279: counts}
        content += bytes(len(content) % 2)
        entries = b""
        for tag, numbers in sorted(tags.items()):
            kind, letter = (3, "H") if tag not in (273, 279, 324, 325) else (16, "Q") if big else (4, "I")
            data = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
            room = struct.calcsize(offset)
            if len(data) > room:
                data, where = struct.pack(f"{order}{offset}", len(content)), data
                content += where + bytes(len(where) % 2)
            entries += struct.pack(f"{order}HH{offset}", tag, kind, len(numbers)) + data.ljust(room, b"\0")
        directory = len(content)
        content = content[:link] + struct.pack(f"{order}{offset}", directory) + content[link + room :]
        content += struct.pack(f"{order}{count}", len(tags)) + entries
        link = len(content)
        content += bytes(room)
    return content


def _packed(part: np.ndarray, order: str, *, deflate: bool, predictor: bool) -> bytes:
    if predictor:
        unsigned = part.view(np.dtype(f"u{part.dtype.itemsize}").newbyteorder(order))
        part = unsigned.copy()
        part[:, 1:] -= unsigned[:, :-1]
    data = np.ascontiguousarray(part).tobytes()
    return zlib.compress(data) if deflate else data
