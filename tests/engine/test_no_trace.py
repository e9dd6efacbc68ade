"""Whatever happens, the user's module comes back exactly as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import heat, pooled
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands import ImageCommand, command, names
from cnnexplain.core.params import declared
from cnnexplain.errors import CnnexplainError, ImageError, LayerError, ModelError, TargetError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
FORMULAS = [
    (name, formula)
    for name in names()
    if issubclass(command(name), ImageCommand)
    for formula in next(
        (one.param.choices for one in declared(command(name)) if one.name == "method"), (None,)
    )
]


def doubled(_module: nn.Module, _given: Any, output: Tensor) -> Tensor:
    """A forward hook of the user's own."""
    return output * 2


def ignored(*_: Any) -> None:
    """A backward hook of the user's own."""


class Flawed(nn.Module):
    """Passes on what it gets, and raises from the moment that it is told what."""

    error: BaseException | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.error is not None:
            raise self.error
        return x


@pytest.fixture
def module() -> nn.Sequential:
    """A network in every mood: modes mixed, some weights frozen, hooks, gradients and layouts of its own."""
    torch.manual_seed(0)
    network = pooled()
    network.features.insert(3, Flawed())
    network.train()
    network.features[1].eval()
    network.fc.weight.requires_grad_(False)
    network.features[0].weight.data = network.features[0].weight.data.contiguous(
        memory_format=torch.channels_last
    )
    network(torch.randn(2, 3, 32, 32)).sum().backward()  # leaves gradients
    network.features[0].bias.grad = None
    network.features.register_forward_hook(doubled)
    network.features[4].register_forward_pre_hook(ignored)
    network.pool.register_full_backward_hook(ignored)
    network.fc.register_full_backward_pre_hook(ignored)
    return network


def state(module: nn.Module) -> dict[str, Any]:
    """All that a user could find changed."""
    found: dict[str, Any] = {
        "grad mode": torch.is_grad_enabled(),
        "random": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "rounding": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark),
    }
    for name, child in module.named_modules():
        found[f"{name} attributes"] = sorted(vars(child))
        found[f"{name} training"] = child.training
        for attribute, value in vars(child).items():
            if "hooks" in attribute:
                found[f"{name} {attribute}"] = [*value] if isinstance(value, dict) else value
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        found[f"{name} tensor"] = (id(tensor), tensor.data_ptr(), tensor.stride(), tensor._version)
        found[f"{name} value"] = tensor.detach().flatten().tolist()
        found[f"{name} flags"] = (tensor.requires_grad, tensor.dtype, tensor.device)
        found[f"{name} gradient"] = None if tensor.grad is None else tensor.grad.flatten().tolist()
    return found


@pytest.fixture
def unchanged(module: nn.Sequential) -> Callable[[], None]:
    """Compare with what was there when the test began."""
    before = state(module)

    def check() -> None:
        after = state(module)
        assert {name for name in before if before[name] != after.get(name)} == set()
        assert after.keys() == before.keys()

    return check


def test_state_sees_every_kind_of_change(module: nn.Sequential) -> None:
    """The check itself must be able to fail."""
    changes: list[Callable[[], object]] = [
        module.features[1].train,
        lambda: module.fc.requires_grad_(True),
        module.zero_grad,
        lambda: module.pool.register_forward_hook(doubled),
        lambda: module.pool.register_forward_pre_hook(ignored),
        lambda: module.pool.register_full_backward_hook(ignored),
        lambda: module.features[1].running_mean.add_(1),
        lambda: module.to(memory_format=torch.channels_last),
        lambda: setattr(module.fc, "kept", 1),
        lambda: torch.rand(1),
    ]
    for change in changes:
        before = state(module)
        change()
        assert state(module) != before


@pytest.mark.parametrize(("command", "formula"), FORMULAS)
def test_explaining_leaves_no_trace(
    module: nn.Sequential, unchanged: Callable[[], None], command: str, formula: str | None
) -> None:
    options = {"method": formula} if formula else {}
    explanation = cnnexplain.load(module, input_size="32").explain([PICTURE, PICTURE], command, **options)
    findings = (
        *explanation[0].heatmaps,
        *explanation[0].reconstructions,
        *explanation[0].feature_maps,
    )
    assert any(one.values.any() for one in findings)
    unchanged()


def test_several_layers_methods_and_classes_leave_no_trace(
    module: nn.Sequential, unchanged: Callable[[], None]
) -> None:
    options = {"layer": ("features.0", "features.2", "features"), "method": "gradcam,eigencam"}
    cnnexplain.load(module, input_size="32").explain(PICTURE, target="top3", **options)
    unchanged()


@pytest.mark.parametrize("when", ["choosing the layer", "explaining"])
@pytest.mark.parametrize(
    "error", [ValueError("no such luck"), KeyboardInterrupt(), MemoryError(), SystemExit(1)]
)
def test_forward_that_raises_leaves_no_trace(
    module: nn.Sequential, unchanged: Callable[[], None], error: BaseException, when: str
) -> None:
    explainer = cnnexplain.load(module, input_size="32")
    if when == "explaining":
        explainer.explain(PICTURE)
    refused = {ValueError: ModelError, SystemExit: ModelError, MemoryError: (ModelError, ImageError)}
    expected = refused.get(type(error), type(error))
    module.features[3].error = error
    with pytest.raises(expected):
        explainer.explain([PICTURE] * 3)
    del module.features[3].error
    unchanged()


def test_backward_that_raises_leaves_no_trace(module: nn.Sequential) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    explainer = cnnexplain.load(module, input_size="32")
    explainer.explain(PICTURE)
    module.fc.register_full_backward_hook(fail)
    before = state(module)
    with pytest.raises(KeyboardInterrupt):
        explainer.explain(PICTURE)
    assert state(module) == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layer": "nowhere"}, LayerError),
        ({"layer": "flat"}, LayerError),
        ({"layer": ("features", "fc")}, LayerError),
        ({"target": "99"}, TargetError),
        ({"target": "unicorn"}, TargetError),
        ({"method": "grandcam"}, CnnexplainError),
    ],
)
def test_bad_option_leaves_no_trace(
    module: nn.Sequential, unchanged: Callable[[], None], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        cnnexplain.load(module, input_size="32").explain(PICTURE, **options)
    unchanged()


def test_bad_picture_leaves_no_trace(
    module: nn.Sequential, unchanged: Callable[[], None], tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").write_text("not a picture")
    explainer = cnnexplain.load(module, input_size="32")
    with pytest.raises(ImageError):
        explainer.explain([PICTURE, tmp_path / "cat.jpg"], batch_size=1)
    unchanged()


def test_input_of_a_wrong_size_leaves_no_trace(module: nn.Sequential, unchanged: Callable[[], None]) -> None:
    with pytest.raises(ModelError, match=r"failed on an input of \(1, 3, 1, 1\)"):
        cnnexplain.load(module, input_size="1").explain(PICTURE)
    unchanged()


def test_hooks_of_the_users_own_are_run(module: nn.Sequential) -> None:
    """`doubled` doubles the map at `features`, which then shows in the explanation."""
    explainer = cnnexplain.load(module, input_size="32")
    with_hook = explainer.explain(PICTURE, layer="features", target="1").heatmaps[0].values
    module.features._forward_hooks.clear()
    without = explainer.explain(PICTURE, layer="features", target="1").heatmaps[0].values
    np.testing.assert_allclose(with_hook, 2 * without, rtol=1e-5)


def test_input_that_a_layer_hands_on_is_not_drawn_into_the_graph() -> None:
    inputs = torch.randn(1, 3, 32, 32)
    assert heat(nn.Sequential(nn.Identity(), *pooled()).eval(), inputs, layer="0").any()
    assert not inputs.requires_grad


def test_memory_does_not_grow_in_a_loop(module: nn.Sequential) -> None:
    """Hooks that stay, or maps that are kept, hold tensors."""
    import gc

    def tensors() -> int:
        gc.collect()
        return sum(type(one) is Tensor for one in gc.get_objects())

    explainer = cnnexplain.load(module, input_size="32")
    explainer.explain(PICTURE)
    before = tensors()
    for _ in range(5):
        explainer.explain(PICTURE, method="gradcam,eigencam", target="top2")
    assert tensors() <= before
