"""What commands need of a model, and what is said to those who bring a model that lacks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, pooled
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import ImageCommand, bound, command, names
from cnnexplain.engine.capabilities import Capability, capabilities, require
from cnnexplain.errors import CnnexplainError

SCORES, LAYERS, GRADIENTS, WEIGHTS = Capability
PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.fc = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


class Detached(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class Maps(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x))


class Functions(nn.Module):
    """Runs no layer, and has no weights."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def scripted() -> nn.Module:
    module: nn.Module = torch.jit.script(Net())
    return module


class Vector(nn.Module):
    """Has a layer without a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x).mean((2, 3))


@pytest.mark.parametrize(
    ("kind", "has"),
    [
        (Net, {SCORES, LAYERS, GRADIENTS, WEIGHTS}),
        (Detached, {SCORES, LAYERS, WEIGHTS}),
        (Maps, {WEIGHTS}),
        (Functions, {SCORES, GRADIENTS}),
        (Vector, {SCORES, LAYERS, GRADIENTS}),
        (scripted, {SCORES, WEIGHTS}),
    ],
)
def test_what_a_model_can_be_asked_for(kind: Any, has: set[Capability]) -> None:
    model = as_model(kind().eval(), (32, 32))
    assert model.capabilities == capabilities(model) == has
    for capability in Capability:
        if capability in has:
            require(model, {capability})
        else:
            with pytest.raises(CnnexplainError) as caught:
                require(model, {capability})
            assert caught.value.problem
            assert caught.value.hint


@pytest.mark.parametrize("name", names())
def test_every_command_says_what_it_needs_and_refuses_the_rest_in_words(name: str) -> None:
    kind = command(name)
    needs = kind().needs
    assert isinstance(needs, frozenset)
    assert all(isinstance(one, Capability) for one in needs)
    assert (SCORES in needs) == issubclass(kind, ImageCommand)
    for lacking in (Detached, Maps, Functions, Vector, scripted):
        model = as_model(lacking().eval(), (32, 32))
        if missing := needs - model.capabilities:
            with pytest.raises(CnnexplainError) as caught:
                bound(kind(), model)
            said = []
            for one in missing:
                with pytest.raises(CnnexplainError) as alone:
                    require(model, {one})
                said.append(alone.value.problem)
            assert caught.value.problem in said


def test_needs_may_depend_on_options() -> None:
    gradcam = command("gradcam")
    assert GRADIENTS in gradcam().needs
    assert GRADIENTS in gradcam(method=("gradcam", "eigencam")).needs
    assert gradcam(method=("eigencam",)).needs == {SCORES, LAYERS}


def test_a_command_of_another_package_needs_scores_unless_it_says_otherwise() -> None:
    class Own(ImageCommand):
        seeded = False

        def bind(self, model: Any) -> Any:
            return self, ()

        def explain(self, model: Any, batch: Any) -> Any: ...

    assert Own().needs == {SCORES}


def test_no_pass_is_spent_on_what_is_needed() -> None:
    """The look at the model that `bind` relies on is the only one."""
    module = pooled().eval()
    passes: list[int] = []
    module.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    model = as_model(module, (32, 32))
    for name in ("gradcam", "saliency", "activations"):
        bound(command(name)(), model)
    assert passes == [1]


def test_a_function_takes_the_place_of_scores() -> None:
    explainer = cnnexplain.load(Maps().eval(), input_size="32")
    found = explainer.explain(PICTURE, target=lambda output: output[:, 1].mean((1, 2)))
    assert found.heatmaps[0].layer == "relu"
    with pytest.raises(CnnexplainError, match="not one row of class scores"):
        explainer.explain(PICTURE)
