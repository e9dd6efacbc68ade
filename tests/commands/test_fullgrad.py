"""FullGrad: its law, pytorch-grad-cam, and what is said where the law does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam as peers
import torch
import torch.nn.functional as F
from networks import Rectified, answer, as_model, pooled, settle
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.backward.biases import Biases
from cnnexplain.errors import LayerError, OptionError
from cnnexplain.formulas import full_gradient_sum, fullgrad

SIZE = (32, 32)


class Residual(nn.Module):
    """Additions, norms without weights, grouped and transposed convolutions, a bias by its keyword."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8, affine=False)
        self.block, self.second = nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.BatchNorm2d(8)
        self.up, self.fc = nn.ConvTranspose2d(8, 6, 2, 2), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.norm(self.stem(x)), 0.1)
        x = F.relu_(self.second(self.block(x))) + x
        x = F.max_pool2d(F.relu(self.up(x)), 3, 2)
        return F.linear(x.mean((2, 3)), self.fc.weight, bias=self.fc.bias)


NETWORKS = {
    "pooled": pooled,
    "functional": lambda: Rectified("functional"),
    "in place": lambda: Rectified("in-place function"),
    "in-place arithmetic": lambda: Rectified("in-place arithmetic"),
    "residual": Residual,
}


def network(name: str) -> nn.Module:
    torch.manual_seed(1)
    return settle(NETWORKS[name](), SIZE)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_rectifiers_is_its_full_gradient(name: str) -> None:
    """f = x . df/dx + sum b . df/db."""
    module = network(name).double().requires_grad_(False)
    x = torch.randn(3, 3, *SIZE, dtype=torch.float64, requires_grad=True)
    expected = module(x)[:, 2]
    with Biases() as noted:
        score = module(x.clone())[:, 2]
    torch.testing.assert_close(score, expected, rtol=0, atol=0)
    outputs = [returned for returned, _ in noted.added]
    first, *others = torch.autograd.grad(score.sum(), [x, *outputs])
    parts = [x.detach() * first, *(bias * g for (_, bias), g in zip(noted.added, others, strict=True))]
    torch.testing.assert_close(full_gradient_sum(parts), expected.detach(), rtol=1e-12, atol=1e-12)
    assert (
        float((full_gradient_sum(parts[:1]) - expected.detach()).abs().min()) > 1e-3
    )  # the biases are needed


@pytest.mark.parametrize("name", NETWORKS)
def test_the_command_says_both_sides_of_the_law(name: str) -> None:
    torch.manual_seed(2)
    found = answer(network(name), torch.randn(3, 3, *SIZE), method="fullgrad", target="top2")
    for one in found.maps:
        scores = found.logits.gather(1, one.index[:, None])[:, 0]
        for detail, score in zip(one.details, scores, strict=True):
            facts = detail.facts["fullgrad"]
            assert facts["score"] == pytest.approx(float(score), rel=1e-5, abs=1e-6)
            assert facts["sum"] == pytest.approx(facts["score"], rel=1e-4, abs=1e-5)
            assert "add up" not in detail.remarks[0]


def test_where_something_else_takes_part_the_rest_is_said() -> None:
    class Sigmoid(Rectified):
        def rectify(self, x: Tensor) -> Tensor:
            return x.sigmoid()

    (found,) = answer(Sigmoid().eval(), torch.randn(1, 3, *SIZE), method="fullgrad").maps
    facts = found.detail.facts["fullgrad"]
    assert abs(facts["sum"] - facts["score"]) > 1e-2
    assert "what is neither linear nor a ReLU makes the rest" in found.detail.remarks[0]


@pytest.mark.parametrize("name", ["pooled", "functional"])
def test_the_map_is_pytorch_grad_cams(name: str) -> None:
    """Which leaves out biases of functions; here all are those of modules. It adds 1e-7 to what it divides by."""
    torch.manual_seed(3)
    module, inputs = network(name), torch.randn(3, 3, *SIZE)
    with torch.no_grad():
        module.fc.weight.mul_(1e4)
    ours = answer(module, inputs, method="fullgrad", target="2").maps[0].values
    with peers.FullGrad(module, []) as peer:
        theirs = peer(inputs, [ClassifierOutputTarget(2)] * 3)
    for one, other in zip(ours.numpy(), theirs, strict=True):
        np.testing.assert_allclose((one - one.min()) / np.ptp(one), other, atol=1e-4)


def test_the_map_has_no_sign_and_no_layer() -> None:
    torch.manual_seed(4)
    found = answer(network("pooled"), torch.randn(2, 3, *SIZE), method=("gradcam", "fullgrad"), target="top2")
    assert [(one.method, one.layer) for one in found.maps] == [
        ("gradcam", "features"),
        ("fullgrad", "input"),
    ] * 2
    assert found.maps[1].scale == "magnitude"
    assert found.maps[1].values.shape == (2, *SIZE)
    assert float(found.maps[1].values.min()) >= 0


def test_a_batch_is_every_picture_alone() -> None:
    torch.manual_seed(5)
    inputs = torch.randn(3, 3, *SIZE)
    together = answer(network("residual"), inputs, method="fullgrad").maps[0]
    for row in range(3):
        alone = answer(network("residual"), inputs[row : row + 1], method="fullgrad").maps[0]
        torch.testing.assert_close(together.values[row], alone.values[0], rtol=1e-4, atol=1e-5)


class Windows(nn.Module):
    """A linear layer on quarters of the map, each of which is a row of a larger batch; then one on all cells."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.conv, self.of_window, self.of_cell, self.fc = (
            nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 6), nn.Linear(6, 5), nn.Linear(5, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        n, c, h, w = x.shape
        x = x.view(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 3, 5, 1).reshape(n * 4, h // 2, w // 2, c)
        x = self.of_window(x).relu()
        x = x.view(n, 2, 2, h // 2, w // 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return self.fc(self.of_cell(x).relu().mean((1, 2)))


def test_layers_on_parts_of_a_picture_count_in_the_sum() -> None:
    found = answer(Windows().eval(), torch.randn(3, 3, *SIZE), method="fullgrad", target="1").maps[0]
    for detail in found.details:
        facts = detail.facts["fullgrad"]
        assert facts["sum"] == pytest.approx(facts["score"], rel=1e-4, abs=1e-5)
        assert (facts["biases"], facts["shown"]) == (4, 2)


def test_a_model_that_cuts_the_picture_is_refused() -> None:
    class Cut(Rectified):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x[:, :, :, 16:])

    with pytest.raises(LayerError, match="fullgrad lays the maps of all layers on the whole picture"):
        answer(Cut().eval(), torch.randn(1, 3, *SIZE), method="fullgrad")
    with pytest.raises(LayerError) as caught:
        answer(Cut().eval(), torch.randn(1, 3, *SIZE), method=("gradcam", "fullgrad", "layercam"))
    assert caught.value.hint == "leave fullgrad out: -m gradcam,layercam"


def test_a_layer_is_of_no_use() -> None:
    with pytest.raises(OptionError, match="--layer features has no use here"):
        answer(network("pooled"), torch.randn(1, 3, *SIZE), method="fullgrad", layer="features")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(precision: str) -> None:
    torch.manual_seed(7)
    module, inputs = network("pooled"), torch.randn(2, 3, *SIZE)
    exact, rough = (
        answer(as_model(module, SIZE, **options), inputs, method="fullgrad", target="1").maps[0].values
        for options in ({}, {"precision": precision})
    )
    assert float((exact - rough).abs().max()) < 0.2 * float(exact.max() - exact.min())


def test_a_function_may_be_the_target() -> None:
    picture: Any = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    explainer = cnnexplain.load(network("pooled"), input_size="32")
    (one,) = explainer.explain(picture, method="fullgrad", target=lambda output: output[:, 2]).heatmaps
    (other,) = explainer.explain(picture, method="fullgrad", target="2").heatmaps
    np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-6)


def test_a_part_that_is_the_same_everywhere_shows_nothing() -> None:
    part = torch.tensor([-2.0, 1.0, 0.0]).reshape(1, 1, 1, 3)
    torch.testing.assert_close(fullgrad([part, torch.ones(1, 4, 1, 1)], (1, 3)), fullgrad([part], (1, 3)))
