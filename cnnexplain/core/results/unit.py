"""Units: what one unit of a layer sees in an image, projected back to its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.core import words
from cnnexplain.core.laying import Laying
from cnnexplain.core.records import layer_name, number
from cnnexplain.core.results import Detail, Entry, Result, require_map, require_whole
from cnnexplain.core.results.map import strongest
from cnnexplain.core.words import count, listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.preprocess import Geometry

__all__ = ["Reconstruction"]


@dataclass(frozen=True, eq=False)
class Reconstruction(Result):
    """What one unit of a layer saw in one picture, in pixels: the patch it can see, and what of it counted."""

    kind: ClassVar[str] = "unit"
    summed_up_as: ClassVar[str] = "layers"

    rule: str
    layer: str
    channel: int
    cell: tuple[int, int] | None  # row and column of the unit in its layer; None for a channel as a whole
    map_size: tuple[int, int]  # (h, w) of the layer's map
    activation: float
    sees: tuple[int, int, int, int]  # left, top, right, bottom of what it can see, in the input's pixels
    values: NDArray[np.float32] = field(repr=False)  # (C, bottom - top, right - left) of the input, signed
    input_size: tuple[int, int] = field(repr=False)  # (height, width)
    geometry: Geometry = field(repr=False)
    detail: Detail = field(default_factory=Detail, repr=False)
    laying: Laying = field(default_factory=Laying, repr=False)  # how the layer's map lies on the input

    @property
    def method(self) -> str:  # type: ignore[override]
        """The rule."""
        return self.rule

    @property
    def min(self) -> float:
        """The smallest value."""
        return float(self.values.min())

    @property
    def max(self) -> float:
        """The largest value."""
        return float(self.values.max())

    @property
    def place(self) -> tuple[int, int] | None:
        """(x, y) of the unit in the picture's pixels; None for a channel as a whole, or where that is not known."""
        if self.cell is None or self.laying.lost:
            return None
        cell, shape = self.laying.above(self.cell, self.map_size), self.laying.shape(self.map_size)
        return self.laying.on(self.geometry).pixel_of_cell(*cell, shape)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """`sees` in the picture's pixels."""
        return self.geometry.box_of(self.sees, self.input_size)

    @property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the pixel that counted most, whatever its sign; None where none did."""
        strength = abs(self.values).max(0)
        if not strength.max() > 0:
            return None
        row, column = strongest(strength)
        left, top, _, _ = self.sees
        return self.geometry.pixel_of_cell(top + row, left + column, self.input_size)

    def record(self) -> dict[str, Any]:
        """Return which unit it is, how strongly it answers, what it sees, and the range of what counted."""
        unit = {
            "channel": int(self.channel),
            "cell": self.cell and [int(place) for place in self.cell],
            "at": self.place and list(self.place),
            "activation": number(self.activation, f"the activation of channel {self.channel}"),
            "sees": self._pixels(),
        }
        return {
            "kind": self.kind,
            "method": self.rule,
            "layer": layer_name(self.layer),
            "target": None,
            "unit": unit,
            "shape": list(self.values.shape[1:]),
            "min": number(self.min, f"{self.rule}'s smallest value"),
            "max": number(self.max, f"{self.rule}'s largest value"),
            "peak": self.peak and list(self.peak),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the values of this unit alone, as `arrays_of` does."""
        return self.arrays_of([self])

    @classmethod
    def arrays_of(cls, results: Sequence[Reconstruction]) -> dict[str, NDArray[Any]]:
        """Return the values of several units on the whole input, (K, C, H, W), and which units they are."""
        import numpy as np

        first = results[0]
        values = np.zeros((len(results), len(first.values), *first.input_size), np.float32)
        for place, unit in zip(values, results, strict=True):
            left, top, right, bottom = unit.sees
            place[:, top:bottom, left:right] = unit.values
        return {
            "values": values,
            "rules": np.array([unit.rule for unit in results]),
            "channels": np.array([unit.channel for unit in results], np.int64),
            "cells": np.array([unit.cell or (-1, -1) for unit in results], np.int64),
            "activations": np.array([unit.activation for unit in results], np.float32),
            "sees": np.array([unit.sees for unit in results], np.int64),
        }

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each picture of units, or for each layer where none was drawn."""
        sheets: dict[Any, list[Entry]] = {}
        for entry in entries:
            sheets.setdefault(entry.get("picture") or (entry["layer"],), []).append(entry)
        return map(_sheet, sheets.values())

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape, layer or unit are not those of a unit.

        Raises:
            ValueError: A number is not whole, or a class enters.
            TypeError: The layer is no text.
            LookupError: Something is missing.
        """
        require_map(entry)
        require_whole(entry["unit"]["channel"])
        if entry["target"] is not None:
            raise ValueError("no class enters a unit")

    def distribution(self) -> NDArray[np.float32]:
        """Return all values (N,), signed, of the part that the unit sees."""
        return self.values.reshape(-1)

    def _pixels(self) -> list[int]:
        """Return the box that the unit sees in whole pixels of the image, none of them left out."""
        width, height = self.geometry.picture_size
        left, top, right, bottom = (round(edge, 6) for edge in self.box)  # 32.0000000001 is 32
        return [
            min(max(place, 0), end)
            for place, end in (
                (math.floor(left), width),
                (math.floor(top), height),
                (math.ceil(right), width),
                (math.ceil(bottom), height),
            )
        ]


def _sheet(entries: Sequence[Entry]) -> str:
    """Return in words what one picture shows of a layer's units, each perhaps by several rules."""
    units = {
        (entry["unit"]["channel"], str(entry["unit"]["cell"])): entry["unit"]["activation"]
        for entry in entries
    }
    rules = listed(list(dict.fromkeys(entry["method"] for entry in entries)))
    (channel, _), activation = max(units.items(), key=lambda unit: unit[1])
    strongest = f"strongest channel {channel} ({words.number(activation)})"
    return f"{count(len(units), 'unit')} of {entries[0]['layer']} by {rules}, {strongest}"
