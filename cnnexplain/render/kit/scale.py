"""From the numbers of a map to its colours: which colour map, where the colours end, and the words for both."""

from __future__ import annotations

from collections.abc import Sequence
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
class End:
    """Where the colours of a map end, in its own numbers; zero where it has nothing to colour."""

    value: float
    maps: int = 1  # so many maps of the picture end there

    @classmethod
    def of(cls, heatmap: Heatmap) -> End:
        """The end that suits a map alone: its largest value, or what all but a few pixels do not exceed."""
        if heatmap.scale == "evidence":
            return cls(max(0.0, heatmap.max))
        strength = _strength(heatmap)
        # A component has few cells, each of which counts: its colours end at the largest.
        return cls(float(strength.max()) if heatmap.scale == "component" else limit(strength))

    @property
    def words(self) -> str:
        """What stands behind the end in a sentence, where other maps have the same; else empty."""
        return f", the same for {self.maps} maps of this method and layer" if self.maps > 1 else ""


class Ends:
    """Where the colours of each map of a picture end: each at its own end, or maps that compare at the same."""

    def __init__(self, heatmaps: Sequence[Heatmap], options: RenderOptions) -> None:
        self._own: dict[Heatmap, End] = {}
        self._shared: dict[tuple[str, str], End] = {}
        for heatmap in heatmaps if options.scale == "shared" else ():
            end, before = self._alone(heatmap), self._shared.get(_alike(heatmap), End(0, 0))
            self._shared[_alike(heatmap)] = End(max(end.value, before.value), before.maps + (end.value > 0))

    def of(self, heatmap: Heatmap) -> End:
        """The end of a map; zero where it has nothing to colour, whatever others have."""
        own = self._alone(heatmap)
        return self._shared.get(_alike(heatmap), own) if own.value > 0 else own

    def _alone(self, heatmap: Heatmap) -> End:
        if heatmap not in self._own:
            self._own[heatmap] = End.of(heatmap)
        return self._own[heatmap]


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
    shared: str = ""  # the words of an end that other maps share

    @classmethod
    def of(cls, heatmap: Heatmap, options: RenderOptions, end: End | None = None) -> PixelScale:
        """The scale that suits a map, or the one that ends at `end`."""
        signed = _is_signed(heatmap)
        end = End.of(heatmap) if end is None else end
        name = colormap(options, signed=signed)
        cells = "cells" if heatmap.pooled else "pixels"
        return cls(signed, heatmap.scale, name, heatmap.min, heatmap.max, end.value, cells, end.words)

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
            if self.shared:
                return f"Colours end at {number(self.limit)}{self.shared}; the largest is {number(self.largest)}."
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
        share = self.shared or share
        return (
            f"{meaning} Colours end at {ends}{share}; "
            f"the values run from {number(self.smallest)} to {number(self.largest)}."
        )


def colormap(options: RenderOptions, *, signed: bool) -> str:
    """The colour map for maps with a sign, or without: the one asked for where it is of this kind."""
    if options.colormap is not None and (options.colormap in ENDS) == signed:
        return options.colormap
    return "RdBu" if signed else "inferno"


def _is_signed(heatmap: Heatmap) -> bool:
    return heatmap.scale in ("signed", *SIGNLESS)


def _strength(heatmap: Heatmap) -> NDArray[np.float32]:
    """How far every value is from zero, where it has a colour."""
    return np.abs(heatmap.values) if _is_signed(heatmap) else np.maximum(heatmap.values, 0)


def _alike(heatmap: Heatmap) -> tuple[str, str]:
    """What maps have in common whose numbers compare: other methods and other layers measure something else."""
    return heatmap.method, heatmap.layer


def limit(strength: NDArray[Any]) -> float:
    """The value that all but a few of these do not exceed; the largest where that is zero."""
    robust = float(np.percentile(strength, SHARE, method="inverted_cdf"))
    return robust if robust > 0 else float(strength.max())


def painted(levels: Image.Image, name: str) -> Image.Image:
    """A picture of levels in the colours of a map."""
    levels.putpalette(palette(name))
    return levels.convert("RGB")
