"""The public formulas, asked without a `Model`, are what the commands give."""

from __future__ import annotations

import pytest
import torch
from networks import explained, heat, pooled
from torch import Tensor, nn

from cnnexplain import formulas
from cnnexplain.commands.saliency import Saliency

SIZE = (16, 16)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return pooled().eval()


@pytest.fixture
def inputs() -> Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def evaluate(network: nn.Sequential) -> formulas.gradients.Evaluate:
    """Of class 1."""
    return formulas.evaluator(lambda asked, _: network(asked)[:, 1], at_once=5)


def commands(network: nn.Sequential, inputs: Tensor, method: str, **options: object) -> Tensor:
    (found,) = explained(Saliency(method=(method,), target="1", **options), network, inputs).maps
    return found.values


def same(values: Tensor, expected: Tensor) -> bool:
    return bool((values - expected).abs().max() <= 1e-5 * expected.abs().max())


@pytest.mark.parametrize("quadrature", ["adaptive", "gauss-legendre"])
def test_integrated_gradients(
    network: nn.Sequential, inputs: Tensor, evaluate: formulas.gradients.Evaluate, quadrature: str
) -> None:
    """Gradients half way in many parts come to what a command makes of mean slopes in few."""
    integrals = formulas.integrated_gradients(
        evaluate, inputs, formulas.mean_colour(inputs), steps=400, quadrature=quadrature
    )
    options = {"tolerance": "0.1%", "baseline": "mean"}
    expected = commands(network, inputs, "integrated-gradients", **options)
    difference = (formulas.summed(integrals.values) - expected).abs().amax((1, 2))
    assert (difference <= 0.02 * expected.abs().amax((1, 2))).all()
    assert integrals.steps == [400] * len(inputs)
    assert all(0 < error < 0.05 for error in integrals.errors)


def test_noise(network: nn.Sequential, inputs: Tensor, evaluate: formulas.gradients.Evaluate) -> None:
    every = formulas.noisy_gradients(evaluate, inputs, samples=6)
    for method, name in (("smoothgrad", "gradient"), ("vargrad", "variance")):
        values = torch.stack([getattr(moments, name).mean() for moments in every]).float()
        assert same(formulas.largest(values), commands(network, inputs, method, samples=6))


def test_gradients(network: nn.Sequential, inputs: Tensor, evaluate: formulas.gradients.Evaluate) -> None:
    gradients = torch.cat(
        [
            back
            for _, _, back in evaluate(
                len(inputs), lambda rows: (inputs[list(rows)], torch.tensor(list(rows)))
            )
        ]
    )
    assert same(formulas.largest(gradients), commands(network, inputs, "gradient"))
    product = formulas.input_x_gradient(inputs, gradients)
    assert same(formulas.summed(product), commands(network, inputs, "input-x-gradient"))


def test_gradcam(network: nn.Sequential, inputs: Tensor) -> None:
    a = network[:1](inputs).detach().requires_grad_()
    (g,) = torch.autograd.grad(network[1:](a)[:, 1].sum(), a)
    expected = heat(network, inputs, target="1", layer="features")
    assert same(formulas.gradcam(a.detach(), g), expected)


def test_a_score_may_write_into_its_input_and_needs_no_gradient_mode() -> None:
    evaluate = formulas.evaluator(lambda asked, _: asked.mul_(2).sum((1, 2, 3)))
    with torch.no_grad():
        ((rows, scores, gradients),) = evaluate(1, lambda _: (torch.ones(1, 1, 2, 2), torch.zeros(1)))
    assert (rows, scores.tolist(), gradients.unique().tolist()) == (range(1), [8.0], [2.0])
