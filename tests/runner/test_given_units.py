"""Units from Python: the strongest of pictures that are at hand, and what is said of wrong calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import cnnexplain
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import CnnexplainError
from tests.networks import Rectified

PIXELS = np.random.default_rng(5).integers(0, 255, (11, 32, 32, 3), np.uint8)


@pytest.fixture
def explainer() -> cnnexplain.Explainer:
    torch.manual_seed(0)
    preprocess = Preprocess((32, 32), 3, (32, 32))
    return cnnexplain.load(Rectified(channels=3).eval(), preprocess=preprocess, labels=list("abcde"))


def layer_of(explainer: cnnexplain.Explainer) -> str:
    return explainer.model.choose_stages()[0][0]


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_the_strongest_are_those_of_sorting_everything(
    explainer: cnnexplain.Explainer, batch_size: int
) -> None:
    layer = layer_of(explainer)
    names = ["cat" if place % 3 else "dog" for place in range(len(PIXELS))]
    made = explainer.units(
        list(PIXELS), layer, labels=names, top=4, batch_size=batch_size, importance=True, importance_images=6
    )
    assert list(made) == [layer]
    every = [explainer.explain(each, "activations", layer=layer, top=512).feature_maps[0] for each in PIXELS]
    maps = [np.array([each.map(channel) for channel in range(each.count)]) for each in every]
    peaks = np.array([each.max((1, 2)) for each in maps])
    for unit in made[layer]:
        shown = [each for each in unit.shown if each.group == "top"]
        if unit.facts["dead"]:
            assert shown == []
            continue
        own = peaks[:, unit.channel]
        assert [each.activation for each in shown] == pytest.approx(sorted(own.tolist())[:-5:-1], rel=1e-5)
        for each in shown:
            assert each.activation == pytest.approx(own[each.position], rel=1e-5)
            assert maps[each.position][unit.channel].flat[each.cell] == pytest.approx(
                each.activation, rel=1e-5
            )
        assert unit.facts["purity"]["of"] == len(PIXELS)
        assert unit.facts["importance"]["images"] == 6
    assert len(made[layer]) == peaks.shape[1]


def test_channels_are_chosen_and_nothing_is_left_behind(explainer: cnnexplain.Explainer) -> None:
    explainer.model.module.train()
    (unit,) = explainer.units(list(PIXELS), layer_of(explainer), channel=1)[layer_of(explainer)]
    assert unit.channel == 1
    assert unit.facts["importance"] is None
    again = explainer.units(list(PIXELS), layer_of(explainer), channel=1, deconv=False, synthesised=None)
    assert again[layer_of(explainer)] == (unit,), "what is done anyway may be asked for"
    assert explainer.model.module.training


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"images": []}, "there are none"),
        ({"images": list(PIXELS), "labels": ["a"]}, "1 labels for 11 pictures"),
        ({"images": list(PIXELS), "channel": 999}, "--channel 999 is not in"),
        ({"images": ["gone.png"]}, "gone.png"),
        ({"images": list(PIXELS), "topp": 3}, "topp"),
        ({"images": list(PIXELS), "deconv": True}, "deconv=True has no use here"),
        ({"images": list(PIXELS), "synthesised": "made"}, "synthesised='made' has no use here"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    explainer: cnnexplain.Explainer, call: dict[str, Any], says: str
) -> None:
    with pytest.raises(CnnexplainError) as caught:
        explainer.units(**call)
    assert says in f"{caught.value.problem} {caught.value}"
    assert caught.value.hint
