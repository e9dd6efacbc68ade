"""Two layers whose weights are exchanged, which only what arrives at batch normalisations shows."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import digits
import numpy as np
import pytest
import torch
from networks import bare
from PIL import Image, ImageOps
from torch import nn

import cnnexplain
from cnnexplain.checks import check
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights.misplaced import agreement, deviations, misplaced, nearest
from cnnexplain.engine.weights.running import exchanged, mismatches
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of


def network(seed: int = 0) -> nn.Sequential:
    """Four convolutions of one shape, with the statistics of the digits."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1)]
    for _ in range(4):
        layers += [nn.BatchNorm2d(8, momentum=None), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)]
    layers += [nn.BatchNorm2d(8, momentum=None), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    made = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in made:  # such means as training makes, so that layers differ
            if isinstance(layer, nn.Conv2d):
                layer.weight.add_(torch.randn(layer.out_channels, 1, 1, 1) * 0.1)
        made.train()(digits.as_digits(made).inputs([one.pixels for one in digits.examples(32)]))
    return made.eval()


def verdict(subject: Subject) -> Verdict:
    with subject.model.borrowed():
        return verdict_of(Chosen("batchnorm", check("batchnorm")(), "error", True), subject)


@pytest.mark.parametrize(("one", "other"), [(3, 6), (6, 9), (3, 12)])
def test_two_layers_that_are_exchanged_are_named(one: int, other: int) -> None:
    module = network()
    intact = verdict(digits.subject(module))
    assert intact.status == "pass", intact.says
    with exchanged(module[one], module[other]):
        before = [parameter.clone() for parameter in module.parameters()]
        found = verdict(digits.subject(module))
        assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert found.status == "fail", found.says
    assert f"the weights of {one} and {other} seem to be exchanged" in found.says
    intact = verdict(digits.subject(module))
    assert intact.status == "pass", intact.says
    assert not any(child._forward_pre_hooks for child in module.modules())


def stages(module: nn.Module) -> list[nn.Sequential]:
    return [module.get_submodule(f"stages.{place}") for place in range(1, 5)]


def test_every_two_layers_of_a_trained_network_are_named_and_no_others() -> None:
    module = digits.fresh("same shapes")
    subject = digits.subject(module)
    assert verdict(subject).status == "pass"
    for first, second in itertools.combinations(range(4), 2):
        with exchanged(stages(module)[first].conv, stages(module)[second].conv):
            found = verdict(subject)
        assert found.status == "fail"
        assert f"stages.{first + 1}.conv and stages.{second + 1}.conv seem to be exchanged" in found.says
        assert found.table is not None
        assert {row[0] for row in found.table.rows} == {
            f"stages.{place + 1}.conv" for place in (first, second)
        }


def test_layers_whose_weights_went_around_are_named_with_where_each_went() -> None:
    module = digits.fresh("same shapes")
    convs = [stage.conv for stage in stages(module)]
    with exchanged(convs[0], convs[2]), exchanged(convs[2], convs[3]):
        found = verdict(digits.subject(module))
    # What was the first's is in the last, what was the last's in the third, what was the third's in the first.
    assert found.table is not None
    assert {row[:2] for row in found.table.rows} == {
        ("stages.1.conv", "stages.4.conv"),
        ("stages.3.conv", "stages.1.conv"),
        ("stages.4.conv", "stages.3.conv"),
    }


def test_layers_exchanged_together_with_their_normalisation_are_named() -> None:
    module = digits.fresh("same shapes")
    first, second = stages(module)[0], stages(module)[3]
    with exchanged(first.conv, second.conv), exchanged(first.norm, second.norm):
        inputs = digits.subject(module, count=64).inputs()
        assert misplaced(bare(module), inputs) == []
        assert nearest(bare(module), inputs, 64) == ("stages.1.conv", "stages.4.conv", True)
    assert nearest(bare(module), inputs, 64) is None


class Hidden(nn.Module):
    """Three hidden linear layers of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 48)
        self.hidden = nn.ModuleList(nn.Linear(48, 48) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm1d(48, momentum=None) for _ in range(3))
        self.head = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1)).relu()
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = norm(layer(x)).relu()
        return self.head(x)


def test_linear_layers_are_named_too() -> None:
    torch.manual_seed(0)
    module = Hidden()
    for layer in module.hidden:
        nn.init.normal_(layer.bias)
    subject = digits.subject(module, count=64)
    with torch.no_grad():
        module.train()(subject.inputs())
    module.eval()
    assert misplaced(bare(module), subject.inputs()) == []
    with exchanged(module.hidden[0], module.hidden[2]):
        (found,) = misplaced(bare(module), subject.inputs())
    assert {(one.layer, one.holder) for one in found} == {("hidden.0", "hidden.2"), ("hidden.2", "hidden.0")}


def test_agreement_is_the_sum_of_two_rank_correlations() -> None:
    norm = nn.BatchNorm2d(5)
    norm.running_mean = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    norm.running_var = torch.ones(5)
    means = torch.tensor([2.0, 1.0, 3.0, 4.0, 5.0])  # ranks differ by 1, 1, 0, 0, 0: 1 - 6 * 2 / (5 * 24)
    given = torch.stack((means - 1, means + 1))[:, :, None, None]
    assert agreement(norm, given) == pytest.approx(math.atanh(0.9))  # variances are the same everywhere
    assert agreement(norm, given[:, :4]) is None


def test_gains_are_held_against_chance() -> None:
    # Each has a variance of 4 / (n - 3): 1/4 and 1/4, together a deviation of 0.7071.
    assert deviations([(1.0, 19), (2.0, 19)]) == pytest.approx(3 / math.sqrt(0.5))
    # Many channels count for more than few: 16 and 64 are certain to 1/4 and 1/16, weighed by their inverse.
    assert deviations([(1.0, 19), (2.0, 67)]) == pytest.approx((16 * 1 + 64 * 2) / (2 * math.sqrt(80)))
    assert deviations([(1.0, 19), (2.0, 67)]) > deviations([(2.0, 19), (1.0, 67)])


@cache
def bundled() -> tuple[Model, torch.Tensor]:
    """The bundled model and the two photographs of the docs."""
    model = cnnexplain.load("bundled:efficientnet_lite0").model
    photos = []
    for name in ("chelsea.png", "coffee.png"):
        with Image.open(Path(__file__).parents[2] / "docs" / "photos" / name) as photo:
            photos.append(np.asarray(ImageOps.fit(photo.convert("RGB"), (224, 224))))
    return model, model.inputs(photos)


@pytest.mark.parametrize(
    "names",
    [
        ("blocks.3.1.conv_pwl", "blocks.3.2.conv_pwl"),
        ("blocks.4.1.conv_pw", "blocks.4.2.conv_pw"),
        ("blocks.5.1.conv_dw", "blocks.5.3.conv_dw"),
        ("blocks.1.1.conv_pw", "blocks.2.0.conv_pw"),
    ],
)
def test_two_layers_of_the_bundled_model_are_named(names: tuple[str, str]) -> None:
    model, inputs = bundled()
    layers = [model.module.get_submodule(name) for name in names]
    with model.borrowed():
        assert misplaced(model, inputs) == []
        with exchanged(*layers):
            (found,) = misplaced(model, inputs)
    assert {one.layer for one in found} == set(names)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second", "most"), [("3.1", "3.2", 3), ("5.1", "5.3", 20)])
def test_two_layers_of_the_bundled_model_are_named_also_with_their_normalisation(
    first: str, second: str, most: int
) -> None:
    """Those that are hardest to tell: the one in the nearest means, the other in the least gain in agreement."""
    model, inputs = bundled()
    names = f"blocks.{first}.conv_pwl", f"blocks.{second}.conv_pwl"
    layers = [model.module.get_submodule(name) for name in names]
    after = [model.module.get_submodule(name.replace("conv_pwl", "bn3")) for name in names]
    with model.borrowed():
        with exchanged(*layers), exchanged(*after):
            assert nearest(model, inputs, most) == (*names, True)
        assert nearest(model, inputs[:1], most) is None  # though the second's exchange gains six deviations


def test_what_arrives_is_measured_in_standard_deviations() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean = torch.tensor([1.0, 2.0])
    norm.running_var = torch.tensor([4.0, 0.25])
    module = nn.Sequential(norm.eval())
    given = torch.stack((torch.full((3, 3), 7.0), torch.full((3, 3), 4.0)))[None]
    away = mismatches(bare(module), given)  # 6 / 2 and 2 / 0.5
    assert away == {"0": pytest.approx(((3**2 + 4**2) / 2) ** 0.5)}


def test_other_pictures_are_no_exchange() -> None:
    subject = digits.subject(network())
    noise = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
    others = tuple(replace(one, pixels=pixels) for one, pixels in zip(subject.examples, noise, strict=True))
    assert verdict(replace(subject, examples=others)).status == "pass"


def test_layers_are_given_back_after_an_error() -> None:
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    kept = one.weight.clone(), other.bias.clone()
    with pytest.raises(KeyboardInterrupt), exchanged(one, other):  # noqa: PT012
        assert torch.equal(other.weight, kept[0])
        raise KeyboardInterrupt
    assert torch.equal(one.weight, kept[0])
    assert torch.equal(other.bias, kept[1])
