"""How classes and numbers are written for people."""

from __future__ import annotations

import pytest

from cnnexplain.core.words import likelihood, named, unit_name


@pytest.mark.parametrize(
    ("index", "label", "words"),
    [(3, "class 3", "class 3"), (285, "Egyptian cat", "285 Egyptian cat"), (3, "class 4", "3 class 4")],
)
def test_no_class_is_numbered_twice(index: int, label: str, words: str) -> None:
    assert named(index, label) == unit_name(index, label, 10) == words


def test_a_unit_without_a_name_is_its_number() -> None:
    assert unit_name(7, "", 10) == "7"
    assert unit_name(0, "positive", 1) == "positive"


@pytest.mark.parametrize(
    ("probability", "words"), [(0.5, "50.0%"), (0.0, "0.0%"), (None, "score −1.5"), (0.99999, ">99.9%")]
)
def test_how_likely_a_class_is(probability: float | None, words: str) -> None:
    assert likelihood({"probability": probability, "logit": -1.5}) == words
