"""Small tiles of what a unit sees: the patch of the photograph, and what of it counted; and the sheet of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnexplain.render.kit.units import GREY, projected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnexplain.core.results.unit import Reconstruction

SIDE = 64  # of a tile, in pixels
THUMBNAIL = 96  # the longer side of a whole picture

Box = tuple[int, int, int, int]


def patch_tile(picture: Image.Image, original: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """The part of a picture in a box, as large as fits a tile, in its middle, (SIDE, SIDE, 3).

    Args:
        picture: RGB; it may be smaller than the original.
        original: Width and height of the original.
        box: Left, top, right and bottom in the original's pixels; where it is empty the tile is grey.
    """
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        return _on_tile(Image.new("RGB", (1, 1), (GREY,) * 3))
    across, down = picture.width / original[0], picture.height / original[1]
    part = (left * across, top * down, right * across, bottom * down)
    return _on_tile(picture.resize(_size(box), Image.Resampling.BICUBIC, box=part, reducing_gap=3.0))


def projected_tile(reconstruction: Reconstruction, box: Box) -> NDArray[np.uint8]:
    """What of a patch counted, with its own scale, in which grey is zero, (SIDE, SIDE, 3).

    Args:
        reconstruction: What was projected back.
        box: Of the patch, as in `patch_tile`.
    """
    left, top, right, bottom = box
    if right <= left or bottom <= top or not np.any(reconstruction.values):
        return _on_tile(Image.new("RGB", (1, 1), (GREY,) * 3))
    return _on_tile(projected(reconstruction, _size(box)))


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture no larger than THUMBNAIL on its longer side."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
    return small


def sheet(rows: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """The sheet of a unit out of rows of tiles, each (K, SIDE, SIDE, 3); shorter ones are filled up with grey."""
    columns = max(len(row) for row in rows)
    canvas = np.full((len(rows), columns, SIDE, SIDE, 3), GREY, np.uint8)
    for place, row in zip(canvas, rows, strict=True):
        place[: len(row)] = row
    return Image.fromarray(canvas.transpose(0, 2, 1, 3, 4).reshape(len(rows) * SIDE, columns * SIDE, 3))


def _size(box: Box) -> tuple[int, int]:
    width, height = box[2] - box[0], box[3] - box[1]
    scale = SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _on_tile(picture: Image.Image) -> NDArray[np.uint8]:
    canvas = Image.new("RGB", (SIDE, SIDE), (GREY,) * 3)
    canvas.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return np.asarray(canvas)
