"""All checks at once, on the model that ships with cnnexplain, whole and damaged in one way each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

import cnnexplain
from cnnexplain import Explainer, Verdict, checks

PHOTOGRAPHS = (
    "chelsea.png",
    "coffee.png",
    "astronaut.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "retina.jpg",
)
Damage = Callable[[nn.Module], object]


@pytest.fixture(scope="module")
def whole() -> Explainer:
    return cnnexplain.load("bundled:efficientnet_lite0")


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    files = [Path(skimage.data.__file__).with_name(name) for name in PHOTOGRAPHS]
    found = [Image.open(file).convert("RGB") for file in files]
    return [*found, *map(Image.fromarray, load_sample_images().images)]


@pytest.fixture(scope="module")
def labels(whole: Explainer, photographs: list[Image.Image]) -> list[int]:
    """What the whole model says of the photographs."""
    return [one.predictions[0].index for one in whole.explain(photographs)]


def complaints(verdicts: list[Verdict]) -> Iterator[str]:
    return (one.check for one in verdicts if one.status in ("fail", "warn"))


@pytest.mark.slow
def test_nothing_is_wrong_with_the_whole_model(
    whole: Explainer, photographs: list[Image.Image], labels: list[int]
) -> None:
    verdicts = whole.check(photographs, labels=labels)
    assert list(complaints(verdicts)) == []
    assert sum(one.status == "pass" for one in verdicts) >= 16


def dropout(module: nn.Module) -> None:
    module.classifier.register_forward_pre_hook(lambda _, inputs: nn.functional.dropout(inputs[0], 0.2))


def reset(module: nn.Module) -> None:
    for child in module.blocks[3].modules():
        if isinstance(child, nn.BatchNorm2d):
            child.reset_running_stats()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a buffer of NaN": (lambda net: net.bn1.running_mean.fill_(torch.nan), "finite"),
    "a head made anew": (lambda net: net.classifier.reset_parameters(), "untrained-layers"),
    "a block's statistics reset": (reset, "batchnorm"),
    "a filter of zeros": (lambda net: net.conv_stem.weight[5].zero_(), "dead-filters"),
    "a filter twice": (lambda net: net.conv_head.weight[3].copy_(net.conv_head.weight[4]), "duplicate-filters"),
    "weights for BGR": (lambda net: net.conv_stem.weight.copy_(net.conv_stem.weight.flip(1)), "channel-order"),
    "dropout left on": (dropout, "deterministic"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_the_first_thing_that_is_named(
    name: str, whole: Explainer, photographs: list[Image.Image], labels: list[int]
) -> None:
    damage, check = DAMAGES[name]
    module = deepcopy(whole.model.module)
    with torch.no_grad():
        damage(module)
    explainer = cnnexplain.load(module, preprocess=whole.model.preprocess, labels=whole.model.labels)
    before = checks.ids()[: checks.ids().index(check) + 1]
    verdicts = explainer.check(photographs, labels=labels, only=before)
    assert list(complaints(verdicts)) == [check]
