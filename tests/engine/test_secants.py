"""Gradients averaged on a way, against integrals worked out by hand; and integrated gradients made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import as_model, explained
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.target import Target
from cnnexplain.engine.backward.secants import UnknownSlopeError, averaged

PHOTOS = Path(__file__).parents[2] / "docs" / "photos"


class Scored(nn.Module):
    """Two equal scores by any formula of the input; five is added, so that nobody takes them for probabilities."""

    def __init__(self, formula: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: Tensor) -> Tensor:
        scores = self.formula(x).flatten(1).sum(1, keepdim=True) + 5
        return torch.cat((scores, scores), 1)


def first_class(rows: int) -> tuple[Target, Tensor]:
    """The first class of one image, and that every row was made of that image."""
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Target(zeros[:1], torch.zeros(1)), zeros


def shares(formula: Callable[[Tensor], Tensor], *ends: Sequence[float]) -> list[list[float]]:
    """What each cell contributes on every straight way between neighbouring inputs, of one row of cells each."""
    model = as_model(Scored(formula), (1, len(ends[0])), 1)
    inputs = torch.tensor(ends)[:, None, None, :]
    with model.borrowed():
        gradients = averaged(model, inputs, *first_class(len(ends)))
    return (gradients * inputs.diff(dim=0))[:, 0, 0].tolist()


def in_place(x: Tensor) -> Tensor:
    """An in-place rectifier whose result is read under the old name."""
    x = x + 0
    F.relu(x, inplace=True)
    return x


@pytest.mark.parametrize(
    ("formula", "start", "end", "expected"),
    [
        (lambda x: 2 * F.relu(x - 0.25), [0.0], [1.0], [1.5]),  # it switches on after a quarter of the way
        (lambda x: F.relu(1 - x), [0.0], [4.0], [-1.0]),  # and off
        (lambda x: F.relu6(3 * x), [-1.0], [4.0], [6.0]),
        (lambda x: x.clamp(min=0), [-1.0], [1.0], [1.0]),
        (in_place, [-1.0], [3.0], [3.0]),
        (lambda x: F.leaky_relu(x, 0.1), [-1.0], [1.0], [1.1]),
        (lambda x: F.relu(F.relu(x) - 1), [-1.0], [4.0], [3.0]),  # one after the other
        (lambda x: F.relu(x[..., :1] - x[..., 1:]), [1.0, 0.0], [3.0, 2.0], [2.0, -2.0]),  # it does not move
        (torch.sigmoid, [0.0], [0.01], [0.0025]),  # a curve, nearly straight
        (torch.tanh, [-1.0], [2.0], [1.7256]),  # and far from it: tanh(2) + tanh(1)
        # 1 + t and 4 t meet at t = 1/3, until when the first is larger.
        (lambda x: F.max_pool2d(x, (1, 2)), [1.0, 0.0], [2.0, 4.0], [1 / 3, 8 / 3]),
        (lambda x: x[..., :1] * x[..., 1:], [0.0, 1.0], [2.0, 4.0], [5.0, 3.0]),
        (lambda x: x / 4 + F.avg_pool2d(x, (1, 2)), [0.0, 0.0], [4.0, 8.0], [5.0, 10.0]),
    ],
)  # fmt: skip
def test_shares_of_one_part_are_the_integral(
    formula: Any, start: list[float], end: list[float], expected: list[float]
) -> None:
    (found,) = shares(formula, start, end)
    assert found == pytest.approx(expected, rel=1e-3)


def test_rows_are_parts_one_after_the_other() -> None:
    """relu(x - 1) from 0 over 0.5 and 2 to 3: the corner is at a third of the second part."""
    found = shares(lambda x: F.relu(x - 1), [0.0], [0.5], [2.0], [3.0])
    assert [row[0] for row in found] == pytest.approx([0, 1, 1])


class Hidden(torch.autograd.Function):
    """x squared, which no function mode sees."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * 2 * ctx.saved_tensors[0]


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (lambda x: x.exp(), "exp"),
        (lambda x: 1 / (1 + x), "reciprocal|rdiv|div"),
        (lambda x: x**2, "pow"),
        (Hidden.apply, "an operation out of sight"),
        (lambda x: x * (x > 0.5), "gt"),
    ],
)
def test_what_is_not_known_is_said_and_taken_half_way(formula: Any, reason: str) -> None:
    with pytest.raises(UnknownSlopeError, match=reason):
        shares(formula, [0.1], [1.0])
    inputs = torch.full((1, 1, 1, 1), 1.0)
    asked = Saliency(method=("integrated-gradients",), target="0", baseline="mean")
    (found,) = explained(asked, Scored(formula), inputs).maps
    facts = found.details[0].facts["completeness"]
    assert facts["rule"].startswith("gradients half way, as the mean slope of ")
    assert facts["rule"] in found.details[0].remarks[1]
    if reason != "gt":  # whose jump no gradient sees
        assert facts["sum"] == pytest.approx(facts["difference"], rel=0.05)


def test_two_rectifiers_in_a_row_come_to_their_integral() -> None:
    """relu(relu(x) - relu(x + y)): parts that are divided come closer, and the expected error is above the true one.

    From (-1, 3) to (3, -1) the first is 4t - 1 from t = 1/4 on and the sum is 2, so that the score is 4t - 3 from 3/4
    on. There x rises by 1, of which x + y takes 1 away and y gives it back.
    """
    network = Scored(lambda x: F.relu(F.relu(x[..., :1]) - F.relu(x[..., :1] + x[..., 1:])))
    model = as_model(network, (1, 2), 1)
    start, end = torch.tensor([[-1.0, 3.0]]), torch.tensor([[3.0, -1.0]])
    expected, wrong = torch.tensor([0.0, 1.0]), []
    for parts in (1, 4, 64):
        places = torch.linspace(0, 1, parts + 1)[:, None]
        inputs = (start + places * (end - start))[:, None, None, :]
        with model.borrowed():
            gradients = averaged(model, inputs, *first_class(parts + 1))
        total = (gradients * inputs.diff(dim=0)).sum(0).flatten()
        assert total.sum() == pytest.approx(1)
        wrong.append(float((total - expected).abs().max()))
    assert wrong[0] > wrong[1] > wrong[2] - 1e-6
    assert wrong[2] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("photo", ["chelsea.png", "coffee.png"])
def test_expected_error_bounds_the_true_one_on_photographs(photo: str) -> None:
    explainer = cnnexplain.load("bundled:efficientnet_lite0")
    maps, expected = [], []
    for tolerance in ("0.8%", "3%"):
        heatmap = explainer.explain(
            PHOTOS / photo, "saliency", method="integrated-gradients", tolerance=tolerance
        ).heatmaps[0]
        maps.append(heatmap.values)
        expected.append(heatmap.detail.facts["completeness"]["error"])
        assert heatmap.detail.facts["completeness"]["rule"] == "mean slopes"
    fine, coarse = maps
    assert abs(coarse - fine).max() <= (expected[0] + expected[1]) * (fine.max() - fine.min())
    assert expected[0] <= 0.008
    assert 0.008 < expected[1] <= 0.03
