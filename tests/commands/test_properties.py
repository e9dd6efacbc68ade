"""What every method must satisfy, whatever the network."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from networks import ChannelsLast, Rectified, answer, as_model, heat, pooled, settle
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.engine.model import Model
from cnnexplain.formulas.cam import CAMS

CLASS_METHODS = [name for name in CAMS if name != "eigencam"]
RECTIFIERS = ["module", "functional", "in-place module", "in-place function", "in-place arithmetic"]


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return settle(pooled(classes=7), (32, 32))


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(4, 3, 32, 32)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "xgradcam"])
def test_before_global_average_pooling_and_one_linear_layer_all_are_cam(
    network: nn.Sequential, inputs: Tensor, method: str
) -> None:
    """Zhou et al. 2016: the maps weighted by the class's row of the linear layer; pooling divides by h w."""
    with torch.no_grad():
        cam = torch.einsum("nchw,c->nhw", network.features(inputs), network.fc.weight[3]) / (16 * 16)
    found = heat(network, inputs, layer="features", target="3", method=method)
    torch.testing.assert_close(found, cam, rtol=1e-4, atol=1e-6)
    assert found.max() > 0 > found.min()


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_class_that_the_head_ignores_is_found_nowhere(
    network: nn.Sequential, inputs: Tensor, method: str
) -> None:
    with torch.no_grad():
        network.fc.weight[2] = 0
    assert not heat(network, inputs, target="2", method=method).any()
    assert heat(network, inputs, target="3", method=method).any()


def test_ignored_class_has_no_peak(network: nn.Sequential) -> None:
    with torch.no_grad():
        network.fc.weight[2] = 0
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    explainer = cnnexplain.load(network, input_size="32")
    assert explainer.explain(picture, target="2").heatmaps[0].peak is None
    assert explainer.explain(picture, target="2", method="eigencam").heatmaps[0].peak is not None


def test_hirescam_is_linear_in_the_class_score(inputs: Tensor) -> None:
    """Class 2 is 3 of class 0 less 2 of class 1; what lies between layer and scores need not be linear."""
    network = Rectified(classes=3).eval()
    with torch.no_grad():
        network.fc.weight[2] = 3 * network.fc.weight[0] - 2 * network.fc.weight[1]
    zero, one, two = (
        heat(network, inputs, layer="conv2", method="hirescam", target=str(target)) for target in range(3)
    )
    torch.testing.assert_close(two, 3 * zero - 2 * one, rtol=1e-4, atol=1e-6)


def test_hirescam_at_a_linear_end_sums_to_the_score(inputs: Tensor) -> None:
    network = settle(pooled(bias=False), (32, 32))
    found = answer(network, inputs, method="hirescam")
    top = found.logits.max(1).values
    torch.testing.assert_close(found.maps[0].values.sum((1, 2)), top, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", CAMS)
def test_batch_with_a_class_for_each_picture_is_every_picture_alone(
    network: nn.Sequential, inputs: Tensor, method: str
) -> None:
    together = answer(network, inputs, layer=("features.2", "features"), method=method)
    assert len(set(together.maps[0].index.tolist())) > 1, "the pictures must differ in class"
    for row in range(len(inputs)):
        alone = answer(network, inputs[row : row + 1], layer=("features.2", "features"), method=method)
        for one, all_ in zip(alone.maps, together.maps, strict=True):
            assert one.index[0] == all_.index[row]
            torch.testing.assert_close(one.values[0], all_.values[row], rtol=1e-4, atol=1e-6)


def test_top_three_are_the_three_classes_one_by_one(network: nn.Sequential, inputs: Tensor) -> None:
    found = answer(network, inputs[:1], target="top3")
    best = found.logits[0].argsort(descending=True)[:3].tolist()
    assert [int(one.index) for one in found.maps] == best
    for one in found.maps:
        alone = heat(network, inputs[:1], target=str(int(one.index)))
        torch.testing.assert_close(one.values, alone)


def test_more_ranks_than_classes_are_all_classes(network: nn.Sequential, inputs: Tensor) -> None:
    found = answer(network, inputs[:1], target="top99")
    assert sorted(int(one.index) for one in found.maps) == list(range(7))


class Counted:
    """How often a model was run forward and how often backward."""

    def __init__(self, module: nn.Module) -> None:
        self.forwards = self.backwards = 0
        self.model = as_model(module, (32, 32))
        _ = self.model.trace  # choosing a layer has passes of its own
        module.register_forward_pre_hook(self._forward)
        self._grad = torch.autograd.grad

    def _forward(self, *_: object) -> None:
        self.forwards += 1

    def _backward(self, *arguments: object, **options: object) -> object:
        self.backwards += 1
        return self._grad(*arguments, **options)  # type: ignore[arg-type]

    def answer(self, inputs: Tensor, **options: object) -> object:
        with patch("torch.autograd.grad", self._backward):
            return answer(self.model, inputs, **options)


def test_methods_and_layers_together_cost_one_forward_and_a_backward_per_class(
    network: nn.Sequential, inputs: Tensor
) -> None:
    counted = Counted(network)
    options = {"method": tuple(CAMS), "layer": ("features.2", "features.4", "features")}
    together = counted.answer(inputs, target="top2", **options)
    assert (counted.forwards, counted.backwards) == (1, 2)
    assert len(together.maps) == 2 * 3 * len(CAMS) - 3  # no class enters eigencam, so it comes once
    for one in together.maps:
        alone = [
            each
            for each in answer(network, inputs, method=one.method, layer=one.layer, target="top2").maps
            if torch.equal(each.index, one.index)
        ]
        torch.testing.assert_close(one.values, alone[0].values, rtol=1e-4, atol=1e-6)


def test_eigencam_alone_makes_no_backward(network: nn.Sequential, inputs: Tensor) -> None:
    counted = Counted(network)
    counted.answer(inputs, method="eigencam", target="top3")
    assert (counted.forwards, counted.backwards) == (1, 0)


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("kind", RECTIFIERS)
@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3"])
def test_rectifier_after_a_layer_may_be_written_in_any_way(
    inputs: Tensor, layer: str, kind: str, method: str
) -> None:
    """In-place ones would overwrite the map that was caught, unless what goes on is a copy."""
    expected = heat(Rectified("functional").eval(), inputs, layer=layer, method=method)
    assert method == "layercam" or expected.min() < 0, "the map must not be rectified already"
    found = heat(Rectified(kind).eval(), inputs, layer=layer, method=method)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_map_is_what_the_layer_returned_before_a_later_in_place_operation(inputs: Tensor) -> None:
    network = Rectified("in-place function").eval()
    model = as_model(network, (32, 32))
    with model.borrowed(), model.capture("conv1") as maps:
        model.forward(inputs)
    torch.testing.assert_close(maps["conv1"].detach(), network.conv1(inputs).detach(), rtol=0, atol=0)
    assert (maps["conv1"] < 0).any()


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (40, 24)])
def test_channels_last_layer_gives_the_map_of_its_twin(method: str, size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    network, inputs = settle(pooled(), size), torch.randn(2, 3, *size)
    expected = heat(network, inputs, layer="features", method=method)
    assert expected.shape == (2, size[0] // 2, size[1] // 2)
    found = heat(ChannelsLast(network).eval(), inputs, layer="last", method=method)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (50, 18)])
def test_inputs_of_any_shape_and_number_of_channels(channels: int, size: tuple[int, int]) -> None:
    """The brightest place of a network that adds up its input is where the input is bright."""
    network = pooled(channels=channels, width=1, classes=2, bias=False).eval()
    with torch.no_grad():
        for child in network.modules():
            if isinstance(child, nn.Conv2d):
                child.weight.fill_(1)
                child.bias.zero_()
        network.fc.weight.copy_(torch.tensor([[1.0], [-1]]))
    inputs = torch.zeros(1, channels, *size)
    inputs[..., 2 * (size[0] // 4), 2 * (size[1] // 5)] = 1
    found = heat(network, inputs, target="0")[0]
    assert found.shape == (size[0] // 2, size[1] // 2)
    rows, columns = torch.where(found == found.max())  # its neighbours may be just as bright
    assert abs(rows.float().mean() - size[0] // 4) <= 0.5
    assert abs(columns.float().mean() - size[1] // 5) <= 0.5


def test_single_score_is_two_classes_that_speak_against_each_other(inputs: Tensor) -> None:
    network = settle(pooled(classes=1), (32, 32))
    model = as_model(network, (32, 32), own_labels=("cat",))
    assert model.labels == ("not cat", "cat")
    found = answer(model, inputs, target="top2")
    for row in range(len(inputs)):
        first, second = (one.values[row] for one in found.maps)
        torch.testing.assert_close(first, -second)
    logit = found.logits[:, 0]
    chances = torch.tensor(
        [[one.probability for one in ranked] for ranked in model.predictions(found.logits)]
    )
    torch.testing.assert_close(chances.sum(1), torch.ones(len(inputs)))
    torch.testing.assert_close(chances[:, 0], torch.maximum(logit.sigmoid(), (-logit).sigmoid()))
    best = [ranked[0].index for ranked in model.predictions(found.logits)]
    assert best == (logit > 0).long().tolist() == found.maps[0].index.tolist()
    cam = torch.einsum("nchw,c->nhw", network.features(inputs), network.fc.weight[0]).detach() / 256
    torch.testing.assert_close(heat(model, inputs, target="cat"), cam, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(heat(model, inputs, target="not cat"), -cam, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", CAMS)
def test_bfloat16_is_close_to_float32_and_half_is_finite(
    network: nn.Sequential, inputs: Tensor, method: str
) -> None:
    exact = heat(as_model(network, (32, 32)), inputs, method=method, target="1")
    rough = heat(as_model(network, (32, 32), precision="bf16"), inputs, method=method, target="1")
    half = heat(as_model(network, (32, 32), precision="fp16"), inputs, method=method, target="1")
    assert rough.dtype == half.dtype == torch.float32
    limit = np.ptp(exact.numpy()) * 0.05
    assert 0 < (rough - exact).abs().max() < limit
    assert 0 < (half - exact).abs().max() < limit / 4


def test_half_keeps_gradients_below_its_smallest_number() -> None:
    """Pooling divides by 64 x 64: gradients of 1e-8, where half precision ends at 6e-8."""
    network, inputs = settle(pooled(), (128, 128)), torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        network.fc.weight.mul_(1e-4)
    exact = heat(network, inputs, target="0")
    half = heat(as_model(network, (128, 128), precision="fp16"), inputs, target="0")
    assert exact.abs().max() < 1e-6
    assert (half - exact).abs().max() < np.ptp(exact.numpy()) * 0.02


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_another_type_are_used_as_they_are(network: nn.Sequential, dtype: torch.dtype) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    exact = cnnexplain.load(network, input_size="32").explain(picture, target="1").heatmaps[0].values
    explainer = cnnexplain.load(network.to(dtype), input_size="32")
    found = explainer.explain(picture, target="1").heatmaps[0].values
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < np.ptp(exact) * (0.05 if dtype is torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", CAMS)
def test_callers_without_gradients_get_the_same(network: nn.Sequential, mode: type, method: str) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    options = {"method": method, "target": "1"}
    expected = cnnexplain.load(network, input_size="32").explain(picture, **options).heatmaps[0].values
    with mode():
        explainer = cnnexplain.load(network, input_size="32")
        found = explainer.explain(picture, **options).heatmaps[0].values
        assert not torch.is_grad_enabled()
    np.testing.assert_array_equal(found, expected)


def test_frozen_networks_are_explained(inputs: Tensor) -> None:
    network = Rectified().eval()
    expected = heat(network, inputs, layer="conv2")
    torch.testing.assert_close(heat(network.requires_grad_(False), inputs, layer="conv2"), expected)


def test_wrappers_are_taken_off(network: nn.Sequential) -> None:
    assert cnnexplain.load(nn.DataParallel(network), input_size="32").model.module is network
    compiled = torch.compile(network)
    assert cnnexplain.load(compiled, input_size="32").model.module is network
    assert cnnexplain.load(nn.DataParallel(compiled), input_size="32").model.module is network


def test_training_mode_is_not_what_is_explained(network: nn.Sequential, inputs: Tensor) -> None:
    expected = heat(network, inputs)
    torch.testing.assert_close(heat(network.train(), inputs), expected, rtol=0, atol=0)


def test_model_names_its_classes(network: nn.Sequential) -> None:
    assert Model(network, "x", as_model(network, (32, 32)).preprocess).labels[6] == "class 6"
