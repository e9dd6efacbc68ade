"""One pass over a folder: of every picture what may be among a unit's strongest, and a sample of all pictures."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from cnnexplain.core.ablation import Ablation
from cnnexplain.core.packed import packed, unpacked
from cnnexplain.core.scan import Scan
from cnnexplain.core.strongest import Strongest, hashed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SAMPLED = 2048  # pictures of which the maxima of all units are kept
PURITY = 50  # of a unit's strongest pictures, those whose classes are counted

Kept = TypeVar("Kept")


class Sample:
    """The pictures of a run whose hashes are the smallest, as many as there is room for: the same in any order."""

    def __init__(self, size: int, seed: int) -> None:
        """Begin without pictures; `size` is how many there is room for."""
        self._size, self._seed = size, seed
        self._hashes: list[int] = []  # negative, so that the largest comes first

    def takes(self, place: int) -> bool:
        """Whether a picture is among those with the smallest hashes so far; it is noted, once however often it comes.

        Args:
            place: Of the picture, among all of the run.
        """
        key = -int(hashed(np.array([place]), self._seed)[0])
        if key in self._hashes:
            return True
        if len(self._hashes) < self._size:
            heapq.heappush(self._hashes, key)
            return True
        return heapq.heappushpop(self._hashes, key) != key


def smallest(kept: Mapping[tuple[int, int], Kept], size: int) -> dict[tuple[int, int], Kept]:
    """Return what is kept of the pictures with the smallest hashes, the same for the same pictures in any order.

    Args:
        kept: By hash and position of the pictures.
        size: Of how many pictures at most.
    """
    return {key: kept[key] for key in sorted(kept)[:size]}


@dataclass
class Scanner:
    """What a process keeps while pictures go by: the k largest values of every unit so far, and the sample's hashes.

    What cannot be among the k largest of this process's pictures cannot be among those of all, and is left out of a
    picture's record. Shared by threads.
    """

    keep: int
    sample: Sample
    ablated: Sample  # the pictures in which channels are set to zero
    layers: dict[str, Strongest] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def scans(
        self, maps: Mapping[str, Maxima], places: Sequence[int], sound: Sequence[int]
    ) -> list[tuple[Scan, ...]]:
        """Return what pictures are worth to the units of every layer; nothing for those that are not `sound`.

        Args:
            maps: By layer what was taken of its maps.
            places: Of each of N pictures, among all of the run.
            sound: The rows of the pictures whose values are numbers.
        """
        results: list[tuple[Scan, ...]] = [()] * len(places)
        with self._lock:
            for row in sound:
                sampled = self.sample.takes(places[row])
                results[row] = tuple(
                    self._scan(layer, maxima, row, places[row], sampled) for layer, maxima in maps.items()
                )
        return results

    def is_ablated(self, place: int) -> bool:
        """Whether channels are to be set to zero in the picture at this place.

        Args:
            place: Among all of the run.
        """
        with self._lock:
            return self.ablated.takes(place)

    def floor(self, layer: str, values: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which values (N, U) of pictures may be among the k largest, as far as is known now."""
        with self._lock:
            known = self.layers.get(layer)
            return np.ones(values.shape, bool) if known is None else known.counts(values, places)

    def _scan(self, layer: str, maxima: Maxima, row: int, place: int, sampled: bool) -> Scan:
        here = maxima.rows == row
        units, cells = maxima.units[here], maxima.cells[here]
        values = maxima.values[row, units]
        strongest = self.layers.setdefault(layer, Strongest.of(maxima.values.shape[1], self.keep))
        still = strongest.counts(maxima.values[row : row + 1], np.array([place]))[0, units]
        units, cells, values = units[still], cells[still], values[still]
        strongest.add(units, values, np.full(len(units), place), cells)
        return Scan(
            layer,
            place,
            maxima.shape,
            maxima.values.shape[1],
            units.astype(np.int32),
            values,
            cells,
            maxima.values[row].copy() if sampled else None,
        )


@dataclass(frozen=True, eq=False)
class Maxima:
    """The largest value of every unit in every picture of a batch, and where those are that may count."""

    values: NDArray[np.float32]  # (N, U)
    shape: tuple[int, int]
    rows: NDArray[np.int64]  # (M,), of the pictures whose units may count
    units: NDArray[np.int64]  # (M,)
    cells: NDArray[np.int32]  # (M,), the first cell where the value is, counted row by row

    @classmethod
    def of(cls, maps: Tensor, layer: str, scanner: Scanner, places: Sequence[int]) -> Maxima:
        """Return those of maps (N, U, h, w), the first pictures of which have these `places`."""
        maps = maps if maps.ndim == 4 else maps[:, :, None, None]
        shape = (int(maps.shape[2]), int(maps.shape[3]))
        values = largest(maps).float().cpu().numpy()
        counts = scanner.floor(layer, values[: len(places)], np.array(places, np.int64))
        rows, units = counts.nonzero()
        picked = maps.flatten(2)[torch.from_numpy(rows), torch.from_numpy(units)]  # (M, cells)
        cells = picked.argmax(1).cpu().numpy().astype(np.int32)
        return cls(values, shape, rows, units, cells)


def largest(maps: Tensor) -> Tensor:
    """Return the largest value of each unit, (N, U), of maps (N, U, h, w) in whatever order they lie in memory."""
    if maps.is_contiguous(memory_format=torch.channels_last) and maps.shape[1] > 1:
        return maps.permute(0, 2, 3, 1).flatten(1, 2).amax(1)
    return maps.flatten(2).amax(2)


@dataclass(eq=False)
class LayerFold:
    """What all pictures together say of a layer's units; memory depends on units, k and the sample's size alone."""

    shape: tuple[int, int]
    strongest: Strongest
    seed: int
    size: int = SAMPLED
    ablated: int = 0  # how many pictures are used for what channels matter, at most
    # Of the sampled pictures by hash and position: the maxima of all units. At most `size` of them.
    sampled: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)
    ablations: dict[tuple[int, int], Ablation] = field(default_factory=dict)  # at most `ablated`

    def take(self, position: int, scan: Scan) -> None:
        """Take in what a picture is worth to the units.

        Args:
            position: Of the picture, in the order in which ties are broken.
            scan: As its record has it.
        """
        places = np.full(len(scan.units), position)
        self.strongest.add(scan.units, scan.values, places, scan.cells)
        key = int(hashed(np.array([scan.place]), self.seed)[0]), position
        if scan.maxima is not None:
            self.sampled[key] = scan.maxima
        if scan.ablation is not None:
            self.ablations[key] = scan.ablation
        if len(self.sampled) >= 2 * self.size or len(self.ablations) > 2 * self.ablated:
            self._shrink()

    def merge(self, other: LayerFold) -> None:
        """Take in what another has taken in, of other pictures."""
        self.strongest.merge(other.strongest)
        self.sampled |= other.sampled
        self.ablations |= other.ablations
        self._shrink()

    def sample(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the positions (M,) of the sampled pictures, in order, and the maxima of all units in them (M, U)."""
        self._shrink()
        keys = sorted(self.sampled, key=lambda key: key[1])
        units = len(self.strongest.values)
        values = [self.sampled[key] for key in keys]
        return np.array([position for _, position in keys], np.int64), np.array(values).reshape(-1, units)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that was counted: what `--save-raw` writes.

        Returns:
            `values` (U, k), the largest of each unit, -inf where there were fewer pictures; `images` and `cells`
            (U, k), the position of the picture and the cell, -1 where there is none; `maxima` (M, U) of the pictures at
            the positions `sampled` (M,); and where channels were set to zero, `drops` (N, U).
        """
        positions, maxima = self.sample()
        pictures = np.where(self.strongest.cells < 0, -1, self.strongest.pictures)
        used = self.used()
        return {
            "values": self.strongest.values,
            "images": pictures,
            "cells": self.strongest.cells,
            "sampled": positions,
            "maxima": maxima,
            **({"drops": np.stack([each.drops for each in used])} if used else {}),
        }

    def used(self) -> list[Ablation]:
        """Return what channels matter in the pictures that are used for it, in the order of the pictures."""
        self._shrink()
        return [self.ablations[key] for key in sorted(self.ablations, key=lambda key: key[1])]

    def state(self) -> dict[str, Any]:
        """Return all that is kept, as plain data: the same for the same pictures in any order."""
        self._shrink()
        return {
            "units": len(self.strongest.values),
            "shape": list(self.shape),
            "seed": self.seed,
            "size": self.size,
            "ablated": self.ablated,
            "strongest": self.strongest.state(),
            "sampled": [[*key, packed(self.sampled[key])] for key in sorted(self.sampled)],
            "ablations": [[*key, self.ablations[key].record()] for key in sorted(self.ablations)],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LayerFold:
        """Return the one that had this state."""
        height, width = state["shape"]
        sampled = {(key, position): unpacked(text, np.float32) for key, position, text in state["sampled"]}
        ablations = {(key, position): Ablation.of(entry) for key, position, entry in state["ablations"]}
        strongest = Strongest.from_state(state["strongest"], state["units"])
        sizes = state["seed"], state["size"], state["ablated"]
        return cls((height, width), strongest, *sizes, sampled, ablations)

    def _shrink(self) -> None:
        self.sampled = smallest(self.sampled, self.size)
        self.ablations = smallest(self.ablations, self.ablated)


def folded(
    records: Iterable[Mapping[str, Any]], keep: int, seed: int, size: int = SAMPLED, ablated: int = 0
) -> dict[str, LayerFold]:
    """Return what the records of pictures say together, by layer.

    Args:
        records: In the order in which ties are broken; those of pictures that failed count for nothing.
        keep: How many of the largest values of each unit are kept.
        seed: By which the sample was drawn.
        size: How many pictures the sample has at most.
        ablated: How many pictures are used at most for what channels matter.
    """
    layers: dict[str, LayerFold] = {}
    for position, record in enumerate(records):
        for entry in record["explanations"]:
            scan = Scan.of(entry)
            if scan.layer not in layers:
                layers[scan.layer] = LayerFold(
                    scan.shape, Strongest.of(scan.count, keep), seed, size, ablated
                )
            layers[scan.layer].take(position, scan)
    return layers
