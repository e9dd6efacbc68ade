"""Untrained architectures of every family: their pixels and units explained right, or refused in words."""

from __future__ import annotations

import pytest
import torch
from architectures import architecture, size_of
from networks import Columns, as_model, settle
from test_sweep import CONVOLUTIONAL, HYBRID, TOKENS, hooks
from timm.models.mlp_mixer import MlpMixer
from torch import Tensor, nn

from cnnexplain.commands.deconv import Deconv
from cnnexplain.commands.saliency import Saliency
from cnnexplain.core.explanation import Batch
from cnnexplain.engine.model import Model
from cnnexplain.errors import CnnexplainError

KINDS = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.Mish,
)
METHODS = ("gradient", "guided-backprop", "integrated-gradients")


def asked(model: Model, method: Saliency | Deconv, inputs: Tensor) -> Columns:
    bound, _ = method.bind(model)
    with model.borrowed():
        return Columns(bound.explain(model, Batch(inputs)))


def modules_met(module: nn.Module, inputs: Tensor) -> int:
    """How often a module of a known kind runs on the way of a picture and its result matters to a gradient."""
    met = []

    def note(_module: nn.Module, _arguments: object, output: Tensor) -> None:
        if output.requires_grad:
            met.append(output)

    rectifiers = [child for child in module.modules() if isinstance(child, KINDS)]
    handles = [child.register_forward_hook(note) for child in rectifiers]
    module(inputs.clone().requires_grad_().clone())
    for handle in handles:
        handle.remove()
    return len(met)


@pytest.fixture(params=CONVOLUTIONAL + HYBRID + TOKENS)
def model(request: pytest.FixtureRequest) -> Model:
    size = size_of(request.param)
    module = settle(architecture(request.param), size)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return as_model(module, size)


@pytest.mark.slow
def test_pixels_and_units_of_any_architecture(model: Model) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(1, 3, *model.preprocess.input_size)
    pixels = inputs.clone().requires_grad_()
    with model.borrowed():
        logits = model.forward(pixels.clone())
        (expected,) = torch.autograd.grad(logits.amax(), pixels)
        logits = logits.detach()
        at_zero = model.forward(torch.zeros_like(inputs))
        met = modules_met(model.module, inputs)
    hooked = hooks(model.module)
    model.module.train()

    found = asked(model, Saliency(method=METHODS, steps=3, baseline="mean"), inputs)
    gradient, guided, integrated = (one.values for one in found.maps)
    torch.testing.assert_close(gradient, expected.abs().amax(1), rtol=1e-3, atol=1e-4 * float(gradient.max()))
    assert guided.isfinite().all()
    assert guided.abs().max() > 0 or isinstance(
        model.module, MlpMixer
    )  # whose gates let nothing positive back
    rectifiers = found.maps[1].details[0].facts["rectifiers"]
    assert rectifiers["count"] >= max(met, 1)
    complete = found.maps[2].details[0].facts["completeness"]
    best = int(logits.argmax())
    torch.testing.assert_close(
        complete["difference"], float(logits[0, best] - at_zero[0, best]), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(complete["sum"], float(integrated.sum()), rtol=1e-3, atol=1e-3)

    units, refusal = (), None
    try:
        units = asked(model, Deconv(top=2, rule=("guided",)), inputs).units
    except CnnexplainError as error:
        refusal = error
    assert units or (refusal and refusal.hint and "works on tokens" in refusal.problem)
    for unit in units:
        left, top, right, bottom = unit.sees[0].tolist()
        assert unit.values[0].shape == (3, bottom - top, right - left)
        assert unit.values[0].isfinite().all()
    if units:
        assert any(unit.values[0].any() for unit in units)
    assert hooks(model.module) == hooked
    assert all(child.training for child in model.module.modules())
    assert not any(one.requires_grad or one.grad is not None for one in model.module.parameters())
