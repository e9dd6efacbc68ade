"""One class as a model sees it in one image, or the value of a function in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnnexplain.core.records import number, readable


@dataclass(frozen=True)
class Prediction:
    """One class of one image; or the function that a model was asked for, under its name, which has the index -1."""

    index: int
    label: str
    probability: float | None  # None where scores are no probabilities
    logit: float  # the score, or the value of the function

    @property
    def is_class(self) -> bool:
        """Whether it is a class, and no function."""
        return self.index >= 0

    def record(self) -> dict[str, Any]:
        """The same as plain data. Raises `ImageError` where a number is not finite."""
        chance = self.probability
        return {
            "index": int(self.index),
            "label": readable(self.label),
            "probability": None if chance is None else number(chance, "a probability"),
            "logit": number(self.logit, "a logit"),
        }
