"""Comparisons: maps of several methods of one image with their scores, beside maps that know nothing of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.core import words
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.core.results import Detail, Entry, Result, require_whole
from cnnexplain.core.results.map import PIXELS, Heatmap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MethodComparison"]
INDIFFERENT = 0.7  # rank correlation of the maps before and after the classifier is drawn anew
RANDOM, EDGES, CENTRE = "random", "edges", "centre"  # the references, in their order
Curve = tuple[float, ...]


@dataclass(frozen=True)
class CurveScores:
    """What becomes of a score while the cells of an image are deleted, and inserted, in the order of a map."""

    deleted: Curve  # the most marked first; both ends included
    inserted: Curve
    deletion: float  # the area under each, the mean height
    insertion: float
    advantage: float  # over random orders, the mean of both
    spread: float | None = None  # of random orders alone: the standard deviation of their advantages
    infidelity: float | None = (
        None  # the share of the score's drops that is left unexplained; not of random orders
    )
    road: float | None = None  # of removing without a trace; likewise, and only where it was asked for

    def record(self, *, curves: bool = True) -> dict[str, Any]:
        """Return the areas, and the curves with them."""
        recorded: dict[str, Any] = {
            name: number(getattr(self, name), f"the {name}")
            for name in ("deletion", "insertion", "advantage")
        }
        for name in ("spread", "infidelity", "road"):
            if (value := getattr(self, name)) is not None:
                recorded[name] = number(value, f"the {name}")
        if curves:
            for name in ("deleted", "inserted"):
                recorded[name] = [
                    number(value, f"the score with cells {name}") for value in getattr(self, name)
                ]
        return recorded


@dataclass(frozen=True)
class NoiseScores:
    """How much a little noise on an image changes a map of it, as shares of the map's length; NaN where not known."""

    copies: int
    mean: float
    error: float  # of the mean, its standard error
    largest: float

    def record(self) -> dict[str, Any]:
        """Return the largest change, the mean with its standard error, and how many copies it was."""
        changes = {
            "sensitivity": self.largest,
            "sensitivity_mean": self.mean,
            "sensitivity_error": self.error,
        }
        rounded = {name: None if math.isnan(value) else round(value, 4) for name, value in changes.items()}
        return {**rounded, "noisy_copies": self.copies}


@dataclass(frozen=True, eq=False)
class ComparedMap:
    """One map among others.

    `scores` and `blurred`, those of its blurred copy, are None where the map puts no cell before another, which `why`
    says. `edges` is its rank correlation with the edges of the image, NaN where there is none. `randomised` is that
    with the same map when the classifier was drawn anew, the mean of some draws, and `noise` by how much a little noise
    changes it; None where they were not asked for. `layers` has the correlations with the same map when so many layers
    were drawn anew, from the last one to all of them.
    """

    heatmap: Heatmap
    scores: CurveScores | None
    blurred: CurveScores | None
    edges: float
    why: str = ""
    randomised: float | None = None
    noise: NoiseScores | None = None
    layers: tuple[tuple[int, float], ...] = ()

    def record(self) -> dict[str, Any]:
        """Return method, layer and scores; all scores are None where the map has none."""
        scores = None if self.scores is None else self.scores.record()
        empty = dict.fromkeys(("deletion", "insertion", "advantage"))
        recorded: dict[str, Any] = {
            "method": self.heatmap.method,
            "layer": layer_name(self.heatmap.layer),
            **(scores or empty),
            "blurred": None if self.blurred is None else self.blurred.record(curves=False),
            "edges": correlation(self.edges),
        }
        if self.randomised is not None:
            recorded["randomised"] = correlation(self.randomised)
        if self.noise is not None:
            recorded |= self.noise.record()
        if self.layers:
            recorded["layers"] = [
                {"drawn_anew": count, "correlation": correlation(value)} for count, value in self.layers
            ]
        if not self.heatmap.of_class:
            recorded["of_class"] = False
        if (gap := _gap(self.heatmap)) is not None:
            recorded["gap"] = number(gap, "the gap")
        return {**recorded, "why": self.why} if self.why else recorded


def _gap(heatmap: Heatmap) -> float | None:
    """Return the share of what a map promises to add up to that its sum misses; None where it promises nothing."""
    facts = heatmap.detail.facts
    if integral := facts.get("completeness"):
        gap, promised = integral["gap"], integral["difference"]
    elif gradients := facts.get("fullgrad"):
        gap, promised = gradients["score"] - gradients["sum"], gradients["score"]
    else:
        return None
    return abs(gap / promised) if promised else None


@dataclass(frozen=True, eq=False)
class MethodComparison(Result):
    """Maps of one class of one image, each with the same scores, and those of the references."""

    kind: ClassVar[str] = "comparison"
    summed_up_as: ClassVar[str] = "comparisons"
    method: str = field(default="compare", init=False)
    layer: str = field(default=PIXELS, init=False)

    target: Prediction
    score: str  # what falls and rises: probability or logit
    cells: tuple[int, int]  # rows and columns of the cells that are deleted
    shares: Curve  # of the cells, from 0 to 1, at which the curves have their values
    maps: tuple[ComparedMap, ...] = field(repr=False)
    references: dict[str, CurveScores] = field(repr=False)  # by name, in their order
    agreement: NDArray[np.float64] = field(
        repr=False
    )  # (maps, maps), rank correlation; NaN where there is none
    grids: NDArray[np.float32] = field(repr=False)  # (maps, rows, columns): each map on the cells
    random: tuple[Curve, Curve] = field(
        repr=False
    )  # the lowest and highest value of the random orders, deleted
    detail: Detail = field(default_factory=Detail, repr=False)

    def record(self) -> dict[str, Any]:
        """Return the scores of every method and reference, and how far the methods agree."""
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": self.layer,
            "target": self.target.record() if self.target.is_class else None,
            "score": self.score,
            "cells": list(self.cells),
            "shares": [round(share, 6) for share in self.shares],
            "methods": [compared.record() for compared in self.maps],
            "references": [{"name": name, **scores.record()} for name, scores in self.references.items()],
            "agreement": [[correlation(value) for value in row] for row in self.agreement.tolist()],
        }

    @property
    def name(self) -> str:
        """What it is called in a sentence about it."""
        return "comparison of methods"

    def name_parts(self) -> dict[str, str]:
        """Return nothing: there is one for an image."""
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every map on the cells, (maps, rows, columns), the curves (maps, points) and the agreement."""
        import numpy as np

        missing = (float("nan"),) * len(self.shares)
        scores = [compared.scores for compared in self.maps]
        return {
            "values": self.grids,
            "deleted": np.array([missing if one is None else one.deleted for one in scores]),
            "inserted": np.array([missing if one is None else one.inserted for one in scores]),
            "shares": np.array(self.shares),
            "agreement": self.agreement,
        }

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each comparison: of every method its advantage, and what it is better than."""
        return map(_summary, entries)

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry that lacks a score, or has an agreement of other methods.

        Raises:
            ValueError: A number is none, or there are too few.
        """
        require_whole(*entry["cells"])
        points = len(entry["shares"])
        for scored in entry["methods"]:
            str(scored["method"]), str(scored["layer"])
            if scored["advantage"] is not None:
                _require_scores(scored, points)
        for reference in entry["references"]:
            str(reference["name"])
            _require_scores(reference, points)
        if [len(row) for row in entry["agreement"]] != [len(entry["methods"])] * len(entry["methods"]):
            raise ValueError("an agreement is not one of each method with each")


def _summary(entry: Entry) -> str:
    methods = entry["methods"]
    return "; ".join(
        f"{name} {signed(scored['advantage'])}, {judgement(scored, entry['references'])}"
        for name, scored in zip(names_of(methods), methods, strict=True)
    )


def names_of(methods: Sequence[Entry]) -> list[str]:
    """Return what each method is called: with its layer where it has several maps."""
    names = [str(scored["method"]) for scored in methods]
    return [
        f"{name} at {scored['layer']}" if names.count(name) > 1 else name
        for name, scored in zip(names, methods, strict=True)
    ]


def judgement(scored: Entry, references: Sequence[Entry]) -> str:
    """Return in words what a map is better than.

    Better means an advantage that is larger by more than chance: than random orders by twice the spread that they have
    among themselves, than anything else by that spread.

    Args:
        scored: A method's scores, as `ComparedMap.record` has them.
        references: As `MethodComparison.record` has them.
    """
    against = _against_references(scored, references)
    if scored.get("of_class", True) and (scored.get("randomised") or 0.0) > INDIFFERENT:
        return f"hardly changes when the classifier is redrawn; {against}"
    return against


def _against_references(scored: Entry, references: Sequence[Entry]) -> str:
    advantage = scored["advantage"]
    if advantage is None:
        return str(scored.get("why") or "not scored")
    by_name = {reference["name"]: reference for reference in references}
    spread = by_name[RANDOM].get("spread") or 0.0
    if advantage <= 2 * spread:
        return "no better than random"
    others = {EDGES: "edges", CENTRE: "the centre"}
    better = {name: advantage > by_name[name]["advantage"] + spread for name in others if name in by_name}
    worse = [others[name] for name, is_better in better.items() if not is_better]
    if worse:
        return f"better than random, no better than {words.listed(worse)}"
    return "better than random, edges and the centre"


def signed(value: float | None) -> str:
    """Return an advantage with its sign, +0.21; a dash where there is none."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def correlation(value: float) -> float | None:
    """Return a correlation as a record has it: two digits more than anybody reads; None where there is none."""
    return None if math.isnan(value) else round(value, 4)


def _require_scores(scored: Entry, points: int) -> None:
    for name in ("deletion", "insertion", "advantage"):
        float(scored[name])
    for name in ("deleted", "inserted"):
        if len([float(value) for value in scored[name]]) != points:
            raise ValueError("a curve has another number of points")


def named_label(entry: Entry) -> str:
    """Return the class that the scores are of, or that it is a function's value."""
    target = entry["target"]
    return readable(target["label"]) if target else "the target"
