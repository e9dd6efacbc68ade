"""Scores that go through softmax or sigmoid twice, over the wrong numbers, or unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import digits
import pytest
import torch
from torch import Tensor, nn

from cnnexplain import checks
from cnnexplain.core.verdict import Verdict
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of


class Ends(nn.Module):
    def __init__(self, end: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.end = digits.fresh("well"), end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.inner(x))


def verdict(end: Callable[[Tensor], Any], name: str = "own-softmax", **fields: Any) -> Verdict:
    subject = digits.subject(Ends(end).eval(), count=8)
    subject = type(subject)(replace(subject.model, **fields), subject.examples)
    kind = checks.check(name)
    with subject.model.borrowed():
        return verdict_of(Chosen(name, kind(), kind.level, True), subject)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda x: x, "returns scores"),
        (lambda x: x.softmax(1), "ends in softmax, and what goes into"),
        (nn.LogSoftmax(1), "ends in log_softmax"),
        (torch.sigmoid, "ends in sigmoid"),
        (lambda x: x.log_softmax(1).softmax(1), "ends in softmax"),  # which is one
    ],
)
def test_one_at_most_is_as_it_should_be(end: Any, says: str) -> None:
    found = verdict(end)
    assert found.status == "pass"
    assert says in found.says


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda x: x.softmax(1).softmax(1), "softmax and softmax, one after the other"),
        (lambda x: x.sigmoid().log_softmax(1), "sigmoid and log_softmax, one after the other"),
        (lambda x: x.softmax(0), "over the pictures of a batch"),
        (lambda x: x.exp() / x.exp().sum(1, keepdim=True), "add up to 1"),
        (nn.functional.hardsigmoid, "lie between 0 and 1"),
    ],
)
def test_what_is_not_is_a_warning_that_fails_no_run(end: Any, says: str) -> None:
    found = verdict(end)
    assert found.status == "warn"
    assert says in found.says
    assert "--activation none" in found.do


def test_outputs_that_are_as_they_are_meant_are_let_be() -> None:
    assert verdict(nn.functional.hardsigmoid, activation="none").status == "pass"


def test_scores_that_happen_to_be_small_are_none() -> None:
    """Between 0 and 1 for a blank picture, and not for others."""
    assert verdict(lambda x: 0.05 * x + 0.5).status == "pass"


@pytest.mark.parametrize("end", [lambda x: x.softmax(1), torch.sigmoid, lambda x: (x.softmax(1), x)])
def test_other_checks_see_the_same_model(end: Any) -> None:
    """A well-trained model stays one when its forward ends in softmax or sigmoid."""
    for name in ("deterministic", "vanishing-gradients", "exploding-gradients", "dead-units"):
        assert verdict(end, name).status in ("pass", "skipped"), name
    plain, found = verdict(lambda x: x, "faithful"), verdict(end, "faithful")
    assert found.status == plain.status


@pytest.mark.parametrize("name", ["faithful", "flip-and-shift", "normalisation"])
def test_checks_of_probabilities_are_skipped_where_there_are_none(name: str) -> None:
    found = verdict(lambda x: x, name, activation="none")
    assert found.status == "skipped"
    assert "no probabilities" in found.says or "pictures are needed" in found.says
