"""Maps of many variants of one image, of which each differs from the image's own in a box at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOSTLY = 0.75  # of a map: boxes that hold more are no gain


@dataclass(frozen=True, eq=False)
class Same:
    """N variants of a tensor that are all the image's own."""

    base: Tensor  # (1, ...)
    count: int

    def whole(self) -> Tensor:
        """The tensor (N, ...) of all variants, without memory of its own."""
        return self.base.expand(self.count, *self.base.shape[1:])


@dataclass(frozen=True, eq=False)
class Boxed:
    """N variants of a map: what a variant changes lies in its box; all boxes have one size and lie within the map."""

    base: Tensor  # (1, ..., H, W), the image's own
    patch: Tensor  # (N, ..., h, w), the cells of the boxes
    top: Tensor  # (N,) int64, on the CPU: the row where the box begins
    left: Tensor  # (N,) likewise the column

    @property
    def count(self) -> int:
        """How many variants there are."""
        return len(self.patch)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the boxes."""
        return self.patch.shape[-2], self.patch.shape[-1]

    def whole(self) -> Tensor:
        """The maps (N, ..., H, W) of all variants, laid out in memory as the image's own are."""
        start = torch.zeros_like(self.top)
        maps = crop(self, start, start, (self.base.shape[-2], self.base.shape[-1]))
        return maps.contiguous() if self.base.is_contiguous() else maps


def crop(
    maps: Boxed | Same, top: Tensor, left: Tensor, size: tuple[int, int], outside: float = 0.0
) -> Tensor:
    """A part of every variant's map, of the same size anywhere.

    Args:
        maps: The variants.
        top: The rows (N,), int64, where the parts begin; they may lie beyond the map.
        left: Likewise the columns.
        size: Rows and columns of the parts.
        outside: The value of cells beyond the map.

    Returns:
        (N, ..., h, w), channels last in memory.
    """
    (height, width), base = maps.base.shape[-2:], _cells(maps.base)
    y = top[:, None] + torch.arange(size[0])
    x = left[:, None] + torch.arange(size[1])
    index = 1 + y[:, :, None] * width + x[:, None, :]
    table = [base.new_full((1, base.shape[1]), outside), base]
    if isinstance(maps, Boxed):
        rows, columns = maps.size
        y_in, x_in = y - maps.top[:, None], x - maps.left[:, None]
        changed = _both((y_in >= 0) & (y_in < rows), (x_in >= 0) & (x_in < columns))
        first = 1 + len(base) + torch.arange(len(top))[:, None, None] * (rows * columns)
        index = torch.where(changed, first + y_in[:, :, None] * columns + x_in[:, None, :], index)
        table.append(_cells(maps.patch))
    index = torch.where(_both((y >= 0) & (y < height), (x >= 0) & (x < width)), index, 0)
    cells = torch.cat(table).index_select(0, index.reshape(-1).to(base.device))
    maps_of_channels = cells.view(len(top), *size, -1).permute(0, 3, 1, 2)
    return (
        maps_of_channels
        if maps.base.ndim == 4
        else maps_of_channels.reshape(len(top), *maps.base.shape[1:-2], *size)
    )


def aligned(maps: Sequence[Boxed | Same]) -> tuple[list[Tensor], Tensor, Tensor] | None:
    """The cells of several maps of one size in boxes that hold all that any of them changes.

    Args:
        maps: The variants of each map, at least one of them `Boxed`.

    Returns:
        For each map its cells (N, ..., h, w), and rows and columns (N,) of the boxes; None where those are no gain.
    """
    boxed = [one for one in maps if isinstance(one, Boxed)]
    height, width = maps[0].base.shape[-2:]
    top = torch.stack([one.top for one in boxed]).amin(0)
    left = torch.stack([one.left for one in boxed]).amin(0)
    bottom = torch.stack([one.top + one.size[0] for one in boxed]).amax(0)
    right = torch.stack([one.left + one.size[1] for one in boxed]).amax(0)
    size = int((bottom - top).max()), int((right - left).max())
    if is_no_gain(size, (height, width)):
        return None
    top, left = top.clamp(max=height - size[0]), left.clamp(max=width - size[1])
    return [_in_box(one, top, left, size) for one in maps], top, left


def is_no_gain(box: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a box holds so much of a map that all of it may as well be computed."""
    return box[0] * box[1] >= MOSTLY * size[0] * size[1]


def _in_box(maps: Boxed | Same, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    if (
        isinstance(maps, Boxed)
        and maps.size == size
        and torch.equal(maps.top, top)
        and torch.equal(maps.left, left)
    ):
        return maps.patch
    return crop(maps, top, left, size)


def _both(rows: Tensor, columns: Tensor) -> Tensor:
    """(N, h, w), true where (N, h) and (N, w) are."""
    return rows[:, :, None] & columns[:, None, :]


def _cells(maps: Tensor) -> Tensor:
    """The cells of maps (N, ..., h, w), each with its channels: (N * h * w, C)."""
    flat = maps if maps.ndim == 4 else maps.reshape(len(maps), -1, *maps.shape[-2:])
    return flat.permute(0, 2, 3, 1).reshape(-1, flat.shape[1])
