"""The strongest of many: the k largest values of each unit over any number of pictures, kept while pictures go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.core.packed import packed, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOBODY = np.iinfo(np.int64).max  # in the place of a picture, where fewer than k were there


@dataclass(eq=False)
class Strongest:
    """The k largest values of each of U units, each with its picture and its cell; memory depends on U and k alone.

    The larger value comes first, of equal values that of the earlier picture. So what is kept does not depend on the
    order in which pictures come, nor on how they were divided before their `Strongest` were merged. A picture counts
    once for each unit.
    """

    values: NDArray[np.float32]  # (U, k), largest first; -inf where there is none
    pictures: NDArray[np.int64]  # (U, k), the picture's place
    cells: NDArray[np.int32]  # (U, k), the cell of the map, counted row by row

    @classmethod
    def of(cls, units: int, k: int) -> Strongest:
        """Return an empty one.

        Args:
            units: How many units there are, U.
            k: How many values are kept of each.
        """
        return cls(
            np.full((units, k), -np.inf, np.float32),
            np.full((units, k), NOBODY, np.int64),
            np.full((units, k), -1, np.int32),
        )

    def counts(self, values: NDArray[np.float32], pictures: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which values would be among the k largest, (N, U).

        Args:
            values: One of each unit in each of N pictures, (N, U).
            pictures: The places of these pictures, (N,).
        """
        last, place = self.values[:, -1], self.pictures[:, -1]
        counts: NDArray[np.bool_] = (values > last) | ((values == last) & (pictures[:, None] < place))
        return counts

    def add(
        self,
        units: NDArray[np.integer[Any]],
        values: NDArray[np.float32],
        pictures: NDArray[np.int64],
        cells: NDArray[np.int32],
    ) -> None:
        """Take in values, each of one unit in one picture, in any order; the same one again changes nothing.

        Args:
            units: Which unit each is of, (M,).
            values: The values, (M,).
            pictures: The place of each one's picture, (M,).
            cells: The cell of each, (M,).
        """
        if not len(units):
            return
        order = np.argsort(units, kind="stable")
        rows, first, count = np.unique(units[order], return_index=True, return_counts=True)
        place = np.arange(len(order)) - np.repeat(first, count)
        line = np.repeat(np.arange(len(rows)), count)
        new = Strongest.of(len(rows), int(count.max()))
        new.values[line, place] = values[order]
        new.pictures[line, place] = pictures[order]
        new.cells[line, place] = cells[order]
        self._take(rows, new)

    def merge(self, other: Strongest) -> None:
        """Take in what another has kept, of the same units in other pictures.

        Args:
            other: It stays as it is.
        """
        self._take(np.arange(len(self.values)), other)

    def _take(self, rows: NDArray[np.integer[Any]], other: Strongest) -> None:
        values = np.concatenate((self.values[rows], other.values), axis=1)
        pictures = np.concatenate((self.pictures[rows], other.pictures), axis=1)
        cells = np.concatenate((self.cells[rows], other.cells), axis=1)
        again = np.lexsort((-values, pictures), axis=-1)
        values, pictures, cells = (np.take_along_axis(each, again, 1) for each in (values, pictures, cells))
        twice = np.zeros(values.shape, bool)
        twice[:, 1:] = pictures[:, 1:] == pictures[:, :-1]
        values = np.where(twice, np.float32(-np.inf), values)
        pictures = np.where(twice, NOBODY, pictures)
        cells = np.where(twice, np.int32(-1), cells)
        order = np.lexsort((pictures, -values), axis=-1)[:, : self.values.shape[1]]
        for kept, each in ((self.values, values), (self.pictures, pictures), (self.cells, cells)):
            kept[rows] = np.take_along_axis(each, order, 1)

    def state(self) -> dict[str, list[str]]:
        """Return all that is kept as plain data, the same for the same pictures in any order."""
        return {name: packed(getattr(self, name)) for name in ("values", "pictures", "cells")}

    @classmethod
    def from_state(cls, state: Mapping[str, list[str]], units: int) -> Strongest:
        """Return the one that had this state.

        Args:
            state: As `state` gave it.
            units: How many units there are.
        """
        return cls(
            unpacked(state["values"], np.float32).reshape(units, -1),
            unpacked(state["pictures"], np.int64).reshape(units, -1),
            unpacked(state["cells"], np.int32).reshape(units, -1),
        )


def hashed(places: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Return a number for each place that looks drawn at random, and is the same wherever it is computed (splitmix64).

    Args:
        places: Places of pictures, of any shape.
        seed: Other seeds give other numbers.
    """
    with np.errstate(over="ignore"):
        mixed = places.astype(np.uint64) + np.uint64(seed & (2**64 - 1)) * np.uint64(0xD1342543DE82EF95)
        mixed = (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
