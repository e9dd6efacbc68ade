#!/usr/bin/env bash
# Pillow 13.0.0 reads colour pictures of 16 bits a channel (PNG and TIFF alike) as mode RGB with 8 bits: it keeps the
# high byte of each value and says nothing. A camera that writes 12 bits into 16 (values 0 to 4095) comes out nearly
# black, in 16 levels. One would guess at scaling by the full range with the low byte rounded in, a mode of 16 bits (as
# there is for grey, "I;16"), or an error.
# Seen: mode RGB, uint8, extrema (0, 15), 16 different values of the 4,096 that were written.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import io
import struct
import zlib

import numpy as np
from PIL import Image

values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64, 1).repeat(3, axis=2)  # 12 bits: 0 to 4095


def png(pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)  # 16 bits, RGB
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(pixels):
    height, width, bands = pixels.shape
    data, tags = pixels.astype("<u2").tobytes(), 10
    bits = 8 + 2 + 12 * tags + 4  # where the widths of the bands stand
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, bands, bits), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, bits + 2 * bands), (277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, len(data)), (284, 3, 1, 1),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + table + bytes(4) + struct.pack("<3H", 16, 16, 16) + data


for name, content in (("PNG", png(values)), ("TIFF", tiff(values))):
    picture = Image.open(io.BytesIO(content))
    read = np.asarray(picture)
    print(f"{name}: mode {picture.mode}, {read.dtype}, extrema {picture.getextrema()[0]}, {len(np.unique(read))} levels")
    assert picture.mode == "RGB" and read.dtype == np.uint8
    assert np.array_equal(read, values >> 8), "it is no longer the high byte"
PYTHON
echo "as described"
