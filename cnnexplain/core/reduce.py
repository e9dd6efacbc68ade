"""What is said of all images of a run together: folds over their records, which may be made of parts in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from cnnexplain.core.records import kind_of
from cnnexplain.core.words import never_fired

EXACT = 1074  # the smallest positive float64 is 2 ** -1074

Record = Mapping[str, Any]
AnyReducer = TypeVar("AnyReducer", bound="Reducer")


class Reducer(ABC):
    """Folds the records of images, one after another, into something that is said of all of them.

    `merge` is associative and commutative: shards, several processes and a run that was continued come to the same
    result, whichever images each of them had. Memory depends on the model and never on the number of images.
    """

    key: ClassVar[str]  # under which run.json has the results
    word: ClassVar[str] = ""  # before its sentences on the terminal

    @abstractmethod
    def update(self, record: Record) -> None:
        """Take in the record of one image, well explained or not."""

    @abstractmethod
    def merge(self: AnyReducer, other: AnyReducer) -> None:
        """Take in what another has taken in, of other images."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that is kept, as plain data."""

    @classmethod
    @abstractmethod
    def from_state(cls: type[AnyReducer], state: Mapping[str, Any]) -> AnyReducer:
        """The reducer whose `state` this is."""

    @abstractmethod
    def results(self) -> dict[str, Any]:
        """What is said of all images, as plain data; empty where there is nothing to be said."""

    def lines(self) -> Iterator[str]:
        """Return the same for a person, in sentences; nothing where the report alone has it."""
        return iter(())


@dataclass
class _SilentLayer:
    silent: set[int]  # that fired in none of the images
    count: int
    images: int


@dataclass
class SilentChannels(Reducer):
    """The channels that fire in none of the images, by layer: `channels`, `count` of the layer, `images`.

    Only of layers that were looked at in several images, and that have such channels.
    """

    key: ClassVar[str] = "silent_channels"
    word: ClassVar[str] = "silent"

    layers: dict[str, _SilentLayer] = field(default_factory=dict)

    def update(self, record: Record) -> None:
        """Take in the feature maps of one image."""
        for entry in record["explanations"]:
            if kind_of(entry) == "channels":
                channels = entry["channels"]
                self._add(entry["layer"], {*channels["silent"]}, channels["count"], 1)

    def merge(self, other: SilentChannels) -> None:
        """Take in other images."""
        for layer, channels in other.layers.items():
            self._add(layer, channels.silent, channels.count, channels.images)

    def state(self) -> dict[str, Any]:
        """Return by layer the `silent` channels, the `count` of all channels and the number of `images`."""
        return {
            layer: {
                "silent": sorted(layer_state.silent),
                "count": layer_state.count,
                "images": layer_state.images,
            }
            for layer, layer_state in self.layers.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SilentChannels:
        """Return the reducer that had this state."""
        return cls(
            {
                layer: _SilentLayer({*layer_state["silent"]}, layer_state["count"], layer_state["images"])
                for layer, layer_state in state.items()
            }
        )

    def results(self) -> dict[str, Any]:
        """Return the layers that have silent channels: their `channels`, the `count` of all, the `images`."""
        return {
            layer: {
                "channels": sorted(silent_layer.silent),
                "count": silent_layer.count,
                "images": silent_layer.images,
            }
            for layer, silent_layer in self.layers.items()
            if silent_layer.silent and silent_layer.images > 1
        }

    def lines(self) -> Iterator[str]:
        """Return a sentence for each layer that has silent channels."""
        return (never_fired(layer, layer_result) for layer, layer_result in self.results().items())

    def _add(self, layer: str, silent: set[int], count: int, images: int) -> None:
        total = self.layers.setdefault(layer, _SilentLayer(silent, count, 0))
        total.silent = total.silent & silent
        total.images += images


@dataclass
class ClassCount:
    """How many images have a class as their first answer, and the sum of its probabilities in them, exactly."""

    label: str
    images: int = 0
    sum: int = 0  # of probabilities, in units of 2 ** -EXACT: whole numbers add up alike in any order
    known: int = 0  # of the images, those that have a probability

    @property
    def mean(self) -> float | None:
        """The mean probability; None where scores are no probabilities."""
        return self.sum / (self.known << EXACT) if self.known else None


@dataclass
class FirstAnswers(Reducer):
    """The classes that come first in some image: how often, and how probable they are there on average."""

    key: ClassVar[str] = "first_answers"

    # By index, in the order of their first image.
    classes: dict[int, ClassCount] = field(default_factory=dict)

    def update(self, record: Record) -> None:
        """Take in the first answer of one image, where it has one."""
        if not record.get("error") and record["predictions"]:
            best = record["predictions"][0]
            chance = best["probability"]
            self._add(
                best["index"],
                ClassCount(best["label"], 1, exact(chance or 0.0), 0 if chance is None else 1),
            )

    def merge(self, other: FirstAnswers) -> None:
        """Take in other images."""
        for index, class_count in other.classes.items():
            self._add(index, class_count)

    def state(self) -> dict[str, Any]:
        """Return by index: label, images, the exact sum in hexadecimal digits, images with a probability."""
        return {
            str(index): [counted.label, counted.images, f"{counted.sum:x}", counted.known]
            for index, counted in self.classes.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> FirstAnswers:
        """Return the reducer that had this state."""
        return cls(
            {
                int(index): ClassCount(label, images, int(total, 16), layer_state)
                for index, (label, images, total, layer_state) in state.items()
            }
        )

    def results(self) -> dict[str, Any]:
        """Return by index: `label`, `images`, and `probability`, its mean."""
        return {
            str(index): {"label": counted.label, "images": counted.images, "probability": counted.mean}
            for index, counted in self.classes.items()
        }

    def _add(self, index: int, counted: ClassCount) -> None:
        total = self.classes.setdefault(index, ClassCount(counted.label))
        total.images += counted.images
        total.sum += counted.sum
        total.known += counted.known


def exact(value: float) -> int:
    """Return a finite number in units of 2 ** -EXACT, a whole one, so that sums do not depend on their order.

    Args:
        value: Any float64 that is finite.
    """
    numerator, denominator = value.as_integer_ratio()
    return numerator * ((1 << EXACT) // denominator)


class Reductions:
    """Several reducers over the same records."""

    def __init__(self, reducers: Sequence[Reducer]) -> None:
        """Join reducers, each of another class."""
        self._reducers = reducers

    @classmethod
    def of(cls, kinds: Iterable[type[Reducer]]) -> Reductions:
        """Return a fresh reducer of each class."""
        return cls([kind() for kind in kinds])

    def lines(self) -> Iterator[tuple[str, str]]:
        """Return what each says to a person, its word before each sentence."""
        return ((reducer.word, line) for reducer in self._reducers for line in reducer.lines())

    def update(self, record: Record) -> None:
        """Have each take in the record of one image."""
        for reducer in self._reducers:
            reducer.update(record)

    def results(self) -> dict[str, Any]:
        """Return what each says of all images, by its key; nothing of those that have nothing to say."""
        return {reducer.key: result for reducer in self._reducers if (result := reducer.results())}


def reduced(reducer: AnyReducer, records: Iterable[Record]) -> AnyReducer:
    """Return the same reducer, after it has taken in all records.

    Args:
        reducer: It is changed.
        records: Those of images, each once, in any order.
    """
    for record in records:
        reducer.update(record)
    return reducer
