"""From what was measured of a map to a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.belief import Belief, Believe

BEYOND = 2.0  # standard deviations of random orders: what chance hardly does
SAME, LIKE = 0.98, 0.9  # rank correlation of two maps: the same map, and nearly
ROUNDING = 1e-6  # of a value


@dataclass(frozen=True)
class Places:
    """By how much the score is lower without what is marked most than without what is marked least, half of that."""

    fall: float
    edges: float  # the same of an edge detector
    spread: float  # standard deviation of random orders, whose mean is 0
    score: float
    where: str  # the layer in whose map cells are deleted, or the input
    own: bool = True  # whether the map is of that layer; to one of pixels its cells are not the same places

    @property
    def nothing(self) -> bool:
        """Whether what is deleted makes no difference."""
        return not max(abs(self.fall), self.spread) > ROUNDING * max(1.0, abs(self.score))


def belief(places: Places | str, likeness: tuple[str, float | None], undecided: bool) -> Belief:
    """The verdict on a map.

    Args:
        places: What was measured of the places that it marks; or in words why nothing was.
        likeness: How alike it and its map of a randomised classifier are; before that in words why that is not known.
        undecided: Whether the model hardly prefers one class to others.
    """
    facts: dict[str, Any] = {}
    if isinstance(places, str):
        return Belief("unclear", (places,))
    seen = [("unclear", "the model hardly prefers one class to another")] if undecided else []
    seen += [_of_places(places, facts), _of_likeness(*likeness, facts)]
    grades = [grade for grade, _ in seen]
    believe: Believe = "no" if "no" in grades else "unclear" if "unclear" in grades else "yes"
    return Belief(
        believe, tuple(words for _, words in sorted(seen, key=lambda one: one[0] != believe)), facts
    )


def _of_places(places: Places, facts: dict[str, Any]) -> tuple[str, str]:
    if not math.isfinite(places.fall) or not math.isfinite(places.spread):
        return "unclear", "without parts of the image the scores are not finite"
    if places.nothing or not places.spread:
        return "unclear", "whatever is deleted, the score stays the same"
    fall, of_edges = places.fall / places.spread, places.edges / places.spread
    facts |= {"deleted_in": places.where, "marks": round(fall, 1), "edges": round(of_edges, 1)}
    if fall <= -BEYOND:
        return (
            "no" if places.own else "unclear",
            "worse than random: the score hangs on what it does not mark",
        )
    if fall < BEYOND:
        return "unclear", "no better than random"
    if fall <= of_edges:
        return "unclear", "better than random, no better than edges"
    return "yes", "better than random and than edges"


def _of_likeness(why: str, alike: float | None, facts: dict[str, Any]) -> tuple[str, str]:
    if alike is None:
        return "unclear", why
    facts["alike"] = round(alike, 2)
    if alike >= SAME:
        return "no", "indifferent to the class: stays as it is when the classifier is randomised"
    if alike >= LIKE:
        return "unclear", "changes little when the classifier is randomised"
    return "yes", "changes when the classifier is randomised"
