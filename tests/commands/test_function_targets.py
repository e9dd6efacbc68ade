"""Targets that are no class: any function of what a model returns, worked out beside torch alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.core.results import entry
from cnnexplain.errors import CnnexplainError
from cnnexplain.report.map import figures

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
ENTRY = {"$defs": SCHEMA["$defs"], "$ref": "#/$defs/explanation"}
PICTURES = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for seed in range(3)]
Function = Callable[[Any], Tensor]


class Body(nn.Module):
    """Two convolutions with rectifiers, 5 channels of 16x16."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.relu1 = nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(4, 5, 3, 1, 1), nn.ReLU()

    def body(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.conv1(x))))


class Segmentation(Body):
    """Scores of 3 classes for every pixel, as torchvision's networks return them."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.classifier(self.body(x))
        return {"out": F.interpolate(scores, size=x.shape[-2:], mode="bilinear", align_corners=False)}


class Detector(Body):
    """Scores and boxes (left, top, right, bottom) of 6 proposals."""

    def __init__(self) -> None:
        super().__init__()
        self.scored, self.boxed = nn.Linear(5, 6 * 3), nn.Linear(5, 6 * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.body(x).mean((2, 3))
        return self.scored(pooled).unflatten(1, (6, 3)), self.boxed(pooled).unflatten(1, (6, 4))


class Embedding(Body):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.body(x).mean((2, 3)))


class Classifier(Body):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


class Found(Body):
    """Boxes that were found, as torchvision's detectors return them: a dict for each picture."""

    def __init__(self) -> None:
        super().__init__()
        self.scored = nn.Conv2d(5, 1, 1)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        self.sizes.append(tuple(x.shape))
        scores = self.scored(self.body(x)).flatten(1)
        return [{"boxes": one.new_zeros((7, 4)), "scores": one.topk(7).values} for one in scores]


def pixels_of_class(output: dict[str, Tensor]) -> Tensor:
    """The mean score of class 1 over a quarter of the picture."""
    return output["out"][:, 1, :16, :16].mean((1, 2))


def second_box(output: tuple[Tensor, Tensor]) -> Tensor:
    """How much proposal 1 is of class 2, and how wide its box is."""
    scores, boxes = output
    return scores[:, 1].log_softmax(1)[:, 2] + (boxes[:, 1, 2] - boxes[:, 1, 0])


def similarity(output: Tensor) -> Tensor:
    other = torch.linspace(-1, 1, 5, device=output.device)
    return F.cosine_similarity(output, other[None], dim=1)


def margin(output: Tensor) -> Tensor:
    return output[:, 2] - output[:, 1]


CASES: list[tuple[type[Body], Function]] = [
    (Segmentation, pixels_of_class),
    (Detector, second_box),
    (Embedding, similarity),
    (Classifier, margin),
]
case = pytest.mark.parametrize(("kind", "function"), CASES, ids=lambda one: one.__name__)


def loaded(kind: type[nn.Module]) -> cnnexplain.Explainer:
    return cnnexplain.load(kind().eval(), input_size="32", crop_pct=1.0)


def seen(explainer: cnnexplain.Explainer, count: int = 1) -> Tensor:
    """The pictures as the model sees them."""
    return explainer.model.inputs(PICTURES[:count])


@case
def test_gradcam_is_of_the_function(kind: type[Body], function: Function) -> None:
    explainer = loaded(kind)
    module: Any = explainer.model.module
    kept: list[Tensor] = []
    handle = module.relu2.register_forward_hook(lambda _, __, output: kept.append(output))
    values = function(module(seen(explainer, 3)))
    handle.remove()
    (gradient,) = torch.autograd.grad(values.sum(), kept[0])
    expected = (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1).detach().numpy()
    found = explainer.explain(PICTURES, target=function, batch_size=2)
    for one, raw, value in zip(found, expected, values.tolist(), strict=True):
        (heatmap,) = one.heatmaps
        assert heatmap.layer == "relu2"
        np.testing.assert_allclose(heatmap.values, raw, rtol=1e-4, atol=1e-7)
        assert heatmap.target.label == function.__name__
        assert (heatmap.target.index, heatmap.target.probability) == (-1, None)
        assert heatmap.target.logit == pytest.approx(value, rel=1e-5)
        assert [choice.value for choice in one.choices if choice.setting == "target"] == [function.__name__]
    assert not any(module.relu2._forward_hooks)


@case
def test_integrated_gradients_add_up_to_the_difference_of_the_function(
    kind: type[Body], function: Function
) -> None:
    explainer = loaded(kind)
    inputs = seen(explainer)
    black = explainer.model.inputs([np.zeros_like(PICTURES[0])])
    with torch.no_grad():
        difference = float(function(explainer.model.module(inputs)) - function(explainer.model.module(black)))
    found = explainer.explain(PICTURES[0], "saliency", method="integrated-gradients", target=function)
    facts = found.heatmaps[0].detail.facts["completeness"]
    assert facts["difference"] == pytest.approx(difference, rel=1e-4, abs=1e-6)
    assert float(found.heatmaps[0].values.sum()) == pytest.approx(difference, rel=0.02, abs=1e-5)


@case
def test_every_map_of_pixels_is_of_the_function(kind: type[Body], function: Function) -> None:
    explainer = loaded(kind)
    inputs = seen(explainer).requires_grad_()
    (gradient,) = torch.autograd.grad(function(explainer.model.module(inputs)).sum(), inputs)
    names = ("gradient", "smoothgrad", "vargrad", "guided-backprop", "guided-gradcam", "deconvnet")
    found = explainer.explain(PICTURES[0], "saliency", method=names, target=function, samples=3)
    assert [one.method for one in found.heatmaps] == list(names)
    np.testing.assert_allclose(found.heatmaps[0].values, gradient[0].abs().amax(0), rtol=1e-4, atol=1e-8)
    assert all(np.isfinite(one.values).all() for one in found.heatmaps)
    rectifiers = found.heatmap(method="guided-backprop").detail.facts["rectifiers"]
    assert rectifiers["kinds"] == {"ReLU": 2}


def hinge(output: Tensor) -> Tensor:
    return F.relu(5 + margin(output))


def test_rules_hold_in_the_network_and_not_in_the_function() -> None:
    explainer = loaded(Classifier)
    by_function, plain = (
        explainer.explain(PICTURES[0], "saliency", method="guided-backprop", target=function).heatmaps[0]
        for function in (hinge, margin)
    )
    assert by_function.target.logit > 0
    np.testing.assert_array_equal(by_function.values, plain.values)
    assert by_function.detail.facts["rectifiers"]["kinds"] == {"ReLU": 2}


def test_several_layers_and_formulas_share_a_pass() -> None:
    found = loaded(Segmentation).explain(
        PICTURES[0], layer=("relu1", "classifier"), method="gradcam,layercam,eigencam", target=pixels_of_class
    )
    assert [(one.layer, one.method) for one in found.heatmaps] == [
        (layer, method) for layer in ("relu1", "classifier") for method in ("gradcam", "layercam", "eigencam")
    ]
    # The gradient of the mean over a quarter of the picture reaches no other cells of the map of scores.
    scores = found.heatmap(layer="classifier", method="layercam").values
    assert scores[:8, :8].any()
    assert not scores[9:].any()
    assert not scores[:, 9:].any()
    assert [one.of_class for one in found.heatmaps[:3]] == [True, True, False]


def test_a_score_of_a_class_as_a_function_gives_the_map_of_the_class() -> None:
    explainer = loaded(Classifier)
    by_name = explainer.explain(PICTURES[0], target="2")
    by_function = explainer.explain(PICTURES[0], target=lambda output: output[:, 2])
    np.testing.assert_array_equal(by_function.heatmaps[0].values, by_name.heatmaps[0].values)
    assert by_function.predictions == by_name.predictions, (
        "a classifier has classes, whatever it is asked for"
    )
    assert (by_function.activation, by_name.activation) == ("softmax", "softmax")
    assert by_function.heatmaps[0].target.label == "function"
    assert explainer.explain(PICTURES[0]).heatmaps[0].target.is_class


def test_a_model_without_classes_has_no_predictions_and_needs_a_function() -> None:
    explainer = loaded(Segmentation)
    found = explainer.explain(PICTURES[0], target=pixels_of_class)
    assert (found.predictions, found.activation, found.explained) == ((), "none", "")
    with pytest.raises(
        CnnexplainError, match=r"returns a dict of out .*not one row of class scores"
    ) as caught:
        explainer.explain(PICTURES[0])
    assert "explain(..., target=function)" in caught.value.hint


def test_a_detector_is_loaded_without_a_search_for_its_size() -> None:
    module = Found().eval()
    explainer = cnnexplain.load(module)
    assert set(module.sizes) == {(1, 3, 224, 224)}
    found = explainer.explain(
        PICTURES[:2],
        layer="relu2",
        target=lambda output: torch.stack([one["scores"][:2].sum() for one in output]),
    )
    assert all(one.heatmaps[0].values.any() for one in found)


def test_the_same_function_is_looked_at_once() -> None:
    explainer = loaded(Classifier)
    for picture in PICTURES:
        explainer.explain(picture, target=margin)
    (asked,) = explainer.last
    explainer.explain(PICTURES[0], target=margin)
    assert explainer.last == [asked]
    other = explainer.explain(PICTURES[0], target=partial(scaled, by=3.0))
    assert other.heatmaps[0].target.label == "scaled"
    assert explainer.last != [asked]
    np.testing.assert_allclose(
        other.heatmaps[0].values,
        3 * explainer.explain(PICTURES[0], target=margin).heatmaps[0].values,
        rtol=1e-4,
    )


def scaled(output: Tensor, by: float) -> Tensor:
    return by * margin(output)


def test_it_is_drawn_recorded_and_shown() -> None:
    explainer = loaded(Segmentation)
    found = explainer.explain(PICTURES[0], method="gradcam,eigencam", target=pixels_of_class)
    assert all(isinstance(one.image, Image.Image) for one in explainer.pictures(found))
    html = found._repr_html_()
    assert html is not None
    assert html.count("<img") == 2
    first, second = (entry(one, "a.png", None) for one in found.heatmaps)
    for one in (first, second):
        jsonschema.Draft202012Validator(ENTRY).validate(one)
        assert (one["target"], one["of_class"]) == (None, False)
    assert first["of"]["name"] == "pixels_of_class"
    assert first["of"]["value"] == pytest.approx(found.heatmaps[0].target.logit, rel=1e-4)
    assert "of" not in second
    assert found.heatmaps[0].summary().startswith("pixels_of_class ")
    assert found.heatmaps[1].summary().startswith("no class, eigencam")
    record = {"image": "a", "size": [32, 32]}
    subjects = [one.subject for one in figures([first, second], record)]
    assert subjects[0].startswith("pixels_of_class ")
    assert subjects[1] == "what stands out, no class"
    assert found.heatmaps[0].name_parts()["target"] == "pixels_of_class"
    assert int(found.heatmaps[0].arrays()["class"]) == -1


def detached(output: Tensor) -> Tensor:
    return output[:, 0].detach()


def mean_of_all(output: Tensor) -> Tensor:
    return output.mean()


def a_number(output: Tensor) -> float:
    return float(output[0, 0])


def best(output: Tensor) -> Tensor:
    return output.argmax(1)


def misspelt(output: Any) -> Tensor:
    return output["out"]


def not_finite(output: Tensor) -> Tensor:
    return output[:, 0] * torch.inf


@pytest.mark.filterwarnings("ignore")  # torch has its own thoughts on some
@pytest.mark.parametrize(
    ("function", "problem", "hint"),
    [
        (detached, "the target detached carries no gradient", "without .detach"),
        (mean_of_all, r"the target mean_of_all gave a tensor of shape \(\) for 1 picture", r"\(N,\)"),
        (a_number, "the target a_number gave a float", "compute it with torch from what"),
        (best, "the target best gave a tensor of int64", "one number per picture"),
        (misspelt, "the target misspelt raised (IndexError|TypeError)", r"a tensor of shape \(1, 4\)"),
        (not_finite, "the target not_finite is not a number", "--precision fp32"),
    ],
)
def test_what_is_no_target_is_refused_in_words(function: Function, problem: str, hint: str) -> None:
    explainer = loaded(Classifier)
    for command in ("gradcam", "saliency"):
        with pytest.raises(CnnexplainError, match=problem) as caught:
            explainer.explain(PICTURES[0], command, target=function)
        assert "\n" not in f"{caught.value.problem}{caught.value.hint}"
        assert re.search(hint, caught.value.hint)


def test_a_function_that_carries_no_gradient_still_has_a_map_without() -> None:
    found = loaded(Classifier).explain(PICTURES[0], method="eigencam", target=detached)
    assert found.heatmaps[0].method == "eigencam"


def test_commands_without_a_target_take_no_function() -> None:
    with pytest.raises(CnnexplainError, match="there is no option 'target'"):
        loaded(Classifier).explain(PICTURES[0], "deconv", target=margin)


def mixing(output: Tensor) -> Tensor:
    return output[:, 0] - output[:, 0].mean(0)


def test_a_function_that_mixes_pictures_gets_them_one_at_a_time() -> None:
    explainer = loaded(Classifier)
    together = explainer.explain(PICTURES, target=lambda output: mixing(output) + output[:, 1])
    alone = [explainer.explain(one, target=lambda output: mixing(output) + output[:, 1]) for one in PICTURES]
    for one, other in zip(together, alone, strict=True):
        assert one.heatmaps[0].target.logit == pytest.approx(other.heatmaps[0].target.logit, rel=1e-5)
    assert len(explainer.explain(PICTURES)) == 3
