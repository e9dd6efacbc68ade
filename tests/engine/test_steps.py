"""A layer that hands on what it was given is told with what made that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import as_model
from torch import Tensor, nn


class Example(nn.Module):
    """The network of PyTorch's MNIST example, whose last map goes through a dropout."""

    def __init__(self, drop: nn.Module, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.ReLU()
        self.dropout1, self.pool = drop, pool
        self.fc1 = nn.LazyLinear(10)
        self(torch.zeros(1, 1, 28, 28))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc1(torch.flatten(self.dropout1(self.pool(x)), 1))


def halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def squared(x: Tensor) -> Tensor:
    return F.avg_pool2d(x * 2, 2)


@pytest.mark.parametrize(
    ("drop", "pool", "made"),
    [
        (nn.Dropout(0.25), halved, "conv2 -> relu -> max_pool2d"),
        (nn.Dropout2d(0.25), squared, "conv2 -> relu -> mul -> avg_pool2d"),
        (nn.Identity(), halved, "conv2 -> relu -> max_pool2d"),
    ],
)
def test_a_map_under_a_dropouts_name_is_told(
    drop: nn.Module, pool: Callable[[Tensor], Tensor], made: str
) -> None:
    choice = as_model(Example(drop, pool).eval(), (28, 28), channels=1).choose_layer()
    assert choice.value == "dropout1"
    assert choice.reason.endswith(f"; it is {made}")


@pytest.mark.parametrize("drop", [nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1)])
def test_layers_that_make_something_are_told_as_themselves(drop: nn.Module) -> None:
    choice = as_model(Example(drop, halved).eval(), (28, 28), channels=1).choose_layer()
    assert choice.value == "dropout1"
    assert "it is" not in choice.reason


def test_no_hook_stays_behind() -> None:
    module = Example(nn.Dropout(), halved).eval()
    as_model(module, (28, 28), channels=1).choose_layer()
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in module.modules())
