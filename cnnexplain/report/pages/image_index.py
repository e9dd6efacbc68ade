"""An index of all images of a large run for its pages: a few numbers of each image, and the classes."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexplain.core.reduce import FirstAnswers

# So many names are sorted at a time; nothing but their places is kept.
BLOCK = 4_096
_FAILED, _SILENT = -1, -2  # in the place of a class: no findings, or no answer

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FirstClass:
    """A class that came first in some image: how often, and how probable it was there on average."""

    index: int
    label: str
    images: int
    mean: float | None  # None where scores are no probabilities


class ImageIndex:
    """The class and the probability of every image of a run, read once, and the orders made of them."""

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.by_name_already = True  # the images come as people would sort them
        self._records = records
        self._class = array("q")
        self._chance = array("d")
        answers = FirstAnswers()
        self._gather(answers)
        # In the order of their first image.
        self.classes = [
            FirstClass(index, counted.label, counted.images, counted.mean)
            for index, counted in answers.classes.items()
        ]

    def _gather(self, answers: FirstAnswers) -> None:
        places: dict[int, int] = {}
        last: Key = [], ""
        for record in self._records:
            answers.update(record)
            chance, place = math.nan, _SILENT
            if record.get("error"):
                place = _FAILED
            elif record["predictions"]:
                best = record["predictions"][0]
                chance = math.nan if best["probability"] is None else best["probability"]
                place = places.setdefault(best["index"], len(places))
            self._class.append(place)
            self._chance.append(chance)
            key = by_name(name_of(record))
            self.by_name_already = self.by_name_already and last <= key
            last = key

    @property
    def answers(self) -> int:
        """How many images have a first answer."""
        return sum(entry.images for entry in self.classes)

    def failures(self) -> Places:
        """The places of the images that failed."""
        return np.flatnonzero(np.asarray(self._class) == _FAILED)

    def least_certain(self) -> Places:
        """The places of all images that were explained: the lowest probability first, those without one last."""
        order: Places = np.argsort(np.asarray(self._chance), kind="stable")
        explained: Places = order[np.asarray(self._class)[order] != _FAILED]
        return explained

    def of_classes(self) -> Iterator[tuple[FirstClass, Places]]:
        """Every class and its images, the least certain first; the class with most images first."""
        order = self.least_certain()
        classes = np.asarray(self._class)[order]
        order = order[np.argsort(classes, kind="stable")]
        ends = np.cumsum([np.count_nonzero(classes < 0), *(entry.images for entry in self.classes)])
        for place in sorted(range(len(self.classes)), key=lambda place: -self.classes[place].images):
            yield self.classes[place], order[ends[place] : ends[place + 1]]

    @cached_property
    def names(self) -> Sequence[int] | Places:
        """The places of all images, by name."""
        places = range(len(self._records))
        if self.by_name_already:
            return places

        def key(place: int) -> Key:
            return by_name(name_of(self._records[place]))

        blocks = (sorted(places[start : start + BLOCK], key=key) for start in places[::BLOCK])
        return np.fromiter(heapq.merge(*map(_places, blocks), key=key), np.int64, len(places))


Key = tuple[list[Any], str]


def by_name(name: str) -> Key:
    """Names sort by this as people sort them: folder by folder, photo 9 before photo 10, capitals beside the small."""
    parts: list[Any] = re.split("([0-9]+)", name.casefold().replace("/", "\0"))
    parts[1::2] = [(len(digits), digits) for digits in (entry.lstrip("0") for entry in parts[1::2])]
    return parts, name


def name_of(record: Mapping[str, Any]) -> str:
    """The name under which a record is listed: its image, else its target, else its model."""
    return str(record["image"] or record.get("subject") or record["model"])


def _places(block: Sequence[int]) -> array[int]:
    return array("q", block)
