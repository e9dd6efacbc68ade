"""Models that fail, change, or say nothing while they are checked: no verdict is lost, and none is good for it."""

from __future__ import annotations

import math

import digits
import pytest
import torch
from torch import Tensor, nn

from cnnexplain import checks
from cnnexplain.core.verdict import Verdict
from cnnexplain.runner.check import judged
from cnnexplain.runner.thresholds import Chosen


class Small(nn.Module):
    """Two convolutions, a batch norm and a head of three classes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(4, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(self.first(x)).relu())
        return self.head(x.relu().mean((2, 3)))


def verdict(name: str, module: nn.Module, count: int = 8, told: bool = True, rows: int = 8) -> Verdict:
    subject = digits.subject(module, count=count)
    subject = type(subject)(subject.model, subject.examples, subject.explain, rows=rows, told=told)
    kind = checks.check(name)
    with subject.model.borrowed():
        return judged(Chosen(name, kind(), kind.level, True), subject)


class NotANumber(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * math.nan


@pytest.mark.parametrize("name", ["dead-units", "vanishing-gradients", "randomisation", "normalisation"])
def test_scores_that_are_nan_are_not_gone_by(name: str) -> None:
    found = verdict(name, NotANumber())
    assert found.status == ("fail" if found.level == "error" else "warn")
    assert found.says == "could not be measured: its scores are not finite"
    assert "overflow" in verdict("finite", NotANumber()).says


@pytest.mark.parametrize("name", ["dead-units", "dead-filters"])
def test_weights_that_are_nan_are_left_to_finite_where_it_takes_part(name: str) -> None:
    module = Small()
    module.second.weight.data[0] = math.nan
    assert verdict(name, module).status == "skipped"
    found = verdict(name, module, told=False)
    assert found.status != "skipped"
    assert "holds NaN or infinite weights" in found.says


class Failing(Small):
    """Fails when a gradient is asked for of more than one picture."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1 and torch.is_grad_enabled():
            raise ValueError("not today\nnor tomorrow")
        return super().forward(x)


class Detached(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


@pytest.mark.parametrize("name", ["randomisation", "faithful", "looks-at-border"])
def test_a_crash_is_no_model_without_maps(name: str) -> None:
    found = verdict(name, Failing())
    assert found.status == ("fail" if found.level == "error" else "warn")
    assert "ValueError: not today" in found.says
    assert "nor tomorrow" not in found.says
    assert verdict(name, Detached()).says == "it cannot be explained: its scores carry no gradient"
