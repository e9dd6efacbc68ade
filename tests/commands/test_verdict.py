"""Verdicts on maps: what is believed and what not, by hand and on photographs; and that they change nothing else."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, pooled
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands._belief import Places, belief
from cnnexplain.commands._verdict import judge_of
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.occlusion import Occlusion
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.belief import Belief
from cnnexplain.core.explanation import Batch
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.target import FunctionTarget, Target
from cnnexplain.engine.model import Model
from cnnexplain.engine.scoring.functions import with_target
from cnnexplain.engine.scoring.scores import mixture

PHOTOS = Path(__file__).parents[2] / "docs" / "photos"


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """The networks of a test have the same weights, whichever tests come before."""
    torch.manual_seed(0)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def maps(action: Any, model: Model, inputs: Tensor, row: int = 0) -> list[Heatmap]:
    bound, _ = action.bind(model)
    with model.borrowed():
        answer = bound.explain(model, Batch(inputs))
    return [result for result in answer.results[row] if isinstance(result, Heatmap)]


def said(heatmap: Heatmap) -> Belief:
    assert heatmap.verdict is not None
    return heatmap.verdict


# What decides ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fall", "edges", "alike", "undecided", "believe", "first"),
    [
        (3.0, 1.0, 0.3, False, "yes", "better than random and than edges"),
        (3.0, 4.0, 0.3, False, "unclear", "better than random, no better than edges"),
        (1.0, 4.0, 0.3, False, "unclear", "no better than random"),
        (-3.0, 1.0, 0.3, False, "no", "worse than random"),
        (3.0, 1.0, 0.99, False, "no", "indifferent to the class"),
        (3.0, 1.0, 0.95, False, "unclear", "changes little"),
        (3.0, 1.0, 0.3, True, "unclear", "the model hardly prefers"),
        (math.nan, 1.0, 0.3, False, "unclear", "without parts of the image the scores are not finite"),
    ],
)
def test_what_was_measured_decides(
    fall: float, edges: float, alike: float, undecided: bool, believe: str, first: str
) -> None:
    verdict = belief(Places(fall, edges, 1.0, 5.0, "layer4"), ("", alike), undecided)
    assert verdict.believe == believe
    assert verdict.reasons[0].startswith(first)


def test_in_another_layers_map_worse_than_random_is_unclear() -> None:
    verdict = belief(Places(-3.0, 1.0, 1.0, 5.0, "layer4", own=False), ("", 0.3), False)
    assert (verdict.believe, verdict.reasons[0][:17]) == ("unclear", "worse than random")


def test_where_nothing_was_measured_it_is_unclear_and_says_why() -> None:
    assert belief("it is the same everywhere", ("", 0.0), False).reasons == ("it is the same everywhere",)
    flat = belief(Places(0.0, 0.0, 0.0, 5.0, "layer4"), ("", 0.0), False)
    assert (flat.believe, flat.reasons[0]) == ("unclear", "whatever is deleted, the score stays the same")
    verdict = belief(Places(3.0, 1.0, 1.0, 5.0, "layer4"), ("no class enters it", None), False)
    assert (verdict.believe, verdict.reasons[0]) == ("unclear", "no class enters it")
    assert "alike" not in verdict.record()


# The mixture -------------------------------------------------------------------------------------


def test_a_mixture_leaves_out_what_is_explained_and_adds_up_to_nothing() -> None:
    logits = noise(2, 6)
    index = torch.tensor([3, 0])
    mixed = mixture(logits, [Target(index, logits[:, 0]), Target(torch.tensor([1, -1]), logits[:, 0])], 0)
    assert mixed is not None
    assert mixed.weights is not None
    assert mixed.weights[0, [3, 1]].tolist() == [0, 0]
    assert mixed.weights[1, 0] == 0
    assert mixed.weights[1, 1] != 0  # the second image has no second class
    torch.testing.assert_close(mixed.weights.sum(1), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed.score, (logits * mixed.weights).sum(1))


def test_of_too_few_classes_there_is_no_mixture() -> None:
    for count in (1, 2):
        logits = noise(1, count)
        assert mixture(logits, [Target(torch.tensor([1]), logits[:, 0])], 0) is None
    logits = noise(1, 3)
    targets = [Target(torch.tensor([index]), logits[:, index]) for index in (0, 1)]
    mixed = mixture(logits, targets, 0)
    assert mixed is not None
    assert not mixed.score.any()


# By hand -----------------------------------------------------------------------------------------


class Placed(nn.Module):
    """Class k scores what is positive in quarter k of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.ReLU()
        self.fc = nn.Linear(64, 4, bias=False)
        with torch.no_grad():
            weight = torch.zeros(4, 8, 8)
            for k, (top, left) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
                weight[k, top : top + 4, left : left + 4] = 1
            self.fc.weight.copy_(weight.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.map(x).flatten(1))


def test_the_map_that_marks_what_counts_is_believed_and_its_opposite_is_not() -> None:
    model = as_model(Placed(), (8, 8), 1)
    image = noise(1, 1, 8, 8)
    (heatmap,) = maps(Occlusion(window=1, stride=1, target="0", verdict=True), model, image)
    assert said(heatmap).believe == "yes"
    assert said(heatmap).facts["deleted_in"] == "input"
    judge = judge_of(model, wanted=True)
    assert judge is not None
    with model.borrowed():
        logits = judge.forward(image)
        against = replace(heatmap, values=-heatmap.values, layer="map")
        ((same,),) = judge.judged(Batch(image), logits, [[against]])
    assert isinstance(same, Heatmap)
    assert said(same).believe == "no"
    assert said(same).facts["deleted_in"] == "map"
    assert said(same).facts["marks"] == pytest.approx(-said(heatmap).facts["marks"], abs=3)


def test_a_map_that_is_zero_everywhere_is_unclear() -> None:
    module = pooled()
    with torch.no_grad():
        module.fc.weight[2].zero_()  # type: ignore[index, operator]
    (heatmap,) = maps(GradCAM(target="2", verdict=True), as_model(module, (16, 16)), noise(1, 3, 16, 16))
    assert said(heatmap).believe == "unclear"
    assert said(heatmap).reasons == ("it is the same everywhere",)


@pytest.mark.parametrize("classes", [1, 2])
def test_with_one_class_beside_none_is_randomised(classes: int) -> None:
    (heatmap,) = maps(GradCAM(verdict=True), as_model(pooled(classes=classes), (16, 16)), noise(1, 3, 16, 16))
    assert said(heatmap).believe == "unclear"
    assert "there are too few classes to randomise the classifier" in said(heatmap).reasons


def test_a_target_that_is_no_class_is_unclear() -> None:
    model = with_target(as_model(pooled(), (16, 16)), FunctionTarget(lambda scores: scores[:, :2].sum(1)))
    (heatmap,) = maps(GradCAM(verdict=True), model, noise(1, 3, 16, 16))
    assert said(heatmap).believe == "unclear"
    assert "a target that is no class has no classifier to randomise" in said(heatmap).reasons


# What it leaves as it is -------------------------------------------------------------------------

ACTIONS = [
    GradCAM(method=("gradcam", "eigencam", "ablationcam", "scorecam", "finercam", "fullgrad"), target="top2"),
    Saliency(
        method=("gradient", "guided-backprop", "smoothgrad", "integrated-gradients", "guided-gradcam"),
        target="top2",
        samples=5,
        steps=5,
    ),
    Occlusion(method=("sliding", "rise"), target="top2", window=4, stride=3, masks=20),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_maps_are_what_they_are_without_a_verdict(action: Any) -> None:
    inputs = noise(3, 3, 16, 16)
    model = as_model(pooled(), (16, 16))
    plain = maps(action, model, inputs, 1)
    judged = maps(replace(action, verdict=True), model, inputs, 1)
    assert [one.record() for one in plain] == [
        {name: value for name, value in one.record().items() if name != "verdict"} for one in judged
    ]
    for one, other in zip(plain, judged, strict=True):
        assert one.verdict is None
        assert other.verdict is not None
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_a_verdict_is_the_same_in_any_company(action: Any) -> None:
    inputs = noise(3, 3, 16, 16)
    model = as_model(pooled(), (16, 16))
    together = maps(replace(action, verdict=True), model, inputs, 2)
    alone = maps(replace(action, verdict=True), model, inputs[2:])
    assert [said(one).record() for one in together] == [said(one).record() for one in alone]


def test_parts_of_the_image_are_deleted_where_one_map_is_not_all() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = pooled()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.net(x.flip(3))

    model = as_model(Twice(), (16, 16))
    bound, choices = GradCAM(verdict=True).bind(model)
    assert [choice.value for choice in choices if choice.setting == "verdict"] == [
        "parts of the image are deleted"
    ]
    assert "several maps" in next(choice.reason for choice in choices if choice.setting == "verdict")
    for heatmap in maps(bound, model, noise(1, 3, 16, 16)):
        assert said(heatmap).facts["deleted_in"] == "input"


def test_a_model_that_fails_without_parts_of_an_image_costs_no_map() -> None:
    class Choosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = pooled()

        def forward(self, x: Tensor) -> Tensor:
            if x.any() and (x[:, 0, 0, 0] - 7).abs().max() > 1e-3:
                raise ValueError("its corner is gone")
            return self.net(x)

    image = noise(1, 3, 16, 16)
    image[0, 0, 0, 0] = 7
    model = as_model(Choosy(), (16, 16))
    judge = judge_of(model, wanted=True, in_image=True)
    assert judge is not None
    (heatmap,) = maps(GradCAM(), model, image)
    with model.borrowed():
        ((judged,),) = judge.judged(Batch(image), judge.forward(image), [[heatmap]])
    assert isinstance(judged, Heatmap)
    assert said(judged).believe == "unclear"
    assert said(judged).reasons[0].startswith("without parts of the image the model fails")


# On photographs ----------------------------------------------------------------------------------


def test_on_photographs_gradcam_is_believed_and_rules_blind_to_the_class_are_not(bundled: Model) -> None:
    explainer = cnnexplain.api.Explainer(bundled)
    beliefs: Counter[tuple[str, str]] = Counter()
    for name in ("chelsea.png", "coffee.png"):
        for command, methods in (("gradcam", "gradcam"), ("saliency", "guided-backprop,deconvnet,gradient")):
            explanation = explainer.explain(PHOTOS / name, command, method=methods, verdict=True)
            beliefs.update((one.method, said(one).believe) for one in explanation.heatmaps)
    assert beliefs["gradcam", "yes"] == 2
    assert beliefs["guided-backprop", "no"] == beliefs["deconvnet", "no"] == 2
    assert not beliefs["gradient", "no"]


def test_an_untrained_network_prefers_no_class() -> None:
    untrained = cnnexplain.load("resnet18", pretrained=False)
    explanation = untrained.explain(PHOTOS / "coffee.png", verdict=True)
    verdict = said(explanation.heatmaps[0])
    assert (verdict.believe, verdict.reasons[0]) == (
        "unclear",
        "the model hardly prefers one class to another",
    )
