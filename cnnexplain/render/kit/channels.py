"""The channels of a layer as pictures: one by one, in the layer's principal components, and on the photograph."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.words import number, percent
from cnnexplain.render.kit.colormaps import ENDS
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, INK, LINE, MOUNT, DrawnImage
from cnnexplain.render.kit.scale import SHARE, PixelScale, colormap, limit, painted
from cnnexplain.render.kit.spots import spot
from cnnexplain.render.kit.text import font

OVERLAY_ALPHA = 0.55
TINY = 13
COMPONENTS = (
    "In colour: the first three principal components of all channels as red, green and blue, each with its own scale, "
    "grey where it is zero; the percentages are their shares of the variance."
)
GREY = 127.5  # of a principal component that is zero

Size = tuple[int, int]


class DrawnChannels:
    """The channels of one layer that are drawn, each at most `side` pixels wide and high."""

    def __init__(self, image: DrawnImage, maps: FeatureMaps, options: RenderOptions, side: int) -> None:
        self.maps, self.options, self.side = maps, options, side
        self.overlay = maps.look.overlay
        self._photograph = DrawnImage(image.explanation, side) if self.overlay else None
        end = max(maps.max, -maps.min)
        name = colormap(options, signed=maps.signed)
        self.scale = PixelScale(maps.signed, "signed", name, maps.min, maps.max, end)

    @cached_property
    def size(self) -> Size:
        """Width and height of every drawn channel."""
        return self._photograph.picture.size if self._photograph else self.cells_size

    @property
    def cells_size(self) -> Size:
        """Width and height of a map that is not on the photograph: whole pixels a cell, or whole cells a pixel."""
        rows, columns = self.maps.values.shape[1:]
        times = self.side // max(rows, columns)
        if times:
            return columns * times, rows * times
        return math.ceil(columns / self.cells_a_pixel), math.ceil(rows / self.cells_a_pixel)

    @property
    def cells_a_pixel(self) -> int:
        """How many cells across and down one drawn pixel stands for; 1 where cells are not made smaller."""
        longest = int(max(self.maps.values.shape[1:]))
        return math.ceil(longest / self.side)

    def channel(self, rank: int) -> Image.Image:
        """The channel at a place in the order in which they are shown."""
        values = self.maps.values[rank]
        scale = self.scale
        if self.maps.look.scale == "channel":
            scale = replace(scale, limit=limit(np.abs(values) if scale.signed else np.maximum(values, 0)))
        if not scale.limit > 0 or not values.any():
            return self._nothing()
        if self._photograph is None:
            return painted(Image.fromarray(scale.levels(self._resized(values))), scale.colormap)
        return self._laid(self._photograph, painted_on(self._photograph, values, scale))

    def components(self) -> Image.Image | None:
        """The first three principal components as red, green and blue; None for a map of one cell."""
        if self.maps.components is None or not self.maps.variance[0] > 0:
            return None
        levels = [self._levels(component) for component in self.maps.components]
        if not self.maps.variance[1] > 0:
            levels = [levels[0]] * 3  # one alone is grey
        return Image.fromarray(np.stack(levels, axis=-1))

    def _levels(self, component: NDArray[np.float32]) -> NDArray[np.uint8]:
        end = limit(np.abs(component))
        part = np.clip(self._resized(component) / np.float32(end if end > 0 else 1), -1, 1)
        levels: NDArray[np.uint8] = np.rint(part * np.float32(GREY) + np.float32(GREY)).astype(np.uint8)
        return levels

    def _resized(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Every cell as a square of whole pixels, or the mean of several cells."""
        width, height = self.cells_size
        if width >= values.shape[1] and height >= values.shape[0]:
            return values.repeat(height // len(values), axis=0).repeat(width // values.shape[1], axis=1)
        # Before colours, since the mean of two colours is not that of their numbers.
        return np.asarray(Image.fromarray(values).reduce(self.cells_a_pixel))

    def _nothing(self) -> Image.Image:
        """A channel that is zero everywhere."""
        if self._photograph is not None:
            return self._photograph.over_unseen(self._photograph.grey.crop(self._photograph.seen))
        canvas = Image.new("RGB", self.size, MOUNT)
        ImageDraw.Draw(canvas).line((0, self.size[1] - 1, self.size[0] - 1, 0), fill=LINE)
        return canvas

    def _laid(self, photograph: DrawnImage, colours: Image.Image) -> Image.Image:
        alpha = OVERLAY_ALPHA if self.options.alpha is None else self.options.alpha
        grey = photograph.grey.crop(photograph.seen)
        return photograph.over_unseen(Image.blend(grey, colours, alpha))

    def remark(self) -> str:
        """The sentence that explains the colours of the channels and where they end."""
        kind, bound = "Dark is zero, light", "value that"
        if self.scale.signed:
            warm, cold = ENDS[self.scale.colormap]
            kind, bound = f"{warm} is positive, {cold} negative, white zero; colours end at", "size that"
            if self.scale.colormap == "ember":
                kind = kind.replace("white", "dark")
        if self.maps.look.scale == "layer":
            remark = f"{kind} {number(self.scale.limit)}, the same for all channels of the layer."
        else:
            remark = f"{kind} the {bound} {SHARE:g}% of the channel's own places do not exceed."
        return remark

    @property
    def reduction(self) -> str:
        """The sentence about a map that is drawn smaller than it is; "" for others."""
        times = self.cells_a_pixel
        return (
            f"A drawn pixel is the mean of {times}×{times} cells." if times > 1 and not self.overlay else ""
        )


def painted_on(image: DrawnImage, values: NDArray[np.float32], scale: PixelScale) -> Image.Image:
    """A map in colours at the size of what the model saw of a drawn picture; cells keep their edges."""
    box, size = image.cells((values.shape[0], values.shape[1])), image.seen_size
    shrinks = size[0] < box[2] - box[0] or size[1] < box[3] - box[1]
    if shrinks:
        smaller = Image.fromarray(values).resize(size, Image.Resampling.BOX, box=box)
        return painted(Image.fromarray(scale.levels(np.asarray(smaller))), scale.colormap)
    levels = Image.fromarray(scale.levels(values))
    return painted(levels.resize(size, Image.Resampling.NEAREST, box=box), scale.colormap)


def captions(maps: FeatureMaps, width: int, size: int = TINY) -> tuple[list[str], bool]:
    """The captions of the channels that are shown: number and, where all have room for it, largest value.

    Returns:
        A caption for each channel in the order in which they are shown, and whether they have the largest value.
    """
    numbers = maps.channels[: maps.shown]
    with_values = [f"{channel} · {number(float(maps.statistics.max[channel]))}" for channel in numbers]
    fits = all(font(size).getlength(text) <= width for text in with_values)
    return (with_values if fits else [str(channel) for channel in numbers]), fits


def note_channel(
    paper: Image.Image, place: tuple[int, int], size: tuple[int, int], maps: FeatureMaps, rank: int
) -> None:
    """Note on a sheet where a channel is drawn, and what is known of it."""
    channel, counted = maps.channels[rank], maps.statistics
    label = maps.labels[channel] if maps.labels else ""
    at = maps.place(channel)
    facts = [
        ("layer", maps.layer),
        ("largest value", number(counted.max[channel])),
        ("mean of what is positive", number(counted.strength[channel])),
        ("mean", number(counted.mean[channel])),
        ("not above zero", percent(counted.sparsity[channel])),
        *((("strongest at", f"x {at[0]}, y {at[1]}"),) if at else ()),
    ]
    spot(paper, place, size, f"channel {channel}" + (f", {label}" if label else ""), facts)


def ink(maps: FeatureMaps, rank: int) -> str:
    """The colour of a caption: paler where the channel does not fire."""
    return INK if maps.statistics.max[maps.channels[rank]] > 0 else FAINT


def shares(maps: FeatureMaps) -> str:
    """How much of the variance the components hold: 31, 25, 17%."""
    return ", ".join(f"{100 * share:.0f}" for share in maps.variance if share > 0) + "%"
