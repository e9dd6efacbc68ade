"""Modules that torch.compile and torch.export made: explained as what they were made of, or refused in their words."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnexplain
from cnnexplain.core.explanation import Explanation
from cnnexplain.engine.borrow import borrowed

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    torch.compiler.reset()


class Counted:
    """A backend of torch.compile that counts how often it is asked to compile, and leaves the code as it is."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Any:
        self.times += 1
        return graph.forward


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU6()
        )
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def whole(backend: Counted) -> nn.Module:
    net = Net().eval()
    net.compile(backend=backend)
    return net


def part(backend: Counted) -> nn.Module:
    net = Net().eval()
    net.features = torch.compile(net.features, backend=backend)
    return net


def inside(backend: Counted) -> nn.Module:
    net = Net().eval()
    net.features.compile(backend=backend)
    return net


def function(backend: Counted) -> nn.Module:
    net = Net().eval()
    net.features[1].forward = torch.compile(torch.relu, backend=backend)
    return net


def wrapped(backend: Counted) -> nn.Module:
    return torch.compile(Net().eval(), backend=backend)


def values(explained: Explanation) -> np.ndarray:
    return np.concatenate([one.values.ravel() for one in (*explained.heatmaps, *explained.reconstructions)])


@pytest.mark.parametrize("make", [whole, part, inside, function, wrapped])
@pytest.mark.parametrize(
    ("command", "options"), [("gradcam", {}), ("saliency", {"method": "guided-backprop"}), ("deconv", {})]
)
def test_nothing_is_compiled_and_the_maps_are_those_of_the_code(
    make: Any, command: str, options: Any
) -> None:
    backend = Counted()
    module = make(backend)
    expected = cnnexplain.load(Net().eval(), input_size="32").explain(PICTURE, command, **options)
    found = cnnexplain.load(module, input_size="32").explain(PICTURE, command, **options)
    assert backend.times == 0
    np.testing.assert_array_equal(values(found), values(expected))
    if make is inside and torch.__version__ < "2.14":
        return  # torch 2.10 does not compile again what once ran eagerly within code that is not compiled
    with torch.no_grad():
        module(torch.zeros(1, 3, 32, 32))
    assert backend.times > 0, "outside it is compiled as before"


def test_layers_within_compiled_parts_are_found_by_their_own_names() -> None:
    explainer = cnnexplain.load(part(Counted()), input_size="32")
    assert explainer.model.find_layer("features.0") == "features._orig_mod.0"
    assert explainer.model.find_layer("features[-2]") == "features._orig_mod.2"
    assert explainer.explain(PICTURE, layer="features.2").heatmaps[0].values.shape == (28, 28)


def test_borrowers_in_several_threads_leave_the_compiler_as_it_was() -> None:
    def stance() -> str:
        return torch._dynamo.eval_frame._stance.stance

    assert stance() == "default"
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with borrowed(nn.Linear(1, 1), exact=True):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    with borrowed(nn.Linear(1, 1), exact=True):
        leave.set()
        thread.join()
        assert stance() == "force_eager", "the other left first"
    assert stance() == "default"


class Rectified(nn.Module):
    """A rectifier of every kind that torch.export keeps as it is."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.Hardtanh(0, 6),
            nn.ELU(), nn.LeakyReLU(), nn.Conv2d(5, 5, 3),
        )  # fmt: skip
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).clamp(min=0).mean((2, 3)))


@pytest.fixture(scope="module")
def exported() -> torch.export.ExportedProgram:
    example = torch.zeros(2, 3, 32, 32)
    shapes = {"x": {0: torch.export.Dim.DYNAMIC}}
    return torch.export.export(Rectified().eval(), (example,), dynamic_shapes=shapes)


RULES = {"method": "guided-backprop,deconvnet,gradient"}


def test_unflattened_modules_are_explained_as_the_code(exported: torch.export.ExportedProgram) -> None:
    plain = cnnexplain.load(Rectified().eval(), input_size="32")
    module = torch.export.unflatten(exported)
    explainer = cnnexplain.load(module, input_size="32")
    kinds = ("ReLU", "ReLU6", "ELU", "LeakyReLU", "clamp(min=0)")
    assert plain.model.nonlinearities.rectifiers == explainer.model.nonlinearities.rectifiers == kinds
    assert plain.model.nonlinearities.switches == explainer.model.nonlinearities.switches == 1
    for command, options in (("gradcam", {}), ("saliency", RULES), ("deconv", {"layer": "features.7"})):
        found = explainer.explain([PICTURE] * 2, command, **options)[1]
        expected = plain.explain([PICTURE] * 2, command, **options)[1]
        if command == "gradcam":
            assert found.heatmaps[0].layer == expected.heatmaps[0].layer
        np.testing.assert_allclose(values(found), values(expected), atol=1e-6)


def test_exported_graphs_are_refused_in_their_own_words(exported: torch.export.ExportedProgram) -> None:
    explainer = cnnexplain.load(exported.module(), input_size="32")
    for command, options in (
        ("gradcam", {}),
        ("gradcam", {"layer": "features.7"}),
        ("deconv", {}),
        ("activations", {}),
    ):
        with pytest.raises(
            cnnexplain.CnnexplainError, match=r"is a graph, as torch\.export makes it"
        ) as caught:
            explainer.explain(PICTURE, command, **options)
        assert "torch.export.unflatten(exported)" in caught.value.hint
    plain = cnnexplain.load(Rectified().eval(), input_size="32").explain(PICTURE, "saliency", **RULES)
    found = explainer.explain(PICTURE, "saliency", **RULES)
    np.testing.assert_allclose(values(found), values(plain), atol=1e-6)
    with pytest.raises(cnnexplain.CnnexplainError, match="ExportedProgram is no model") as caught:
        cnnexplain.load(exported)
    assert "unflatten" in caught.value.hint


def test_a_model_of_functions_alone_is_told_so() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.conv2d(x, self.kernel).relu().mean((2, 3))

    with pytest.raises(cnnexplain.CnnexplainError, match="runs functions alone") as caught:
        cnnexplain.load(Functions(), input_size="32").explain(PICTURE)
    assert "nn.Identity()" in caught.value.hint


def test_a_fixed_batch_is_told_and_pictures_are_taken_one_by_one() -> None:
    program = torch.export.export(Rectified().eval(), (torch.zeros(1, 3, 32, 32),))
    explainer = cnnexplain.load(torch.export.unflatten(program), input_size="32")
    assert len(explainer.explain([PICTURE] * 2)) == 2
    with explainer.model.borrowed(), pytest.raises(cnnexplain.CnnexplainError) as caught:
        explainer.model.output_of(torch.zeros(2, 3, 32, 32))
    assert "--batch-size 1" in caught.value.hint


def test_a_fixed_batch_of_several_is_told_what_to_change() -> None:
    program = torch.export.export(Rectified().eval(), (torch.zeros(4, 3, 32, 32),))
    explainer = cnnexplain.load(torch.export.unflatten(program), input_size="32")
    with pytest.raises(cnnexplain.CnnexplainError) as caught:
        explainer.explain([PICTURE] * 4, batch_size=4)
    assert "dynamic_shapes" in caught.value.hint
    assert "--batch-size" not in caught.value.hint


def test_receptive_fields_are_followed_through_operators(exported: torch.export.ExportedProgram) -> None:
    plain = cnnexplain.load(Rectified().eval(), input_size="32").model.fields
    module = torch.export.unflatten(exported)
    found = cnnexplain.load(module, input_size="32").model.fields
    assert {name: found[name] for name in plain if "." in name} == {
        name: plain[name] for name in plain if "." in name
    }
    assert found["features.7"].rows.size == 12  # 3, 4 after the pooling, then 2 * 2 twice more
