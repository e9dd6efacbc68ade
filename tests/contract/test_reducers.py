"""Whatever parts a run is made of, in whatever order: what is said of all images is the same, to the last digit."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from cnnexplain.commands import ImageCommand, command, names
from cnnexplain.core.method_means import MethodMeans
from cnnexplain.core.reduce import FirstAnswers, Reducer, Reductions, SilentChannels, reduced

REDUCERS = (
    FirstAnswers,
    *{
        kind: None
        for name in names()
        if issubclass(known := command(name), ImageCommand)
        for kind in known.reducers
    },
)


def scored(name: str, advantage: float | None) -> dict[str, Any]:
    """A method or a reference, as far as reducers read it."""
    scores = None if advantage is None else advantage / 3
    named = {"name": name, "method": name, "layer": "input", "deletion": scores, "insertion": scores}
    return {**named, "advantage": advantage, "blurred": None}


def compared(**advantages: float | None) -> dict[str, Any]:
    """The record of an image with a comparison."""
    entry = {"kind": "comparison", "methods": [scored(*one) for one in advantages.items()]}
    index = len(str(sum(value or 0 for value in advantages.values()))) % 3
    entry["target"] = {"index": index, "label": f"class {index}"}
    made = record(0, 0.5, [])
    return {**made, "explanations": [{**entry, "references": [scored("random", 0.0)]}]}


def record(index: int, chance: float | None, silent: Sequence[int]) -> dict[str, Any]:
    """As far as reducers read it."""
    entry = {"kind": "channels", "layer": "stem", "channels": {"count": 4, "silent": list(silent)}}
    prediction = {"index": index, "label": f"class {index}", "probability": chance, "logit": 1.0}
    return {"status": "ok", "predictions": [prediction], "explanations": [entry]}


def records(number: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    made = [
        record(draw.randrange(3), draw.random() * 10.0 ** -draw.randrange(12), draw.sample(range(4), 3))
        for _ in range(number)
    ]
    tiny = [draw.gauss(0, 1) * 10.0 ** -draw.randrange(12) for _ in range(6)]
    made[1:4] = [compared(a=one, b=other) for one, other in zip(tiny, tiny[3:], strict=False)]
    made[4] = compared(a=0.25, b=None)
    made[number // 2] = {
        "status": "error",
        "error": {"type": "ImageError"},
        "predictions": [],
        "explanations": [],
    }
    return made


@pytest.mark.parametrize("kind", REDUCERS)
def test_parts_in_any_order_come_to_the_same(kind: type[Reducer]) -> None:
    every = records(40)
    whole = reduced(kind(), every)
    for seed in range(5):
        mixed = random.Random(seed).sample(every, len(every))
        ends = sorted(random.Random(seed + 100).sample(range(len(mixed)), 3))
        parts = [mixed[start:end] for start, end in zip((0, *ends), (*ends, len(mixed)), strict=True)]
        joined = kind()
        for part in parts:
            state = json.loads(json.dumps(reduced(kind(), part).state()))  # as a file has it
            joined.merge(kind.from_state(state))
        assert sorted(joined.state().items()) == sorted(whole.state().items())
        assert sorted(joined.results().items()) == sorted(whole.results().items())
    nested = kind()
    right = reduced(kind(), every[10:20])
    right.merge(reduced(kind(), every[20:]))
    nested.merge(reduced(kind(), every[:10]))
    nested.merge(right)
    assert nested.state() == whole.state()


@pytest.mark.parametrize("kind", REDUCERS)
def test_nothing_is_said_of_no_images(kind: type[Reducer]) -> None:
    assert kind().results() == {}
    assert list(kind().lines()) == []
    assert Reductions.of([kind]).results() == {}


def test_channels_that_fire_in_none_of_the_images() -> None:
    silent = reduced(SilentChannels(), [record(0, 0.5, [1, 2]), record(1, 0.5, [2, 3])])
    assert silent.results() == {"stem": {"channels": [2], "count": 4, "images": 2}}
    (line,) = silent.lines()
    assert line == "stem: 1 of 4 channels fired in none of 2 images: 2"
    assert reduced(SilentChannels(), [record(0, 0.5, [1])]).results() == {}  # one image proves nothing


def test_first_answers_are_summed_exactly() -> None:
    chances = [0.1] * 10 + [1e-300, 5e-324, 1.0]
    answers = reduced(FirstAnswers(), [record(7, chance, []) for chance in chances])
    said = answers.results()["7"]
    assert (said["label"], said["images"]) == ("class 7", 13)
    assert said["probability"] == pytest.approx(math.fsum(chances) / 13, rel=1e-15)
    scores = reduced(FirstAnswers(), [record(7, None, [])])
    assert scores.results()["7"] == {"label": "class 7", "images": 1, "probability": None}


def test_means_of_methods_by_hand() -> None:
    means = reduced(MethodMeans(), [compared(a=0.3, b=0.1), compared(a=0.1, b=0.1), compared(a=0.2, b=None)])
    found = means.results()["maps"]
    assert (found["a"]["images"], found["b"]["images"]) == (3, 2)
    assert found["a"]["advantage"] == pytest.approx(0.2)
    assert found["a"]["advantage_error"] == pytest.approx(0.1 / 3**0.5)  # deviation 0.1
    assert found["a"]["blurred"] == found["a"]["advantage"]
    assert (found["a"]["rank"], found["b"]["rank"]) == (1.25, 1.75), (
        "equal ones share the mean of their ranks"
    )
    assert means.results()["references"]["random"] == {
        "images": 3, "deletion": 0, "deletion_error": 0, "insertion": 0, "insertion_error": 0, "advantage": 0,
        "advantage_error": 0, "blurred": 0, "blurred_error": 0, "rank": None,
    }  # fmt: skip
    lines = list(means.lines())
    assert lines[0] == "a: advantage +0.200 ± 0.058 over 3 images, mean rank 1.2"
    assert len(lines) == 3
    single = reduced(MethodMeans(), [compared(a=0.3)])
    assert single.results()["maps"]["a"]["advantage_error"] is None
    assert list(single.lines()) == []


def test_means_by_class_are_those_of_its_images_alone() -> None:
    def of(index: int, **advantages: float) -> dict[str, Any]:
        made = compared(**advantages)
        made["explanations"][0]["target"] = {"index": index, "label": f"class {index}"}
        for method in made["explanations"][0]["methods"]:
            method["infidelity"] = 0.5
            method["layers"] = [{"drawn_anew": 1, "correlation": 0.9}, {"drawn_anew": 7, "correlation": 0.25}]
        return made

    images = [
        of(4, a=0.1, b=0.3),
        of(4, a=0.1, b=0.5),
        of(2, a=0.9, b=0.1),
        of(2, a=0.7, b=0.1),
        of(9, a=1.0, b=0.0),
    ]
    means = reduced(MethodMeans(), images)
    found = means.results()
    assert list(found["classes"]) == ["2", "4"], "of one image there is no interval"
    assert found["classes"]["4"]["label"] == "class 4"
    assert found["classes"]["4"]["maps"] == reduced(MethodMeans(), images[:2]).results()["maps"]
    assert found["classes"]["2"]["maps"]["a"]["advantage"] == pytest.approx(0.8)
    assert found["classes"]["2"]["maps"]["a"]["advantage_error"] == pytest.approx(0.1)
    assert (found["maps"]["a"]["infidelity"], found["maps"]["a"]["layers"]) == (0.5, 0.25)
    lines = list(means.lines())
    assert "class 2: a has the largest advantage, +0.800 ± 0.1 over 2 images" in lines
    assert "class 4: b has the largest advantage, +0.400 ± 0.1 over 2 images" in lines
    assert "classes" not in reduced(MethodMeans(), images[:2]).results(), (
        "of a single class all is said already"
    )
