"""Filters as small pictures in a grid: how many fit, how large, and their colours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.results.kernels import Kernels
from cnnexplain.render.kit.colormaps import ENDS, MIDDLE, palette
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.paper import line_of
from cnnexplain.render.kit.scale import colormap, limit
from cnnexplain.render.kit.text import font

NUMBER = 12  # the size of a filter's number
LINE = NUMBER + 3
BETWEEN = 3  # panels of one filter
APART = 8  # filters
LARGEST, READABLE, SMALLEST = 96, 24, 12  # a panel's longer side in drawn pixels
MANY, FEW = 1024, 256  # filters that are drawn by default: of one panel each, or of several
LABELLED = 64  # so many filters have room for the numbers of their input channels
# Of the longest side that a picture may have; a sheet is low where there is a choice.
WIDEST, HIGHEST, LOW = 1.9, 3.2, 1.2
GREY, BROKEN, MARK = 128, (255, 221, 0), (22, 24, 29)
DEAD = "#c4291c"

Colours = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Panels:
    """The planes of the filters that are drawn: (n, P, h, w), or (n, P, h, w, 3) in colour."""

    values: NDArray[np.float32]
    channels: NDArray[np.intp] | None  # (n, slices) the input channel of each; None where that has no meaning

    @property
    def broken(self) -> NDArray[np.bool_]:
        """Where a value is not finite, (n, P, h, w)."""
        sound = np.isfinite(self.values)
        return ~np.asarray(sound.all(-1) if sound.ndim == 5 else sound)

    @classmethod
    def of(cls, kernels: Kernels, numbers: NDArray[np.intp], slices: int) -> Panels:
        """The panels of the filters numbered `numbers`, at most `slices` input channels of each."""
        values = kernels.values[numbers]
        sides = values.shape[2:]
        if kernels.view == "colour":
            framed = values if len(sides) == 3 else values[:, :, None]
            return cls(np.moveaxis(framed, 1, -1), None)
        if kernels.view == "norm":
            norms = np.sqrt(np.square(values.astype(np.float64)).sum(1)).astype(np.float32)
            return cls(_planes(norms), None)
        strength = np.square(values.reshape(*values.shape[:2], -1).astype(np.float64)).sum(2)
        order = np.argsort(-np.nan_to_num(strength, nan=np.inf), axis=1, kind="stable")
        # Depth fills the row of a 3-D kernel, which leaves room for its strongest channel only.
        strongest = order[:, : 1 if len(sides) == 3 else slices]
        weights = np.take_along_axis(values, strongest.reshape(*strongest.shape, *(1 for _ in sides)), axis=1)
        channels = kernels.input_channel(numbers[:, None], strongest) if values.shape[1] > 1 else None
        if len(sides) == 1:  # taps from left to right, channels from top to bottom
            return cls(weights[:, None], channels)
        if len(sides) == 3:
            return cls(weights[:, 0], channels)
        return cls(weights, channels)


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a grid lie, in drawn pixels."""

    filters: int
    panels: int
    slices: int
    cell: tuple[int, int]  # drawn pixels for a weight, across and down
    panel: tuple[int, int]  # (h, w) in weights
    tile: tuple[int, int]  # (width, height) in drawn pixels, with what is written below
    columns: int
    labelled: bool  # whether the numbers of input channels stand below panels
    beside: int  # or beside the rows of a panel: drawn pixels that they take

    @property
    def rows(self) -> int:
        """The number of rows of the grid."""
        return math.ceil(self.filters / self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the grid."""
        width, height = self.tile
        return self.columns * (width + APART) - APART, self.rows * (height + APART) - APART

    @property
    def step(self) -> tuple[int, int]:
        """From one panel of a filter to the next, and down to what is written."""
        return self.panel[1] * self.cell[0] + BETWEEN, self.panel[0] * self.cell[1]

    def place(self, rank: int) -> tuple[int, int]:
        """The upper left corner of a tile."""
        row, column = divmod(rank, self.columns)
        return column * (self.tile[0] + APART), row * (self.tile[1] + APART)


def layout(kernels: Kernels, max_side: int) -> TileGrid:
    """The largest tiles with which all filters that are asked for are on one sheet; else as many as there is room."""
    single = _panel_count(kernels, kernels.slices) == 1
    limit = kernels.top or (MANY if single else FEW)
    count = min(limit, len(kernels.values))
    laid = None
    for slices, cell, highest in _attempts(kernels):
        laid = _laid(kernels, count, slices, cell, round(WIDEST * max_side))
        if laid.size[0] <= WIDEST * max_side and laid.size[1] <= highest * max_side:
            return laid
    if laid is None:
        raise ValueError("no layout to begin with")
    rows = max(1, round((HIGHEST * max_side + APART) // (laid.tile[1] + APART)))
    fewer = min(count, rows * laid.columns)
    return _laid(kernels, fewer, laid.slices, laid.cell[0], round(WIDEST * max_side))


def _attempts(kernels: Kernels) -> Iterator[tuple[int, int, float]]:
    """Slices, drawn pixels for a weight, and the height that is allowed, the best first."""
    longest = max(_panel(kernels, kernels.slices))
    largest, readable, smallest = (
        max(1, side // longest) if side == LARGEST else max(1, math.ceil(side / longest))
        for side in (LARGEST, READABLE, SMALLEST)
    )
    slice_limit = min(kernels.slices, kernels.shape[1])
    for cell in range(max(largest, readable), readable - 1, -1):
        yield slice_limit, cell, LOW
    for slices in range(slice_limit, 0, -1):
        yield slices, readable, HIGHEST
    for cell in range(readable, smallest - 1, -1):
        yield 1, cell, HIGHEST


def _laid(kernels: Kernels, count: int, slices: int, cell: int, width: int) -> TileGrid:
    panel, panels = _panel(kernels, slices), _panel_count(kernels, slices)
    across = panels * (panel[1] * cell + BETWEEN) - BETWEEN
    written = _written(len(kernels.values))
    labelled = kernels.view == "slices" and kernels.shape[1] > 1 and count <= LABELLED
    beside = 0
    if labelled and len(kernels.kernel) == 1:
        labelled, beside = False, BETWEEN + _written(kernels.shape[1] * kernels.groups)
    down = max(cell, NUMBER) if beside else cell
    tile = (max(across + beside, written), panel[0] * down + LINE * (1 + labelled))
    columns = max(1, (width + APART) // (tile[0] + APART))
    rows = math.ceil(count / columns)
    columns = math.ceil(count / rows)
    return TileGrid(count, panels, slices, (cell, down), panel, tile, columns, labelled, beside)


def _written(count: int) -> int:
    """Drawn pixels that the longest number below `count` takes."""
    return math.ceil(font(NUMBER, bold=True).getlength("0" * len(str(count - 1))))


def _panel(kernels: Kernels, slices: int) -> tuple[int, int]:
    """Height and width of a panel in weights."""
    sides = kernels.kernel
    if len(sides) == 1:
        return (1 if kernels.view == "norm" else min(slices, kernels.shape[1])), sides[0]
    return sides[-2], sides[-1]


def _panel_count(kernels: Kernels, slices: int) -> int:
    sides = kernels.kernel
    if len(sides) == 3:
        return sides[0]
    return min(slices, kernels.shape[1]) if kernels.view == "slices" and len(sides) == 2 else 1


def _planes(norms: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, ...) as (n, P, h, w)."""
    if norms.ndim == 4:
        return norms
    return norms[:, None, None, :] if norms.ndim == 2 else norms[:, None]


@dataclass(frozen=True, eq=False)
class Ink:
    """The colours of a layer's weights."""

    name: str  # of the colour map
    signed: bool
    ends: float | None  # where the colours end, for all filters; None: each has its own
    dead: NDArray[np.bool_]  # which filters are; these never have a scale of their own
    largest: float  # of the layer: the end for them
    quantity: str = "weight"  # that is coloured
    share: float = 1.0  # of a filter's own scale, where its colours end

    @classmethod
    def of(cls, kernels: Kernels, options: RenderOptions) -> Ink:
        """The colours that suit a layer, its view and the options."""
        signed, counted = kernels.view != "norm", kernels.statistics
        ends = None
        if kernels.ends == "shared":
            values = kernels.values if signed else _all_norms(kernels.values)
            finite = np.abs(values[np.isfinite(values)] if counted.broken else values)
            ends = limit(finite) if finite.size else 0.0
        dead = np.isin(np.arange(len(kernels.values)), counted.dead)
        largest = counted.limit if signed else float(np.nan_to_num(counted.norms).max(initial=0))
        quantity = "weight" if signed else "norm over the input channels"
        return cls(colormap(options, signed=signed), signed, ends, dead, largest, quantity)

    def limits(self, values: NDArray[np.float32], numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Where the colours of filters end, of which these are the numbers and (n, ...) the values; never at 0."""
        if self.ends is not None:
            limits_of = np.full(len(values), self.ends, np.float32)
        else:
            # Of what is not finite nothing counts.
            flat = values.reshape(len(values), -1)
            limits_of = np.abs(np.where(np.isfinite(flat), flat, 0)).max(1, initial=0).astype(np.float32)
            limits_of[self.dead[numbers]] = self.largest  # what rounding left of them is blank, not a pattern
        return np.where(limits_of > 0, limits_of, np.float32(1))

    def levels(self, values: NDArray[np.float32], limits: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The place in the palette of every value; anything where there is none."""
        share = np.nan_to_num(values, nan=0, posinf=0, neginf=0) / limits.reshape(
            -1, *(1 for _ in values.shape[1:])
        )
        np.clip(share, -1 if self.signed else 0, 1, out=share)
        rounded: NDArray[np.uint8] = np.rint(
            share * (MIDDLE if self.signed else 255) + MIDDLE * self.signed
        ).astype(np.uint8)
        return rounded

    @property
    def table(self) -> Colours:
        """The palette, (256, 3)."""
        return np.frombuffer(palette(self.name), np.uint8).reshape(-1, 3)

    @property
    def warm(self) -> tuple[str, str]:
        """The names of the colours of positive and of negative weights."""
        return ENDS[self.name]


def painted(panels: Panels, limits: NDArray[np.float32], ink: Ink, *, in_colour: bool) -> Colours:
    """The panels in colours, (n, P, h, w, 3)."""
    levels = ink.levels(panels.values, limits)
    # In colour grey is zero, as in every picture that can be darker and lighter than it.
    colours = (levels + np.uint8(GREY - MIDDLE)) if in_colour else ink.table[levels]
    bad = panels.broken
    if bad.any():
        colours = np.where(bad[..., None], np.array(BROKEN, np.uint8), colours)
    return colours


def enlarged(colours: Colours, bad: NDArray[np.bool_], cell: tuple[int, int]) -> Colours:
    """Every weight as a square of `cell` (across, down) drawn pixels; what is not finite is crossed out."""
    across, down = cell
    large: Any = colours.repeat(down, axis=-3).repeat(across, axis=-2)
    if min(cell) >= 5 and bad.any():
        cross = np.zeros((down, across), bool)
        along = np.arange(max(cell))
        cross[along * down // max(cell), along * across // max(cell)] = True
        cross |= cross[:, ::-1]
        tiled = np.tile(cross, bad.shape[-2:]) & bad.repeat(down, axis=-2).repeat(across, axis=-1)
        large[tiled] = MARK
    return large  # type: ignore[no-any-return]


@lru_cache(maxsize=8192)
def word(text: str, *, bold: bool = False) -> Image.Image:
    """A short text as a mask: a sheet has hundreds, and the next sheet has most of them again."""
    face = font(NUMBER, bold=bold)
    mask = Image.new("L", (math.ceil(face.getlength(text)), LINE + 2))
    ImageDraw.Draw(mask).text((0, 0), text, font=face, fill=255)
    mask.info["words"] = line_of(text, face), 0.0, (0.0, 0.0)
    return mask


def _all_norms(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the input channels, in parts that memory holds."""
    return np.concatenate(
        [np.sqrt(np.square(part).sum(1)) for part in np.array_split(values, max(1, len(values) // 64))]
    )
