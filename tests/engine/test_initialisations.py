"""Weights that are as they were drawn, and weights that are not any more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnexplain.engine.weights.initialisations import Initialisation, initialisation, usual


def of(layer: nn.Module) -> Initialisation | None:
    bias = layer.bias.detach().numpy() if layer.bias is not None else None
    return initialisation(layer.weight.detach().numpy(), tuple(layer.weight.shape), bias)


def anew(layer: nn.Module, draw: Callable[[Tensor], object]) -> nn.Module:
    with torch.no_grad():
        draw(layer.weight)
        layer.bias.zero_()
    return layer


DRAWS: dict[str, Callable[[Tensor], object]] = {
    "torch's default": lambda weight: nn.init.kaiming_uniform_(weight, a=5**0.5),
    "EfficientNet's": lambda weight: nn.init.uniform_(weight, -(len(weight) ** -0.5), len(weight) ** -0.5),
    "Xavier's uniform": nn.init.xavier_uniform_,
    "Kaiming's uniform for ReLU": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "normal of 0.01": lambda weight: nn.init.normal_(weight, 0, 0.01),
    "normal of 0.02": lambda weight: nn.init.trunc_normal_(weight, std=0.02),
    "by fan_in": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "Xavier's normal": nn.init.xavier_normal_,
}


@pytest.mark.parametrize("shape", [(3, 1280), (10, 84), (2, 512)])
@pytest.mark.parametrize("name", DRAWS)
def test_a_fresh_head_is_known_by_its_initialisation(shape: tuple[int, int], name: str) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        found = of(anew(nn.Linear(shape[1], shape[0]), DRAWS[name]))
        assert found is not None
        (expected,) = (one for one in usual(shape) if name in one.name)
        # The size of so few normal weights does not tell Xavier's from Kaiming's.
        assert found.uniform == expected.uniform
        assert found.scale == pytest.approx(expected.scale, rel=0.003 if found.uniform else 0.1)


def test_the_bound_is_that_of_the_inputs() -> None:
    torch.manual_seed(0)
    found = of(nn.Linear(1280, 3))
    assert found is not None
    assert found.scale == pytest.approx(0.02795, abs=1e-5)  # 1 / sqrt(1280)
    conv = of(nn.Conv2d(3, 16, 5))
    assert conv is not None
    assert conv.scale == pytest.approx(75**-0.5)


def test_fresh_layers_are_hardly_ever_missed() -> None:
    missed = 0
    for seed in range(300):
        torch.manual_seed(seed)
        missed += of(nn.Linear(64, 8)) is None
    assert missed <= 3


@pytest.mark.parametrize("shape", [(3, 1280), (10, 84), (2, 512)])
def test_a_few_steps_of_training_are_enough_to_tell(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = nn.Linear(shape[1], shape[0])
    features, classes = torch.randn(64, shape[1]), torch.randint(shape[0], (64,))
    optimiser = torch.optim.SGD(head.parameters(), 0.05)
    assert of(head) is not None
    for _ in range(10):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(features), classes).backward()
        optimiser.step()
    assert of(head) is None


@pytest.mark.parametrize("change", [1.02, 0.95])
def test_weights_that_grew_or_shrank_are_no_fresh_ones(change: float) -> None:
    torch.manual_seed(0)
    head = nn.Linear(1280, 3)
    with torch.no_grad():
        head.weight.mul_(change)
    assert of(head) is None


def test_weights_within_the_bound_must_be_uniform_too() -> None:
    """As those of a trained layer, most of them small, one at the bound by accident."""
    rng = np.random.default_rng(0)
    weight = np.clip(rng.normal(0, 0.01, (3, 1280)), -0.027, 0.027).astype(np.float32)
    weight[0, 0] = 1280**-0.5
    assert initialisation(weight, weight.shape, None) is None


def test_normal_weights_with_biases_that_learnt_are_not_fresh() -> None:
    torch.manual_seed(0)
    head = anew(nn.Linear(512, 10), DRAWS["normal of 0.01"])
    assert of(head) is not None
    with torch.no_grad():
        head.bias[3] = 1e-4
    assert of(head) is None
    bare = nn.Linear(512, 10, bias=False)
    nn.init.normal_(bare.weight, 0, 0.01)
    weight = bare.weight.detach().numpy()
    assert initialisation(weight, weight.shape, None) is None
    named = initialisation(weight, weight.shape, None, random=True)
    assert named is not None
    assert "normal of 0.01" in named.name


def test_zeros_and_nothing_have_no_name() -> None:
    assert initialisation(np.zeros((3, 5), np.float32), (3, 5), None) is None
