"""What a module may return, and what it is told where it cannot be explained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import Rectified, Returning, answer, as_model, pooled, settle
from torch import Tensor, nn

from cnnexplain.commands import bound
from cnnexplain.commands.occlusion import Occlusion
from cnnexplain.core.explanation import Batch
from cnnexplain.core.results.map import Heatmap
from cnnexplain.errors import ModelError, OptionError

SIZE = (32, 32)


@pytest.fixture(scope="module")
def inner() -> nn.Sequential:
    torch.manual_seed(0)
    return settle(pooled(), SIZE)


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 3, *SIZE)


@pytest.mark.parametrize("kind", ["tuple", "list", "dict", "dict of segmentation", "object", "(N, K, 1, 1)"])
def test_scores_are_found_in_whatever_they_come(inner: nn.Module, inputs: Tensor, kind: str) -> None:
    plain, wrapped = answer(inner, inputs), answer(Returning(inner, kind).eval(), inputs)
    torch.testing.assert_close(wrapped.logits, plain.logits, rtol=0, atol=0)
    torch.testing.assert_close(wrapped.maps[0].values, plain.maps[0].values, rtol=0, atol=0)


@pytest.mark.parametrize("pictures", [1, 3])
def test_one_number_per_picture_is_a_single_score(inputs: Tensor, pictures: int) -> None:
    inner = settle(pooled(classes=1), SIZE)
    plain = answer(inner, inputs[:pictures])
    found = answer(Returning(inner, "(N,)").eval(), inputs[:pictures])
    assert found.logits.shape == (pictures, 1)
    torch.testing.assert_close(found.maps[0].values, plain.maps[0].values)


@pytest.mark.parametrize("kind", ["text", "map", "nothing", "no rows"])
def test_what_is_no_classifier_is_refused(inner: nn.Module, inputs: Tensor, kind: str) -> None:
    with pytest.raises(ModelError, match="not one row of class scores per picture") as caught:
        answer(Returning(inner, kind).eval(), inputs)
    assert "classifiers" in caught.value.hint


class Unhooked(nn.Module):
    """A network of which a part runs without gradients."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.inner, self.where = Rectified(), where

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.where != "everywhere" and torch.is_grad_enabled()):
            x = self.inner.conv1(x).relu()
        with torch.set_grad_enabled(self.where not in ("everywhere", "head") and torch.is_grad_enabled()):
            return self.inner.fc(self.inner.conv2(x).mean((2, 3)))


@pytest.mark.parametrize("where", ["everywhere", "head"])
def test_network_without_gradients_is_explained_by_methods_that_need_none(inputs: Tensor, where: str) -> None:
    network = Unhooked(where).eval()
    found = answer(network, inputs, method="eigencam", layer="inner.conv1")
    assert found.maps[0].values.abs().max() > 0
    with pytest.raises(ModelError, match="carry no gradient") as caught:
        answer(network, inputs, layer="inner.conv1")
    assert "eigencam" in caught.value.hint
    with pytest.raises(ModelError, match="carry no gradient"):
        answer(network, inputs)  # of a layer that was chosen, which eigencam would explain
    assert answer(network, inputs, method="eigencam").maps[0].layer == "inner.conv2"


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
@pytest.mark.parametrize("compiler", ["script", "trace"])
def test_torchscript_is_refused(inner: nn.Module, inputs: Tensor, compiler: str) -> None:
    compiled = torch.jit.script(inner) if compiler == "script" else torch.jit.trace(inner, inputs)
    for network in (compiled, nn.Sequential(compiled)):
        with pytest.raises(ModelError, match="is TorchScript"):
            answer(network.eval(), inputs)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
@pytest.mark.parametrize("compiler", ["script", "trace"])
def test_torchscript_is_hidden_in_parts_as_a_whole(inner: nn.Module, inputs: Tensor, compiler: str) -> None:
    """Only scores are asked for: all of every variant is computed, which the record says."""
    options = {"method": ("sliding", "rise"), "window": 8, "stride": 8, "masks": 16}
    plain = as_model(inner.eval(), SIZE)
    command, _ = bound(Occlusion(**options), plain)
    with plain.borrowed():
        expected = command.explain(plain, Batch(inputs)).results[0]
    compiled = torch.jit.script(inner) if compiler == "script" else torch.jit.trace(inner, inputs[:1])
    for network in (compiled, nn.Sequential(compiled)):
        model = as_model(network.eval(), SIZE)
        command, _ = bound(Occlusion(**options), model)
        with model.borrowed():
            found = command.explain(model, Batch(inputs)).results[0]
        for one, other in zip(found, expected, strict=True):
            if isinstance(one, Heatmap):
                np.testing.assert_allclose(one.values, other.values, atol=1e-5)
        assert found[0].detail.facts["occlusion"]["incremental"] is False
        assert "TorchScript" in found[0].detail.facts["occlusion"]["why_whole"]


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_scripted_parts_of_a_python_model_are_named(inputs: Tensor) -> None:
    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = settle(pooled(), SIZE)
            self.act = nn.Sequential(torch.jit.script(nn.SiLU()), nn.Identity())

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.inner(x))

    network = Blocks().eval()
    with pytest.raises(ModelError, match=r"the part 'act\.0' of \S+ is TorchScript") as caught:
        answer(network, inputs)
    assert "Python module" in caught.value.hint
    network.inner.features[1] = torch.jit.script(nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()))
    with pytest.raises(
        ModelError, match=r"the part 'inner\.features\.1' \(and 1 more\) of \S+ is TorchScript"
    ):
        answer(network, inputs)
    network.act[0], network.inner.features[1] = nn.SiLU(), nn.Identity()
    assert len(answer(network, inputs).maps) == 1


def test_weights_made_in_inference_mode_are_refused(inputs: Tensor) -> None:
    with torch.inference_mode():
        network = pooled().eval()
    with pytest.raises(ModelError, match=r"made under torch\.inference_mode"):
        answer(network, inputs)


def test_weights_that_are_not_numbers_are_named() -> None:
    network = settle(pooled(), SIZE)
    network.register_buffer("mask", torch.full((2, 2), -torch.inf))  # as attention has them: not a defect
    as_model(network, SIZE).require_finite_weights()
    with torch.no_grad():
        network.fc.weight[0, 0] = torch.inf
        network.features[1].running_var[0] = torch.nan
    with pytest.raises(ModelError, match=r"in 'fc.weight' and 1 more"):
        as_model(network, SIZE).require_finite_weights()


def test_number_of_labels_is_checked(inner: nn.Module) -> None:
    with pytest.raises(OptionError, match="there are 3 labels, but Sequential has 5 classes"):
        _ = as_model(inner, SIZE, own_labels=("a", "b", "c")).labels


def test_fingerprint_changes_with_any_weight_and_not_with_layout() -> None:
    network = settle(pooled(), SIZE)
    before = as_model(network, SIZE).weights_sha256
    assert as_model(network.to(memory_format=torch.channels_last), SIZE).weights_sha256 == before
    with torch.no_grad():
        network.features[1].running_mean[0] += 1e-3
    assert as_model(network, SIZE).weights_sha256 != before
