"""From the numbers of a map to its colours: which colour map, where the colours end, and the words for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.results.map import SIGNLESS, Heatmap, Scale
from cnnexplain.core.words import number
from cnnexplain.render.kit.colormaps import ENDS, MIDDLE, palette
from cnnexplain.render.kit.options import RenderOptions

# A few pixels are often many times as strong as all others, which would then have no colour.
SHARE = 98.0  # percent


@dataclass(frozen=True)
class PixelScale:
    """How a map of pixels is coloured."""

    signed: bool
    kind: Scale  # what the numbers mean
    colormap: str
    smallest: float
    largest: float
    limit: float  # where the colours end, on both sides of zero for a signed map; zero where the map is
    cells: str = "pixels"  # what has a value

    @classmethod
    def of(cls, heatmap: Heatmap, options: RenderOptions) -> PixelScale:
        """The scale that suits a map."""
        signed = heatmap.scale in ("signed", *SIGNLESS)
        strength = np.abs(heatmap.values) if signed else np.maximum(heatmap.values, 0)
        name = colormap(options, signed=signed)
        # A component has few cells, each of which counts: its colours end at the largest.
        end = float(strength.max()) if heatmap.scale == "component" else limit(strength)
        cells = "cells" if heatmap.pooled else "pixels"
        return cls(signed, heatmap.scale, name, heatmap.min, heatmap.max, end, cells)

    @property
    def steps(self) -> int:
        """The level of the largest values; the palette has one colour more."""
        return 2 * MIDDLE if self.signed else 255

    def levels(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The place of every value in the palette."""
        end = np.float32(self.limit)
        clipped = np.clip(values, -end if self.signed else np.float32(0), end)
        clipped /= end  # first, since the limit may be the tiniest number there is, or the largest
        clipped *= np.float32(MIDDLE if self.signed else 255)
        if self.signed:
            clipped += np.float32(MIDDLE)
        return np.rint(clipped, out=clipped).astype(np.uint8)

    @property
    def ticks(self) -> tuple[str, str, str]:
        """What stands at the top, the middle and the bottom of the colour bar."""
        at_least = "≥ " if self.largest > self.limit else ""
        if not self.signed:
            return at_least + number(self.limit), number(self.limit / 2), "0"
        at_most = "≤ " if -self.smallest > self.limit else ""
        return at_least + number(self.limit), "0", at_most + number(-self.limit)

    def remark(self, goal: str) -> str:
        """The sentence that explains the colours of a map, their ends and the range; `goal` is that of the map."""
        if not self.limit > 0:
            return "The map is zero everywhere."
        clipped = max(self.largest, -self.smallest) > self.limit
        if not self.signed:
            if not clipped:
                return f"The largest value is {number(self.largest)}."
            return (
                f"Colours end at {number(self.limit)}, which {SHARE:g}% of the {self.cells} do not exceed; "
                f"the largest is {number(self.largest)}."
            )
        warm, cold = ENDS[self.colormap]
        if self.kind == "component":
            meaning = f"{warm} and {cold} are the two sides of the component, not for and against."
        elif self.kind == "rule":
            meaning = f"{warm} and {cold.lower()} are the two signs of what the rule let through, not for and against."
        elif goal:
            meaning = f"{warm} speaks for {goal}, {cold} against."
        else:
            meaning = f"{warm} is positive, {cold} negative."
        ends = f"±{number(self.limit)}"
        share = f", which {SHARE:g}% of the {self.cells} do not exceed" if clipped else ""
        return (
            f"{meaning} Colours end at {ends}{share}; "
            f"the values run from {number(self.smallest)} to {number(self.largest)}."
        )


def colormap(options: RenderOptions, *, signed: bool) -> str:
    """The colour map for maps with a sign, or without: the one asked for where it is of this kind."""
    if options.colormap is not None and (options.colormap in ENDS) == signed:
        return options.colormap
    return "RdBu" if signed else "inferno"


def limit(strength: NDArray[Any]) -> float:
    """The value that all but a few of these do not exceed; the largest where that is zero."""
    robust = float(np.percentile(strength, SHARE, method="inverted_cdf"))
    return robust if robust > 0 else float(strength.max())


def painted(levels: Image.Image, name: str) -> Image.Image:
    """A picture of levels in the colours of a map."""
    levels.putpalette(palette(name))
    return levels.convert("RGB")
