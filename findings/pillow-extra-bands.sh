#!/usr/bin/env bash
# Pillow 13.0.0 opens a TIFF of four bands whose fourth is declared as "unspecified" (tag ExtraSamples 0; so do GDAL and
# most remote sensing software write near infrared) as mode RGB, and the fourth band is gone, without a word or a trace
# in `info`. The same bytes with the fourth band declared as alpha (ExtraSamples 2) come out as RGBA, and with six
# bands (three unspecified ones) as RGB again; eight bands of a photometric "black is zero" are refused as unidentified.
# One would guess at a fourth band (mode RGBX exists), or at an error for every number of bands that no mode has.
# Seen: RGB with 3 bands for 4 and for 6; RGBA for alpha.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import io
import struct

import numpy as np
from PIL import Image


def tiff(bands, extra):
    """A valid 8x8 TIFF of RGB with further bands of the kinds `extra`; every band k holds the value 40 k."""
    pixels = (np.ones((8, 8, 1), np.uint8) * 40 * np.arange(bands, dtype=np.uint8)).astype(np.uint8)
    tags, place = 11, 8 + 2 + 12 * 11 + 4
    kinds = b"".join(struct.pack("<H", kind) for kind in extra)
    inline = kinds.ljust(4, b"\0") if len(kinds) <= 4 else struct.pack("<I", place + 2 * bands)
    after = b"" if len(kinds) <= 4 else kinds
    data = pixels.tobytes()

    def entry(tag, kind, count, value):
        return struct.pack("<HHI", tag, kind, count) + (value if isinstance(value, bytes) else struct.pack("<I", value))

    table = b"".join(
        [
            entry(256, 4, 1, 8), entry(257, 4, 1, 8), entry(258, 3, bands, place), entry(259, 3, 1, 1),
            entry(262, 3, 1, 2), entry(273, 4, 1, place + 2 * bands + len(after)), entry(277, 3, 1, bands),
            entry(278, 4, 1, 8), entry(279, 4, 1, len(data)), entry(284, 3, 1, 1), entry(338, 3, len(extra), inline),
        ]
    )
    widths = struct.pack(f"<{bands}H", *[8] * bands)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + table + bytes(4) + widths + after + data


for words, bands, extra, mode in (
    ("near infrared as fourth band", 4, [0], "RGB"),
    ("alpha as fourth band", 4, [2], "RGBA"),
    ("three further bands", 6, [0, 0, 0], "RGB"),
):
    picture = Image.open(io.BytesIO(tiff(bands, extra)))
    print(f"{words}: {bands} bands in the file, mode {picture.mode}, {np.asarray(picture).shape[2]} bands read")
    assert picture.mode == mode
    assert np.asarray(picture)[0, 0].tolist() == [40 * band for band in range(len(mode))]
PYTHON
echo "as described"
