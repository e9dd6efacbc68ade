"""What comparisons of methods say of all images together, and of those of a class: means, standard errors and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any, ClassVar

from cnnexplain.core.records import kind_of
from cnnexplain.core.reduce import EXACT, Record, Reducer, exact
from cnnexplain.core.results.map import PIXELS

SCORES = ("deletion", "insertion", "advantage", "blurred")  # that every map with scores has
OTHERS = ("infidelity", "edges", "randomised", "layers", "sensitivity", "gap", "road")  # that it may have
SHOWN_CLASSES = 8  # on the terminal; all are in run.json


@dataclass
class _Sum:
    """The sum of a score and of its squares, exactly: whole numbers, which add up alike in any order."""

    images: int = 0
    total: int = 0  # in units of 2 ** -EXACT
    squares: int = 0  # in units of 2 ** (-2 * EXACT)

    def add(self, other: _Sum) -> None:
        """Take in the sum of other images."""
        self.images += other.images
        self.total += other.total
        self.squares += other.squares

    def mean(self) -> Fraction:
        """Return the mean."""
        return Fraction(self.total, self.images << EXACT)

    def error(self) -> float | None:
        """Return the mean's standard error, None of a single image."""
        if self.images < 2:
            return None
        spread = Fraction(self.squares, self.images << 2 * EXACT) - self.mean() ** 2
        return math.sqrt(spread / (self.images - 1))


@dataclass
class _ScoreSums:
    """The sums of all scores of one map."""

    scores: dict[str, _Sum] = field(default_factory=dict)
    ranked: int = 0  # images in which all maps have scores
    ranks: int = 0  # twice the sum of its ranks there, of which equal ones are shared

    def add(self, other: _ScoreSums) -> None:
        """Take in the sums of other images."""
        for name, sums in other.scores.items():
            self.scores.setdefault(name, _Sum()).add(sums)
        self.ranked += other.ranked
        self.ranks += other.ranks

    def state(self) -> list[Any]:
        """Return all sums, in hexadecimal digits."""
        scores = {
            name: [one.images, f"{one.total:x}", f"{one.squares:x}"]
            for name, one in sorted(self.scores.items())
        }
        return [scores, self.ranked, self.ranks]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> _ScoreSums:
        """Return the sums that had this state."""
        scores, ranked, ranks = state
        sums = {
            name: _Sum(images, int(total, 16), int(squares, 16))
            for name, (images, total, squares) in scores.items()
        }
        return cls(sums, ranked, ranks)

    def results(self) -> dict[str, Any]:
        """Return means and their standard errors, those of a single image None, and the mean rank."""
        means: dict[str, Any] = {"images": self.scores["advantage"].images}
        for name in (*SCORES, *OTHERS):
            if name in self.scores:
                means[name] = float(self.scores[name].mean())
                means[f"{name}_error"] = self.scores[name].error()
        means["rank"] = self.ranks / 2 / self.ranked if self.ranked else None
        return means


Sums = dict[str, _ScoreSums]  # by method and layer, or by the name of a reference


@dataclass
class MethodMeans(Reducer):
    """Of every method the mean of its scores with its standard error, and its mean rank by advantage, 1 the best.

    A method at two layers counts as two. Beside them the references, which have no rank; and of every class whose
    scores were compared in several images the same of those alone.
    """

    key: ClassVar[str] = "compared"
    word: ClassVar[str] = "compared"

    maps: Sums = field(default_factory=dict)
    references: Sums = field(default_factory=dict)
    classes: dict[int, Sums] = field(default_factory=dict)  # of maps, by the number of the class
    labels: dict[int, str] = field(default_factory=dict)

    def update(self, record: Record) -> None:
        """Take in the comparison of one image, where it has one."""
        for entry in record["explanations"]:
            if kind_of(entry) != "comparison":
                continue
            scored = {_name(one): one for one in entry["methods"] if one["advantage"] is not None}
            whole = len(scored) == len(entry["methods"])
            advantages = [one["advantage"] for one in scored.values()]
            target = entry.get("target")  # None of a function, which is no class
            for name, method in scored.items():
                ranks = _twice_rank(method["advantage"], advantages) if whole else 0
                sums = _sums(method, int(whole), ranks)
                _add(self.maps, name, sums)
                if target:
                    self.labels[target["index"]] = target["label"]
                    _add(self.classes.setdefault(target["index"], {}), name, sums)
            for reference in entry["references"]:
                _add(self.references, reference["name"], _sums(reference))

    def merge(self, other: MethodMeans) -> None:
        """Take in other images."""
        self.labels |= other.labels
        pairs = [(self.maps, other.maps), (self.references, other.references)]
        pairs += [(self.classes.setdefault(index, {}), theirs) for index, theirs in other.classes.items()]
        for mine, theirs in pairs:
            for name, sums in theirs.items():
                _add(mine, name, sums)

    def state(self) -> dict[str, Any]:
        """Return all sums by name, and by class with its label."""
        return {
            "maps": _state(self.maps),
            "references": _state(self.references),
            "classes": {
                str(index): [self.labels[index], _state(sums)] for index, sums in sorted(self.classes.items())
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> MethodMeans:
        """Return the reducer that had this state."""
        classes = {
            int(index): (label, _from_state(sums)) for index, (label, sums) in state["classes"].items()
        }
        return cls(
            _from_state(state["maps"]),
            _from_state(state["references"]),
            {index: sums for index, (_, sums) in classes.items()},
            {index: label for index, (label, _) in classes.items()},
        )

    def results(self) -> dict[str, Any]:
        """Return `maps` and `references`: by name the images, means, standard errors and the mean rank.

        Where there are several classes also `classes`, by number the `label` and `maps` of those with several images.
        """
        if not self.references:
            return {}
        results = {"maps": _results(self.maps), "references": _results(self.references)}
        of_classes = {index: _results(sums) for index, sums in sorted(self.classes.items())}
        several = {
            str(index): {"label": self.labels[index], "maps": maps}
            for index, maps in of_classes.items()
            if any(means["images"] > 1 for means in maps.values())
        }
        return {**results, "classes": several} if several and len(of_classes) > 1 else results

    def lines(self) -> Iterator[str]:
        """Return a sentence for each method, the largest advantage first, then for the most frequent classes.

        Nothing of a single image.
        """
        results = self.results()
        if not results:
            return
        every = {**results["maps"], **results["references"]}
        for name, means in sorted(every.items(), key=lambda item: -item[1]["advantage"]):
            if means["images"] > 1:
                rank = f", mean rank {means['rank']:.2g}" if means["rank"] is not None else ""
                yield f"{name}: advantage {_advantage(means)} over {means['images']:,} images{rank}"
        for label, name, means in islice(best_of_classes(results.get("classes") or {}), SHOWN_CLASSES):
            yield f"{label}: {name} has the largest advantage, {_advantage(means)} over {means['images']:,} images"


def best_of_classes(
    classes: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Return of every class its label, the method with the largest advantage and its means, most frequent first.

    Args:
        classes: As `MethodMeans.results` has them.
    """
    best = [
        (entry["label"], *max(entry["maps"].items(), key=lambda item: item[1]["advantage"]))
        for entry in classes.values()
    ]
    return iter(sorted(best, key=lambda row: -row[2]["images"]))


def _advantage(means: Mapping[str, Any]) -> str:
    mean, error = f"{means['advantage']:+.3f}".replace("-", "−"), means["advantage_error"]
    return mean if error is None else f"{mean} ± {error:.2g}"


def _add(sums: Sums, name: str, more: _ScoreSums) -> None:
    sums.setdefault(name, _ScoreSums()).add(more)


def _state(sums: Sums) -> dict[str, Any]:
    return {name: sums[name].state() for name in sorted(sums)}


def _from_state(state: Mapping[str, Any]) -> Sums:
    return {name: _ScoreSums.from_state(sums) for name, sums in state.items()}


def _results(sums: Sums) -> dict[str, Any]:
    return {name: sums[name].results() for name in sorted(sums)}


def _name(scored: Mapping[str, Any]) -> str:
    return scored["method"] if scored["layer"] == PIXELS else f"{scored['method']} at {scored['layer']}"


def _sums(scored: Mapping[str, Any], ranked: int = 0, ranks: int = 0) -> _ScoreSums:
    """The sums of a single image; without a blurred copy its advantage counts as its own."""
    blurred = (scored.get("blurred") or scored)["advantage"]
    values = {name: scored[name] for name in SCORES[:3]} | {"blurred": blurred}
    values |= {name: scored.get(name) for name in OTHERS}
    if values["layers"]:
        values["layers"] = values["layers"][-1]["correlation"]  # with all of them drawn anew
    known = {name: exact(float(value)) for name, value in values.items() if value is not None}
    return _ScoreSums({name: _Sum(1, value, value * value) for name, value in known.items()}, ranked, ranks)


def _twice_rank(value: float, values: Sequence[float]) -> int:
    """Twice the rank of a value, 1 for the largest; equal ones share the mean of their ranks."""
    above, equal = sum(other > value for other in values), sum(other == value for other in values)
    return 2 * above + equal + 1
