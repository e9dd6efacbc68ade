#!/usr/bin/env bash
# Pillow 13.0.0 mixes up the sides of an uncompressed TIFF of one strip that is to be turned by its orientation (5 to 8),
# is grey, has a palette, RGBA or CMYK, and was opened by its name: the file is mapped into memory, and the height is
# taken for the width. What comes out has the pixels of the picture in the wrong places, without a word. Opened as a file
# object, or packed in any way, the same picture comes out right. (TiffImagePlugin swaps `size` when it opens;
# ImageFile.load gives that size to map_buffer; then the picture is turned.)
# Seen: shape (6, 4) instead of (4, 6), and 20 of 24 pixels astray.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from PIL import Image

pixels = np.arange(24, dtype=np.uint8).reshape(6, 4)
exif = Image.Exif()
exif[0x0112] = 6  # turned by a quarter: the first row is the right side
Image.fromarray(pixels).save("turned.tif", exif=exif)
expected = np.rot90(pixels, -1)  # (4, 6)

with open("turned.tif", "rb") as file:
    assert np.array_equal(np.asarray(Image.open(file)), expected), "opened as a file object it is wrong as well"
by_name = np.asarray(Image.open("turned.tif"))
print("by its name:", by_name.shape, by_name.tolist())
assert not np.array_equal(by_name, expected), "it is right now"
PYTHON
echo "as described"
