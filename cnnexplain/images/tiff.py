"""Bands of a TIFF as they are stored: of any number and depth. Pillow has at most four of them, most with 8 bits.

Pillow still unpacks: every strip or tile becomes a TIFF of its own, in memory, whose pixels are the bytes of a row.
Their meaning is read here. So the packings that libtiff knows are read without another library, and memory is
bounded by a strip. Specification: Adobe, TIFF Revision 6.0 (1992), and Adobe Photoshop TIFF Technical Note 3 (2005).
"""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.errors import ImageError

HEADS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # the types of the tags that are needed
WIDTH, HEIGHT, BITS, PACKING, PHOTOMETRIC, FILL_ORDER, ORIENTATION, BANDS = (
    256, 257, 258, 259, 262, 266, 274, 277,
)  # fmt: skip
OFFSETS, ROWS, COUNTS, PLANAR, PREDICTOR = 273, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
LISTS = (OFFSETS, COUNTS, TILE_OFFSETS, TILE_COUNTS)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
PLAIN, LZW, DEFLATE, ADOBE_DEFLATE, PACK_BITS, LZMA, ZSTD = 1, 5, 32946, 8, 32773, 34925, 50000
PACKINGS = (PLAIN, LZW, DEFLATE, ADOBE_DEFLATE, PACK_BITS, LZMA, ZSTD)
ALPHA = (1, 2, 999)  # codes of an extra band that is alpha, multiplied in or not; 999 is Corel's
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}

MOST_ENTRIES, MOST_BANDS, MOST_BLOCKS = 1000, 1000, 100_000
MOST_BYTES = 1 << 30  # unpacked


@dataclass(frozen=True)
class BandLayout:
    """How a TIFF's first picture, or a further one, is stored."""

    size: tuple[int, int]  # (width, height), as it is stored
    bands: int
    dtype: np.dtype[Any]
    bits: int
    photometric: int
    orientation: int
    extra: tuple[int, ...]  # the declared meanings of the bands beyond grey or RGB
    packing: int
    predictor: int
    planar: bool  # whether every band is stored by itself
    block: tuple[int, int]  # (width, height) of a strip or tile
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    following: int  # where the next picture begins in the file; 0 where there is none

    @property
    def alpha(self) -> bool:
        """Whether the last band is declared as transparency."""
        return bool(self.extra) and self.extra[-1] in ALPHA

    @property
    def colours(self) -> int:
        """How many bands a person's picture has: 1 or 3; 0 where they are bands of something else."""
        colours = 3 if self.photometric == RGB else 1
        undeclared = self.bands - colours - self.alpha
        # A file of several bands that calls itself grey says nothing of them.
        return colours if undeclared == 0 or (colours == 3 and undeclared > 0) else 0

    @property
    def plain(self) -> bool:
        """Whether Pillow shows all that there is in it."""
        declared = self.bands == self.colours + self.alpha
        return self.bits <= 8 and self.dtype.kind == "u" and declared


def layouts(path: str, head: bytes, limit: int = 1) -> list[BandLayout]:
    """How the first `limit` pictures of a TIFF are stored; empty for another file, or one that is left to Pillow.

    `head` holds the first bytes of the file, 16 at least: other files are not opened.

    Raises `ImageError` where only this module could read it, and cannot.
    """
    if head[:4] not in HEADS:
        return []
    pages: list[BandLayout] = []
    with open(path, "rb") as file:
        order, big = HEADS[head[:4]]
        try:
            start = struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)[0]
            while start and len(pages) < limit:
                tags, start = _tags(file, start, order, big)
                layout = _layout(tags, order, start, os.fstat(file.fileno()).st_size)
                if layout is None:
                    break
                pages.append(layout)
        except (struct.error, OverflowError, OSError, KeyError, IndexError):
            return pages[:1]  # damaged: Pillow has its say
    return pages


def _tags(file: IO[bytes], start: int, order: str, big: bool) -> tuple[dict[int, tuple[int, ...]], int]:
    """The tags of a picture that are whole numbers and of use here, and where the next picture begins."""
    file.seek(start)
    (entries,) = _read(file, f"{order}Q" if big else f"{order}H")
    if entries > MOST_ENTRIES:
        raise struct.error("too many entries")
    length = 20 if big else 12
    table = file.read(entries * length)
    (following,) = _read(file, f"{order}Q" if big else f"{order}I", 0)
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(0, entries * length, length):
        tag, kind, count = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", table, place)
        limit = MOST_BLOCKS if tag in LISTS else MOST_BANDS
        if kind not in INTEGERS or not 0 < count <= limit or tag in tags:
            continue
        form = f"{order}{count}{INTEGERS[kind]}"
        within = place + (12 if big else 8)
        if struct.calcsize(form) <= (8 if big else 4):
            tags[tag] = struct.unpack_from(form, table, within)
        else:
            file.seek(struct.unpack_from(f"{order}Q" if big else f"{order}I", table, within)[0])
            tags[tag] = _read(file, form)
    return tags, following


def _read(file: IO[bytes], form: str, *missing: int) -> tuple[int, ...]:
    data = file.read(struct.calcsize(form))
    return missing if missing and not data else struct.unpack(form, data)


def _layout(
    tags: Mapping[int, Sequence[int]], order: str, following: int, file_size: int
) -> BandLayout | None:
    """The layout that tags describe; None where Pillow reads it: bits that are no bytes, inks, palettes, JPEG."""

    def value_of(tag: int, otherwise: int) -> int:
        return tags.get(tag, (otherwise,))[0]

    bands = value_of(BANDS, 1)
    bits, formats = tuple(tags.get(BITS, (1,))), tuple(tags.get(FORMAT, (1,)))
    photometric = value_of(PHOTOMETRIC, BLACK_IS_ZERO)
    unusual = photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) or value_of(FILL_ORDER, 1) != 1
    if unusual or bits[0] not in (8, 16, 32, 64) or len({*bits}) > 1 or not 0 < bands <= MOST_BANDS:
        return None
    if len({*formats}) > 1 or formats[0] not in KINDS or (KINDS[formats[0]] == "f" and bits[0] == 8):
        return None
    width, height, packing, predictor = (
        tags[WIDTH][0],
        tags[HEIGHT][0],
        value_of(PACKING, PLAIN),
        value_of(PREDICTOR, 1),
    )
    tiled = TILE_OFFSETS in tags
    block = (
        (tags[TILE_WIDTH][0], tags[TILE_HEIGHT][0]) if tiled else (width, min(value_of(ROWS, height), height))
    )
    if not width or not height or not all(block):
        return None
    extra = tuple(tags.get(EXTRA, ()))[: max(0, bands - (3 if photometric == RGB else 1))]
    layout = BandLayout(
        (width, height), bands, np.dtype(f"{order}{KINDS[formats[0]]}{bits[0] // 8}"), bits[0], photometric,
        value_of(ORIENTATION, 1), extra, packing, predictor, value_of(PLANAR, 1) == 2 and bands > 1, block, tiled,
        tuple(tags.get(TILE_OFFSETS if tiled else OFFSETS, ())),
        tuple(tags.get(TILE_COUNTS if tiled else COUNTS, ())), following,
    )  # fmt: skip
    if packing == PLAIN and not layout.counts and not tiled:
        layout = _with_counts(layout, file_size)
    if not layout.plain and (packing not in PACKINGS or predictor not in (1, 2, 3)):
        raise ImageError(
            f"the TIFF's {words(layout)} are packed as is not read here (compression {packing})",
            "save it without compression, or with LZW or deflate: gdal_translate -co COMPRESS=LZW IN.tif OUT.tif",
        )
    return layout


def _with_counts(layout: BandLayout, file_size: int) -> BandLayout:
    """The layout of a file that does not say how long its strips are: each may reach to the end of the file."""
    return replace(layout, counts=(file_size,) * len(layout.offsets))


def words(layout: BandLayout) -> str:
    """The stored bands in words, such as "13 bands of 16 bits"."""
    kind = {"u": "", "i": " with sign", "f": " (floats)"}[layout.dtype.kind]
    bands = "1 band" if layout.bands == 1 else f"{layout.bands} bands"
    return f"{bands} of {layout.bits} bits{kind}"


def blocks(path: str, layout: BandLayout) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
    """Every strip or tile: its first row, first column, first band, and its values (rows, columns, bands).

    Values have the file's type and order of bytes. Raises `ImageError` for what is damaged or out of all proportion.
    """
    (width, height), (across, down) = layout.size, layout.block
    columns, rows = -(-width // across), -(-height // down)
    planes, depth = (layout.bands, 1) if layout.planar else (1, layout.bands)
    require_small([layout])
    places = list(itertools.product(range(planes), range(rows), range(columns)))
    if min(len(layout.offsets), len(layout.counts)) < len(places):
        raise ImageError(
            "the picture is damaged: parts of it are not in the file", "save or download it again"
        )
    with open(path, "rb") as file:
        for (plane, row, column), offset, count in zip(places, layout.offsets, layout.counts, strict=False):
            high = down if layout.tiled else min(down, height - row * down)
            length = across * depth * layout.dtype.itemsize
            file.seek(offset)
            packed = file.read(min(count, 2 * high * length + 65536))  # none of the packings needs more
            data = _unpack(packed, layout.packing, length, high)
            values = np.frombuffer(data, np.uint8).reshape(high, across, depth, layout.dtype.itemsize)
            values = _unpredicted(values, layout)
            inside = values[: height - row * down, : width - column * across]
            yield row * down, column * across, plane, inside


def require_small(pages: Sequence[BandLayout]) -> None:
    """Refuse a picture, before it is unpacked, whose pages take more memory or strips than any picture should."""
    strips = unpacked = 0
    for page in pages:
        (width, height), (across, down) = page.size, page.block
        grid = -(-width // across) * -(-height // down)
        strips += grid * (page.bands if page.planar else 1)
        area = max(width * height, grid * across * down if page.tiled else 0)
        unpacked += area * page.bands * page.dtype.itemsize
    if strips > MOST_BLOCKS or unpacked > MOST_BYTES:
        (width, height), first = pages[0].size, pages[0]
        several = f"{len(pages)} pages of " if len(pages) > 1 else ""
        raise ImageError(
            f"the picture would take too much memory: {several}{width}x{height} pixels with {words(first)}",
            "cut the part out that is to be explained",
        )


def _unpack(packed: bytes, packing: int, length: int, rows: int) -> bytes:
    """The unpacked bytes of `rows` rows of `length` bytes each."""
    if packing == PLAIN:
        data = packed[: length * rows]
    elif packing in (DEFLATE, ADOBE_DEFLATE):
        data = zlib.decompressobj().decompress(packed, length * rows)
    else:
        tags = {WIDTH: length, HEIGHT: rows, BITS: 8, PACKING: packing, PHOTOMETRIC: BLACK_IS_ZERO,
                OFFSETS: 8 + 2 + 9 * 12 + 4, BANDS: 1, ROWS: rows, COUNTS: len(packed)}  # fmt: skip
        table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
        content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + packed
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            data = image.tobytes()
    if len(data) < length * rows:
        raise ImageError("the picture is damaged: it is cut short", "save or download it again")
    return data


def _unpredicted(data: NDArray[np.uint8], layout: BandLayout) -> NDArray[Any]:
    """Values (rows, columns, bands) of bytes (rows, columns, bands, bytes of a value), differences added up."""
    rows, columns, depth, itemsize = data.shape
    values: NDArray[Any]
    if layout.predictor == 3:  # differences of bytes, the most significant bytes of a row first
        summed = data.reshape(rows, -1, depth).cumsum(1, dtype=np.uint8)
        planes = summed.reshape(rows, itemsize, columns * depth).transpose(0, 2, 1)
        values = np.ascontiguousarray(planes).view(f">f{itemsize}").reshape(rows, columns, depth)
        return values
    values = data.reshape(rows, -1).view(layout.dtype).reshape(rows, columns, depth)
    if layout.predictor == 2:
        unsigned = np.dtype(f"u{itemsize}")
        stored = values.view(unsigned.newbyteorder(layout.dtype.byteorder))
        values = stored.cumsum(1, dtype=unsigned).view(layout.dtype.newbyteorder("="))
    return values
