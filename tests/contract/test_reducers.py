"""Whatever parts a run is made of, in whatever order: what is said of all images is the same, to the last digit."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from cnnexplain.commands import ImageCommand, command, names
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
