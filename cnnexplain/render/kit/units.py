"""One unit of a layer: what each rule projects back to the input, as pixels, and the part of the picture it sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.core.words import number
from cnnexplain.render.kit.panel import FEW_PIXELS, stamp
from cnnexplain.render.kit.scale import limit

GREY = 128  # where a reconstruction is zero
SLIMMEST = 4  # a panel's shorter side is at least this part of the longest that there may be
WHOLE = 0.95  # of what the model saw: from here on a unit sees it all

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit with its reconstruction by every rule; `rank` counts the units of its layer from 1."""

    rank: int
    by_rule: Mapping[str, Reconstruction]

    @property
    def any(self) -> Reconstruction:
        """Any of its reconstructions: the unit, its place and its patch are the same in all."""
        return next(iter(self.by_rule.values()))

    @property
    def words(self) -> str:
        """Rank, channel and activation."""
        return f"{self.rank} · channel {self.any.channel} · {number(self.any.activation)}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is known of it, each with its name."""
        left, top, right, bottom = self.any.sees
        return [
            ("activation", number(self.any.activation)),
            ("rank", f"{self.rank} of those shown"),
            ("where", self.place),
            (
                "sees of the input",
                f"{right - left} × {bottom - top}, x {left} to {right}, y {top} to {bottom}",
            ),
        ]

    @property
    def place(self) -> str:
        """Where the unit stands, in the original's pixels."""
        if self.any.place is None:
            return "whole channel"
        left, top, right, bottom = self.any.box
        width, height = self.any.geometry.picture_size
        if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
            return "beside the picture"
        x, y = self.any.place
        return f"at x {x}, y {y}"

    @property
    def sees_all(self) -> bool:
        """Whether it sees the whole input, or nearly."""
        left, top, right, bottom = self.any.sees
        height, width = self.any.input_size
        return (right - left) * (bottom - top) >= WHOLE * width * height


def by_layer(reconstructions: Iterable[Reconstruction]) -> dict[str, list[Unit]]:
    """The units of every layer, all in the order in which they first occur."""
    channels: dict[str, dict[Any, dict[str, Reconstruction]]] = {}
    for reconstruction in reconstructions:
        channels.setdefault(reconstruction.layer, {}).setdefault(
            (reconstruction.channel, reconstruction.cell), {}
        )[reconstruction.rule] = reconstruction
    return {
        layer: [Unit(rank, rules) for rank, rules in enumerate(units.values(), 1)]
        for layer, units in channels.items()
    }


def rules(units: Iterable[Unit]) -> list[str]:
    """The rules that there are, in order."""
    return list(dict.fromkeys(rule for unit in units for rule in unit.by_rule))


def field(units: Sequence[Unit]) -> str:
    """How much of the input these units see, in words; at the edges some see less than others."""
    height, width = units[0].any.input_size
    across = max(unit.any.sees[2] - unit.any.sees[0] for unit in units)
    down = max(unit.any.sees[3] - unit.any.sees[1] for unit in units)
    if all(unit.sees_all for unit in units):
        return "the whole input"
    if (across, down) == (width, height):
        return "up to the whole input"
    return f"{across}×{down} of {width}×{height}"


def panel_sizes(units: Sequence[Unit], longest: int) -> list[Size]:
    """How large each unit's panels are: alike enlarged, so that those which see less, at the edges, are smaller."""
    sides = [
        (max(right - left, 1e-9), max(bottom - top, 1e-9))
        for left, top, right, bottom in (unit.any.box for unit in units)
    ]
    largest = max(map(max, sides))
    sizes = []
    for across, down in sides:
        times = max(longest / largest, longest / 2 / max(across, down))
        width, height = (max(round(side * times), longest // SLIMMEST) for side in (across, down))
        sizes.append((width, height))
    return sizes


def projected(reconstruction: Reconstruction, size: Size) -> Image.Image:
    """A reconstruction as a picture of its own scale, in which grey is zero."""
    values = _three(reconstruction.values)
    rows, columns = values.shape[1:]
    if columns > size[0] or rows > size[1]:  # before it is scaled, since means of both signs are small
        shrunk = [Image.fromarray(plane).resize(size, Image.Resampling.BOX) for plane in values]
        values = np.stack([np.asarray(plane) for plane in shrunk])
    end = limit(np.abs(values))
    if not end > 0:
        canvas = Image.new("RGB", size, (GREY, GREY, GREY))
        stamp(canvas, "nothing")
        return canvas
    levels = np.clip(values, -np.float32(end), np.float32(end)) / np.float32(end) * np.float32(127) + GREY
    picture = Image.fromarray(np.ascontiguousarray(np.rint(levels).astype(np.uint8).transpose(1, 2, 0)))
    sharp = max(rows, columns) < FEW_PIXELS
    return picture.resize(size, Image.Resampling.NEAREST if sharp else Image.Resampling.BICUBIC)


def _three(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Red, green and blue of any number of channels: one is grey, others count in turn."""
    if len(values) == 1:
        return np.repeat(values, 3, axis=0)
    if len(values) == 3:
        return values
    colours = np.zeros((3, *values.shape[1:]), np.float32)
    for channel, layer in enumerate(values):
        colours[channel % 3] += layer
    return colours
