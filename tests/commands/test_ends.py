"""Every method sees what goes into a model's own softmax or sigmoid, and as many classes as are likely enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, explained, pooled, settle
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.commands.activations import Activations
from cnnexplain.commands.deconv import Deconv
from cnnexplain.commands.gradcam import GradCAM
from cnnexplain.commands.saliency import Saliency

SIZE = (32, 32)
METHODS: dict[str, Any] = {
    "gradcam": GradCAM(method=("gradcam", "layercam", "hirescam", "eigencam")),
    "saliency": Saliency(method=("gradient", "input-x-gradient", "guided-backprop", "smoothgrad")),
    "integrated gradients": Saliency(method=("integrated-gradients",), steps=16),
    "guided grad-cam": Saliency(method=("guided-gradcam",)),
    "deconv": Deconv(layer=("0.features",), top=2),
    "activations": Activations(),
}


class Ends(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


@pytest.fixture(scope="module")
def inner() -> nn.Module:
    torch.manual_seed(0)
    network = settle(pooled(), SIZE)
    with torch.no_grad():
        network.fc.weight.mul_(20)
    return network


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(5, 3, *SIZE)


@pytest.mark.parametrize("name", METHODS)
def test_a_softmax_at_the_end_changes_nothing(inner: nn.Module, inputs: Tensor, name: str) -> None:
    """Both networks have the same layers under the same names."""
    plain = explained(METHODS[name], nn.Sequential(inner).eval(), inputs)
    ended = explained(METHODS[name], Ends(inner).eval(), inputs)
    torch.testing.assert_close(ended.logits, plain.logits)
    for one, other in zip(ended.maps, plain.maps, strict=True):
        torch.testing.assert_close(one.values, other.values, rtol=1e-4, atol=1e-5)
    for one, other in zip(ended.units, plain.units, strict=True):
        for values, others in zip(one.values, other.values, strict=True):
            torch.testing.assert_close(values, others)


@pytest.mark.parametrize(
    "method",
    [
        GradCAM(method=("gradcam", "eigencam")),
        Saliency(method=("gradient", "smoothgrad"), samples=2),
        Saliency(method=("integrated-gradients",), steps=4),
        Saliency(method=("guided-gradcam",)),
    ],
)
def test_classes_above_a_probability(inner: nn.Module, inputs: Tensor, method: Any) -> None:
    """As many for each picture as are likelier, also where a batch goes through in parts with other numbers of them."""
    inputs = inputs * torch.tensor([0.1, 1, 3, 10, 0.5])[:, None, None, None]
    with torch.no_grad():
        likely = inner(inputs).softmax(1)
    above = (
        round(float(likely.sort(1).values[:, -2].median()), 4) - 1e-4
    )  # of some pictures one class, of others two
    found = explained(replace(method, target=f"above:{above}"), as_model(inner, SIZE), inputs)
    name = method.method[0]
    ranks = [one for one in found.maps if one.method == name]
    for row, chances in enumerate(likely):
        wanted = [int(one) for one in chances.argsort(descending=True) if chances[one] > above]
        assert [int(one.index[row]) for one in ranks if one.index[row] >= 0] == wanted
    assert len({tuple(one.index.shape) for one in found.maps}) == 1
    counts = (likely > above).sum(1)
    assert counts.min() < counts.max(), "or else this shows nothing"
    for one in found.maps:
        assert one.of_class or bool((one.index >= 0).all())  # a map of no class is there whatever is likely
    for rank, one in enumerate(ranks, 1):
        for row in (one.index >= 0).nonzero()[:, 0].tolist():
            alone = explained(
                replace(method, target=f"top{rank}"), as_model(inner, SIZE), inputs[row : row + 1]
            )
            same = [other for other in alone.maps if other.method == name][rank - 1]
            if name != "smoothgrad":
                torch.testing.assert_close(one.values[row], same.values[0], rtol=1e-3, atol=1e-5)


def test_from_python(inner: nn.Module) -> None:
    """`output`, `activation` and `target` are those of the command line."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.other = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Any:
            features = self.inner[0](x).mean((2, 3))
            return {"kind": self.inner.fc(features), "age": self.other(features)}

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    network = Two().eval()
    with pytest.raises(cnnexplain.CnnexplainError, match=r"kind \(N, 5\), age \(N, 3\)"):
        cnnexplain.load(network, input_size="32").explain(picture)
    for output in ("age", 1):
        explainer = cnnexplain.load(
            network, input_size="32", crop_pct=1.0, output=output, activation="sigmoid"
        )
        explanation = explainer.explain(picture, target="above:0.01")
        assert len(explanation.predictions) == 3
        assert explanation.activation == "sigmoid"
        for one in explanation.predictions:
            assert one.probability == pytest.approx(1 / (1 + np.exp(-one.logit)), rel=1e-4)
        assert len(explanation.heatmaps) == sum(
            (one.probability or 0) > 0.01 for one in explanation.predictions
        )
    none = cnnexplain.load(network, input_size="32", output="age", activation="none").explain(picture)
    assert {one.probability for one in none.predictions} == {None}
    assert (
        cnnexplain.load(network, input_size="32", output="age", activation="none").picture(none).size[0] > 100
    )
