"""What a user points at: a place on a picture, and the cells of maps that lie there; channels of a layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnnexplain.errors import ImageError, OptionError

if TYPE_CHECKING:
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.laying import Laying

Pixel = tuple[int, int]  # x and y


def pixel_of(at: str | None) -> Pixel | None:
    """What `--at X,Y` says; None where nothing was said."""
    if at is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", at)
    if match is None:
        raise OptionError(f"--at {at!r} is not a place", "give x and y in pixels: --at 120,80")
    return int(match[1]), int(match[2])


def cells_at(
    pixel: Pixel | None, batch: Batch, shape: tuple[int, int], laying: Laying
) -> list[tuple[int, int]] | None:
    """The cell (row, column) of a map of `shape` (h, w) that lies there, in each picture; None for no place.

    The first cell where none does: what lies outside of what the model saw is reported by `unseen`.
    """
    if pixel is None:
        return None
    upright = laying.shape(shape)
    cells = (laying.on(geometry).cell_of_pixel(*pixel, upright) or (0, 0) for geometry in batch.geometries)
    return [laying.below(cell, shape) for cell in cells]


def unseen(pixel: Pixel | None, batch: Batch) -> dict[int, ImageError]:
    """The pictures of which the model does not see that place, by row."""
    problems: dict[int, ImageError] = {}
    for row, geometry in enumerate(batch.geometries) if pixel else ():
        left, top, right, bottom = geometry.seen
        if pixel and not (left <= pixel[0] + 0.5 < right and top <= pixel[1] + 0.5 < bottom):
            problems[row] = ImageError(
                f"the model does not see x {pixel[0]}, y {pixel[1]}",
                f"it sees x {left:.0f} to {right:.0f} and y {top:.0f} to {bottom:.0f} of this picture",
            )
    return problems


def require_channels(chosen: tuple[int, ...], layer: str, channels: int | None) -> None:
    """Refuse channels that a layer with so many does not have; None where their number is not known."""
    if chosen and channels is not None and max(chosen) >= channels:
        raise OptionError(
            f"--channel {max(chosen)} is not in {layer}, which has {channels}",
            f"give a channel from 0 to {channels - 1}, and name the layer with --layer",
        )
