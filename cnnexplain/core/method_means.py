"""What comparisons of methods say of all images together: means, standard errors and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from cnnexplain.core.records import kind_of
from cnnexplain.core.reduce import EXACT, Record, Reducer, exact
from cnnexplain.core.results.map import PIXELS

SCORES = ("deletion", "insertion", "advantage", "blurred")


@dataclass
class _ScoreSums:
    """Sums of one map's scores and of their squares, exactly: whole numbers, which add up alike in any order."""

    images: int = 0
    sums: list[int] = field(default_factory=lambda: [0] * len(SCORES))  # in units of 2 ** -EXACT
    squares: list[int] = field(default_factory=lambda: [0] * len(SCORES))  # in units of 2 ** (-2 * EXACT)
    ranked: int = 0  # images in which all maps have scores
    ranks: int = 0  # twice the sum of its ranks there, of which equal ones are shared

    def add(self, other: _ScoreSums) -> None:
        """Take in the sums of other images."""
        self.images += other.images
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]
        self.ranked += other.ranked
        self.ranks += other.ranks

    def results(self) -> dict[str, Any]:
        """Return means and their standard errors, those of a single image None, and the mean rank."""
        means: dict[str, Any] = {"images": self.images}
        for name, total, squares in zip(SCORES, self.sums, self.squares, strict=True):
            mean = Fraction(total, self.images << EXACT)
            means[name] = float(mean)
            spread = Fraction(squares, self.images << 2 * EXACT) - mean * mean
            means[f"{name}_error"] = math.sqrt(spread / (self.images - 1)) if self.images > 1 else None
        means["rank"] = self.ranks / 2 / self.ranked if self.ranked else None
        return means


@dataclass
class MethodMeans(Reducer):
    """Of every method the mean of its scores with its standard error, and its mean rank by advantage, 1 the best.

    A method at two layers counts as two. Beside them the references, which have no rank.
    """

    key: ClassVar[str] = "compared"
    word: ClassVar[str] = "compared"

    maps: dict[str, _ScoreSums] = field(default_factory=dict)  # by method and layer
    references: dict[str, _ScoreSums] = field(default_factory=dict)

    def update(self, record: Record) -> None:
        """Take in the comparison of one image, where it has one."""
        for entry in record["explanations"]:
            if kind_of(entry) != "comparison":
                continue
            scored = {_name(one): one for one in entry["methods"] if one["advantage"] is not None}
            whole = len(scored) == len(entry["methods"])
            advantages = [one["advantage"] for one in scored.values()]
            for name, method in scored.items():
                ranks = _twice_rank(method["advantage"], advantages) if whole else 0
                self._add(self.maps, name, _sums(method, int(whole), ranks))
            for reference in entry["references"]:
                self._add(self.references, reference["name"], _sums(reference))

    def merge(self, other: MethodMeans) -> None:
        """Take in other images."""
        for mine, theirs in ((self.maps, other.maps), (self.references, other.references)):
            for name, sums in theirs.items():
                self._add(mine, name, sums)

    def state(self) -> dict[str, Any]:
        """Return all sums by name, in hexadecimal digits."""
        return {
            kind: {
                name: [
                    one.images,
                    [f"{value:x}" for value in one.sums],
                    [f"{value:x}" for value in one.squares],
                    one.ranked,
                    one.ranks,
                ]
                for name, one in sums.items()
            }
            for kind, sums in (("maps", self.maps), ("references", self.references))
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> MethodMeans:
        """Return the reducer that had this state."""
        maps, references = (
            {
                name: _ScoreSums(
                    images,
                    [int(value, 16) for value in sums],
                    [int(value, 16) for value in squares],
                    ranked,
                    ranks,
                )
                for name, (images, sums, squares, ranked, ranks) in state[kind].items()
            }
            for kind in ("maps", "references")
        )
        return cls(maps, references)

    def results(self) -> dict[str, Any]:
        """Return `maps` and `references`: by name the images, means, standard errors and the mean rank."""
        if not self.references:
            return {}
        kinds = {"maps": self.maps, "references": self.references}
        return {kind: {name: sums[name].results() for name in sorted(sums)} for kind, sums in kinds.items()}

    def lines(self) -> Iterator[str]:
        """Return a sentence for each method, the largest advantage first; nothing of a single image."""
        results = self.results()
        if not results:
            return
        every = {**results["maps"], **results["references"]}
        for name, means in sorted(every.items(), key=lambda item: -item[1]["advantage"]):
            if means["images"] > 1:
                rank = f", mean rank {means['rank']:.2g}" if means["rank"] is not None else ""
                mean = f"{means['advantage']:+.3f}".replace("-", "−")
                yield f"{name}: advantage {mean} ± {means['advantage_error']:.2g} over {means['images']:,} images{rank}"

    @staticmethod
    def _add(sums: dict[str, _ScoreSums], name: str, more: _ScoreSums) -> None:
        sums.setdefault(name, _ScoreSums()).add(more)


def _name(scored: Mapping[str, Any]) -> str:
    return scored["method"] if scored["layer"] == PIXELS else f"{scored['method']} at {scored['layer']}"


def _sums(scored: Mapping[str, Any], ranked: int = 0, ranks: int = 0) -> _ScoreSums:
    """The sums of a single image; without a blurred copy its advantage counts as its own."""
    blurred = (scored.get("blurred") or scored)["advantage"]
    values = [exact(scored[name]) for name in SCORES[:3]] + [exact(blurred)]
    return _ScoreSums(1, values, [value * value for value in values], ranked, ranks)


def _twice_rank(value: float, values: Sequence[float]) -> int:
    """Twice the rank of a value, 1 for the largest; equal ones share the mean of their ranks."""
    above, equal = sum(other > value for other in values), sum(other == value for other in values)
    return 2 * above + equal + 1
