"""Limits on the cost of decoding a picture. A file of a kilobyte can keep a decoder at work for hours."""

from __future__ import annotations

import os
import re
from pathlib import Path

from PIL import Image

from cnnexplain.errors import ImageError

# A JPEG's pixels are decoded once for every scan, and an empty scan takes ten bytes. Cameras write a single scan, and
# progressive files about ten. The marker and its header: length, number of components.
SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
HOLD_JPEG = ("JPEG", "MPO")
JPEG_IN_TIFF = (6, 7)  # how a TIFF is packed that holds JPEGs
MAX_SCANNED = 1_800_000_000  # pixels times scans: twenty scans of the largest picture
# Pillow unpacks these in Python, byte by byte.
RUN_LENGTHS = (1, 2)  # a bitmap's codes for eight bits a pixel, or four
MAX_RUN_LENGTHS = 8_000_000  # pixels
CHUNK = 1 << 20
# Bytes that a file may hold beyond its first frame (others, previews, metadata), and of a pixel. Decoders read on.
MAX_BESIDE, MAX_OF_PIXEL = 1 << 27, 8
MAX_OPENED = 90_000_000  # pixels; more are refused when it is open
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a JPEG's frame headers
Size = tuple[int, int]  # (width, height)
MAX_TIFF = 1 << 32  # of which no more is read than the first page, wherever it lies


def require_cheap(image: Image.Image, path: str) -> None:
    """Refuse a picture, before it is decoded, that would keep a decoder busy out of all proportion to its size."""
    pixels = image.width * image.height
    require_short(
        path, pixels, image.format or "picture", paged=image.format == "TIFF" and not _holds_jpeg(image)
    )
    if _holds_jpeg(image) and (scans := _scans(path)) * pixels > MAX_SCANNED:
        raise ImageError(
            f"the picture would take too long: {pixels / 1e6:.0f} megapixels drawn {scans} times over",
            "save it again, not as a progressive JPEG",
        )
    packed = image.format in ("BMP", "DIB") and image.info.get("compression") in RUN_LENGTHS
    if packed and pixels > MAX_RUN_LENGTHS:
        raise ImageError(
            f"the picture would take too long: {pixels / 1e6:.0f} megapixels in a packed bitmap",
            "save it again, as PNG",
        )


def require_short(path: str, pixels: int, kind: str, *, paged: bool) -> None:
    """Refuse a file far longer than its picture needs, before it is read; `paged` where only a part will be."""
    length, limit = os.stat(path).st_size, MAX_TIFF if paged else MAX_BESIDE + MAX_OF_PIXEL * pixels
    if length > limit:
        raise ImageError(
            f"the file is too long for its picture: {length / 1e6:,.0f} MB of {kind} for {pixels / 1e6:.2g} megapixels",
            "save the picture again, by itself",
        )


def require_short_by_head(path: str, head: bytes) -> None:
    """Refuse a file that is too long for the size that its first 30 bytes name, before it is opened.

    Pillow reads a WebP to its end before giving its size, and of others what comes before the pixels, as texts of any
    length.
    """
    if os.stat(path).st_size <= MAX_BESIDE:
        return
    kind, size = _kind_and_size(path, head)
    if kind:
        require_short(path, min(size[0] * size[1], MAX_OPENED), kind, paged=False)


def _kind_and_size(path: str, head: bytes) -> tuple[str, Size]:
    """The kind of a picture file with these first bytes, its width and height; "" for others."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP", _webp_size(head)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG", (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    if head[:4] == b"GIF8":
        return "GIF", (int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))
    if head[:2] == b"\xff\xd8":
        return "JPEG", _jpeg_size(path)
    return "", (0, 0)


def _jpeg_size(path: str) -> Size:
    """The width and height that a JPEG's frame header gives (ITU T.81, B.2.2); 0, 0 for an unusual file."""
    with Path(path).open("rb") as file:
        file.seek(2)
        while len(marker := file.read(4)) == 4 and marker[0] == 0xFF:
            length = int.from_bytes(marker[2:], "big")
            if marker[1] in FRAMES:
                sides = file.read(5)[1:]
                return int.from_bytes(sides[2:], "big"), int.from_bytes(sides[:2], "big")
            if length < 2:
                break
            file.seek(length - 2, os.SEEK_CUR)
    return 0, 0


def _webp_size(head: bytes) -> Size:
    """The width and height of a WebP (RFC 9649) with these first bytes; 0, 0 for an unusual file."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return 0, 0


def _holds_jpeg(image: Image.Image) -> bool:
    packing = getattr(image, "tag_v2", {}).get(259)
    return image.format in HOLD_JPEG or (image.format == "TIFF" and packing in JPEG_IN_TIFF)


def _scans(path: str) -> int:
    """How many scans there are in a file's JPEGs, wherever they lie in it."""
    scans, end = 0, b""
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            scans += len(SCAN.findall(end + chunk))
            end = chunk[-4:]  # a scan's five bytes may lie across
    return scans
