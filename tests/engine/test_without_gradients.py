"""Models whose scores carry no gradient: what needs none finds its layer, and the rest is refused in words."""

from __future__ import annotations

import linecache
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, pooled
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.forward import PACKAGE
from cnnexplain.errors import ModelError

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.relu = nn.Conv2d(3, 4, 3, 2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(4, 5, 3), nn.ReLU()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(5, 3)

    def body(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu(self.conv1(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.body(x)).flatten(1))


class NoGrad(Net):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Inference(Net):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Detached(Net):
    def body(self, x: Tensor) -> Tensor:
        return super().body(x).detach()


class AsNumpy(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(super().forward(x).detach().cpu().numpy())


class MapOfScores(NoGrad):
    """Its last map are the scores of every place, which is not what is explained."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(5, 3, 1)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x)).mean((2, 3))


def plain(layer: str, command: str = "gradcam", **options: str) -> np.ndarray:
    found = cnnexplain.load(Net().eval(), input_size="32").explain(PICTURE, command, layer=layer, **options)
    return (*found.heatmaps, *found.feature_maps)[0].values


@pytest.mark.parametrize("kind", [NoGrad, Inference, Detached, AsNumpy, MapOfScores])
def test_the_last_map_before_pooling_is_found(kind: type[Net]) -> None:
    explainer = cnnexplain.load(kind().eval(), input_size="32")
    choice = explainer.model.choose_layer()
    assert choice.value == "relu2"
    assert choice.reason.startswith("the last map before pooling, and no gradient tells")
    for found in explainer.explain([PICTURE] * 2, method="eigencam"):
        np.testing.assert_allclose(found.heatmaps[0].values, plain("relu2", method="eigencam"), atol=1e-6)
    shown = explainer.explain(PICTURE, "activations").feature_maps
    assert [one.layer for one in shown] == ["relu", "relu2"]
    whole = explainer.explain(PICTURE, "activations", layer="relu").feature_maps[0]
    np.testing.assert_allclose(whole.values, plain("relu", "activations"), atol=1e-6)


@pytest.mark.parametrize("kind", [NoGrad, Inference, Detached, AsNumpy])
def test_methods_that_need_gradients_say_what_works(kind: type[Net]) -> None:
    explainer = cnnexplain.load(kind().eval(), input_size="32")
    with pytest.raises(cnnexplain.CnnexplainError, match="carry no gradient") as caught:
        explainer.explain(PICTURE)
    assert "-m eigencam" in caught.value.hint


@pytest.mark.parametrize("method", ["ablationcam", "scorecam"])
@pytest.mark.parametrize("kind", [NoGrad, Inference, Detached, AsNumpy])
def test_formulas_that_ask_for_scores_give_the_map_of_the_same_model_with_gradients(
    kind: type[Net], method: str
) -> None:
    (found,) = cnnexplain.load(kind().eval(), input_size="32").explain(PICTURE, method=method).heatmaps
    np.testing.assert_allclose(found.values, plain("relu2", method=method), rtol=1e-4, atol=1e-6)


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant, self.net = torch.ao.quantization.QuantStub(), Net()
        self.dequant = torch.ao.quantization.DeQuantStub()

    def forward(self, x: Tensor) -> Tensor:
        return self.dequant(self.net(self.quant(x)))


@pytest.fixture
def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = Quantised().eval()
        engines = {"x86", "fbgemm", "qnnpack"}.intersection(torch.backends.quantized.supported_engines)
        if not engines:
            pytest.skip("this machine computes nothing quantised")
        engine = max(engines)
        torch.backends.quantized.engine = engine
        module.qconfig = torch.ao.quantization.get_default_qconfig(engine)
        torch.ao.quantization.prepare(module, inplace=True)
        module(2 * torch.randn(32, 3, 32, 32))
        return torch.ao.quantization.convert(module)


def test_maps_of_quantised_models_are_read_as_numbers(quantised: nn.Module) -> None:
    explainer = cnnexplain.load(quantised, input_size="32")
    assert explainer.model.choose_layer().value == "net.relu2"
    found = explainer.explain(PICTURE, method="eigencam").heatmaps[0]
    expected = plain("relu2", method="eigencam")
    assert np.abs(found.values - expected).max() < 0.1 * np.abs(expected).max()
    named = explainer.explain(PICTURE, "activations", layer="net.conv2").feature_maps[0]
    expected = plain("conv2", "activations")
    assert (
        np.abs(named.values - expected).mean() < 0.02 * np.abs(expected).max()
    )  # 127 steps of a largest value


class Refusing(torch.autograd.Function):
    """Has no way back, in words of its own."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_ctx: Any, _gradient: Tensor) -> Tensor:
        raise KeyError("no way back")


def test_only_errors_of_torch_and_of_the_model_are_told_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = as_model(pooled().eval(), (32, 32))
    x = torch.ones(2, requires_grad=True)

    def theirs() -> None:
        torch.autograd.grad(Refusing.apply(x).sum(), x)

    def of_torch() -> None:
        torch.autograd.grad(x.detach().sum(), x)

    for look in (theirs, of_torch):
        with pytest.raises(ModelError, match="the gradients of"):
            model.looked_at(look)
    file = f"{PACKAGE}engine/invented.py"
    code = "def ours(error):\n    raise error\n"
    monkeypatch.setitem(linecache.cache, file, (len(code), None, code.splitlines(keepends=True), file))
    names: dict[str, Any] = {}
    exec(compile(code, file, "exec"), names)  # noqa: S102 - a line of ours that has a defect
    for error in (KeyError("a"), RuntimeError("a")):
        with pytest.raises(type(error)) as caught:
            model.looked_at(partial(names["ours"], error))
        assert caught.value is error


@pytest.mark.parametrize("method", ["ablationcam", "scorecam"])
def test_channels_of_quantised_maps_are_set_to_zero(quantised: nn.Module, method: str) -> None:
    found = cnnexplain.load(quantised, input_size="32").explain(PICTURE, method=method).heatmaps[0]
    # Drops of scores are a few steps of 8 bits.
    assert np.corrcoef(found.values.flatten(), plain("relu2", method=method).flatten())[0, 1] > 0.95
