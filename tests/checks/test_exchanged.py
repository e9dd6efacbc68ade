"""Two layers whose weights are exchanged, which only what arrives at batch normalisations shows."""

from __future__ import annotations

from dataclasses import replace

import digits
import numpy as np
import pytest
import torch
from torch import nn

from cnnexplain.checks import check
from cnnexplain.checks._subject import Subject
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.statistics import exchanged, mismatches
from cnnexplain.runner.check import judged
from cnnexplain.runner.thresholds import Chosen


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
        return judged(Chosen("batchnorm", check("batchnorm")(), "error", True), subject)


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


def test_what_arrives_is_measured_in_standard_deviations() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean = torch.tensor([1.0, 2.0])
    norm.running_var = torch.tensor([4.0, 0.25])
    module = nn.Sequential(norm.eval())
    given = torch.stack((torch.full((3, 3), 7.0), torch.full((3, 3), 4.0)))[None]
    away = mismatches(module, module, given)  # 6 / 2 and 2 / 0.5
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
