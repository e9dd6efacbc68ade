"""Copies of a model for threads: they share weights and nothing else, and a model that cannot be shared is named."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.copies import copies
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights.reinitialised import last_layer, reinitialised


class Network(nn.Module):
    """A network whose `more` does something unusual to the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.more(self.norm(self.conv(x)).relu()).mean((2, 3)))

    def more(self, maps: Tensor) -> Tensor:
        return maps


class Remembering(Network):
    """Keeps its maps in an attribute, and reads them again later."""

    def more(self, maps: Tensor) -> Tensor:
        self.last = maps * 2
        return self.last


class Locked(Network):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Drawing(Network):
    def more(self, maps: Tensor) -> Tensor:
        return maps + torch.rand(1) * 1e-3


class Random(Network):
    def more(self, maps: Tensor) -> Tensor:
        return maps * (1 + random.random() * 1e-3)


class NumpyRandom(Network):
    def more(self, maps: Tensor) -> Tensor:
        return maps * (1 + float(np.random.rand()) * 1e-3)


class Closed(Network):
    """Runs its first layer through a function that knows it, which a copy shares."""

    def __init__(self) -> None:
        super().__init__()
        layer = self.conv

        def through(x: Tensor) -> Tensor:
            return layer(x)  # type: ignore[no-any-return]

        self.through = through

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.through(x)).relu().mean((2, 3)))


class OfOneThread(Network):
    """Refuses to run in any module but the first."""

    def __init__(self) -> None:
        super().__init__()
        self.own = id(self)

    def more(self, maps: Tensor) -> Tensor:
        if id(self) != self.own:
            raise ValueError("another module")
        return maps


def loaded(network: nn.Module) -> Model:
    model = cnnexplain.load(network, input_size="32").model
    _ = model.trace, model.labels, model.runs
    return model


@pytest.mark.parametrize("kind", [Network, Remembering])
def test_copies_answer_as_the_model_does_and_share_its_weights_only(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind()
    tied = nn.Sequential(network, nn.Identity())
    tied.register_parameter("again", network.head.weight)
    model = loaded(tied)
    inputs = torch.rand(2, 3, 32, 32)
    with model.borrowed():
        shared, reason = copies(model, 3)
        assert (len(shared), reason) == (3, "")
        answer = model.forward(inputs)
        for copy in shared:
            assert torch.equal(copy.forward(inputs), answer)
            pairs = zip(copy.module.parameters(), tied.parameters(), strict=True)
            assert all(a is not b and a.data_ptr() == b.data_ptr() for a, b in pairs), (
                "as many, tied as they were"
            )
            assert set(copy.module.modules()).isdisjoint(tied.modules())
            assert copy.runs.count("0.conv") == 1
        first, second = shared[:2]
        with first.capture("0.conv") as maps:
            second.forward(inputs)
            model.forward(inputs)
            assert not maps
            first.forward(inputs)
        assert set(maps) == {"0.conv"}
        with reinitialised(0) as reinitialise:
            for parameter in last_layer(first)[1]:
                reinitialise(parameter)
            assert not torch.allclose(first.forward(inputs), answer)
            assert torch.equal(second.forward(inputs), answer)
        assert torch.equal(first.forward(inputs), answer)
    assert network.training
    assert all(parameter.requires_grad for parameter in tied.parameters())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Locked, "it cannot be copied: TypeError"),
        (Drawing, "it draws random numbers, which threads would take from each other"),
        (Random, "it draws random numbers, which threads would take from each other"),
        (NumpyRandom, "it draws random numbers, which threads would take from each other"),
        (Closed, "a copy of it runs other layers"),
        (OfOneThread, "a copy of it does not run: "),
    ],
)
def test_a_model_that_threads_cannot_share_is_not_copied(kind: type[nn.Module], reason: str) -> None:
    model = loaded(kind())
    with model.borrowed():
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        shared, found = copies(model, 2)
        left = torch.rand(1).item(), random.random(), np.random.rand()
    assert shared == ()
    assert found.startswith(reason)
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    assert left == (torch.rand(1).item(), random.random(), np.random.rand()), "as if nothing had been tried"


def test_a_function_of_the_answer_is_asked_for_in_one_thread() -> None:
    def first(output: Any) -> Tensor:
        return output[:, 0]  # type: ignore[no-any-return]

    explainer = cnnexplain.load(Network(), input_size="32")
    explainer.explain(np.zeros((32, 32, 3), np.uint8), target=first)
    model = explainer.last[0]
    with model.borrowed():
        shared, reason = copies(model, 2)
    assert shared == ()
    assert reason.startswith("it is asked for a function")
