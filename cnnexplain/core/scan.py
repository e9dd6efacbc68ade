"""Scans: what a picture is worth to the units of a layer; many pictures together say what each unit looks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cnnexplain.core.ablation import Ablation
from cnnexplain.core.packed import packed, unpacked
from cnnexplain.core.records import layer_name
from cnnexplain.core.results import Entry, Result
from cnnexplain.core.words import count

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scan(Result):
    """The units of a layer for which a picture may be among the strongest, and where sampled the maxima of all.

    No kind that anybody is shown: what is said is said of all pictures together.
    """

    kind: ClassVar[str] = "scan"
    summed_up_as: ClassVar[str] = "layers"
    method: ClassVar[str] = "units"  # type: ignore[misc]

    layer: str
    place: int  # of the picture, among all of the run
    shape: tuple[int, int]  # (h, w) of the layer's map
    count: int  # of all units of the layer
    units: NDArray[np.int32] = field(
        repr=False
    )  # (M,), those that this picture may be among the strongest of
    values: NDArray[np.float32] = field(repr=False)  # (M,), the largest activation of each in this picture
    cells: NDArray[np.int32] = field(repr=False)  # (M,), where it is, counted row by row
    maxima: NDArray[np.float32] | None = field(
        default=None, repr=False
    )  # (count,), where it is in the sample
    ablation: Ablation | None = None  # what channels matter for its score, where that was asked of it

    def record(self) -> dict[str, Any]:
        """Return the same as plain data, arrays as little-endian bytes in base64."""
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": None,
            "shape": list(self.shape),
            "place": self.place,
            "count": self.count,
            "units": packed(self.units),
            "values": packed(self.values),
            "cells": packed(self.cells),
            "maxima": None if self.maxima is None else packed(self.maxima),
            **({} if self.ablation is None else {"ablation": self.ablation.record()}),
        }

    @classmethod
    def of(cls, entry: Entry) -> Scan:
        """Return the scan that an entry of a record holds.

        Args:
            entry: As `record` made it.

        Raises:
            ValueError: Its arrays are not as they were written.
        """
        maxima, ablation = entry["maxima"], entry.get("ablation")
        height, width = entry["shape"]
        return cls(
            entry["layer"],
            entry["place"],
            (height, width),
            entry["count"],
            unpacked(entry["units"], np.int32),
            unpacked(entry["values"], np.float32),
            unpacked(entry["cells"], np.int32),
            None if maxima is None else unpacked(maxima, np.float32),
            None if ablation is None else Ablation.of(ablation),
        )

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for all layers: how many units were looked at."""
        yield f"{count(sum(entry['count'] for entry in entries), 'unit')} of {count(len(entries), 'layer')}"
