"""Maps that are flattened by `.view`, as in many repositories: what plain torch runs is explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.api import Explainer
from cnnexplain.cli.app import run
from cnnexplain.commands.deconv import Deconv
from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.engine.model import Model
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
CODE = """
import torch
from torch import nn
import torch.nn.functional as F

class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 7 * 7, 5)

    def forward(self, x):
        return self.fc(self.flat(F.max_pool2d(F.relu(self.conv(x)), 2)))

    def flat(self, x):
        return x.view(-1, 4 * 7 * 7)

class BySize(LeNet):
    def flat(self, x):
        return x.view(x.size(0), -1)

class FirstOfAll(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 14 * 14, 5)

    def forward(self, x):
        rows = x.view(x.size(0), -1)
        return self.fc(self.conv(rows.view(-1, 3, 16, 16)).reshape(len(x), -1))

class Weights(LeNet):
    def flat(self, x):
        return x.flatten(1) - self.conv.weight.view(-1).mean()

class Permuted(LeNet):
    def flat(self, x):
        return x.permute(1, 2, 3, 0).view(-1, len(x)).t()

class Checked(LeNet):
    def flat(self, x):
        assert x.is_contiguous(), "this kernel wants contiguous maps"
        return x.flatten(1)
"""
NETS = ("LeNet", "BySize", "FirstOfAll", "Weights", "Permuted", "Checked")


def built(folder: Path, name: str) -> Model:
    (folder / "nets.py").write_text(CODE)
    options = ModelOptions(input_size="16")
    return build(f"{folder / 'nets.py'}:{name}", options, DeviceOptions())[0]


@pytest.mark.parametrize("name", NETS)
def test_models_that_want_plain_layouts_get_them(tmp_path: Path, name: str) -> None:
    model = built(tmp_path, name)
    explanation = Explainer(model).explain(Image.fromarray(PIXELS), layer="conv", method="gradcam")
    (choice,) = model.choices
    assert (choice.setting, choice.value) == ("memory layout", "contiguous")
    assert "wants contiguous maps" in choice.reason if name == "Checked" else "nets.py:" in choice.reason
    inputs = model.inputs([PIXELS]).contiguous()
    weights = {key: value.clone() for key, value in model.module.state_dict().items()}
    plain = type(model.module)()
    plain.load_state_dict(weights)
    logits = plain.eval()(inputs)[0]
    found = {one.index: one.logit for one in explanation.predictions}
    assert [found[index] for index in range(5)] == pytest.approx(logits.tolist(), abs=1e-5)
    # Grad-CAM by hand, of plain torch.
    kept: list[Tensor] = []
    plain.conv.register_forward_hook(lambda *given: kept.append(given[2]))
    best = plain(inputs)[0].max()
    (gradient,) = torch.autograd.grad(best, kept)
    expected = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1)[0]
    np.testing.assert_allclose(explanation.heatmaps[0].values, expected.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("command", ["saliency", "deconv", "activations"])
def test_every_command_runs_them(tmp_path: Path, command: str) -> None:
    explained = Explainer(built(tmp_path, "LeNet")).explain([Image.fromarray(PIXELS)] * 3, command)
    assert len(explained) == 3


@pytest.mark.parametrize("command", ["gradcam", "saliency", "deconv", "activations"])
def test_grey_pictures_in_a_batch_too(command: str, tmp_path: Path) -> None:
    """With one channel a tensor is contiguous in either layout, and only its strides say which is meant."""
    (tmp_path / "grey.py").write_text(CODE.replace("Conv2d(3, 4, 3)", "Conv2d(1, 4, 3)"))
    model = build(f"{tmp_path / 'grey.py'}:LeNet", ModelOptions(input_size="1x16x16"), DeviceOptions())[0]
    assert model.field("conv").box((2, 3), (16, 16)) == (3, 2, 6, 5)
    alone = Explainer(model).explain(Image.fromarray(PIXELS), command)
    together = Explainer(model).explain([Image.fromarray(PIXELS)] * 3, command)
    for explained in together:
        assert explained.predictions[0].index == alone.predictions[0].index
        assert explained.predictions[0].logit == pytest.approx(alone.predictions[0].logit, abs=1e-5)


def test_check_runs_them(tmp_path: Path) -> None:
    verdicts = Explainer(built(tmp_path, "LeNet")).check(
        [Image.fromarray(PIXELS)] * 2, only="finite,first-layer-noise"
    )
    assert {one.check: one.status for one in verdicts}["finite"] == "pass"


def test_models_that_bear_channels_last_keep_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        CODE + "\ndef net():\n    n = LeNet()\n    n.flat = lambda x: x.flatten(1)\n    return n"
    )
    model = build(f"{tmp_path / 'net.py'}:net", ModelOptions(input_size="16"), DeviceOptions())[0]
    assert model.trace
    assert model.choices == ()
    assert model.module.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.blank().is_contiguous(memory_format=torch.channels_last)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 14 * 14, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv(x)).view(len(x), -1))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_a_callers_module_keeps_its_layout(form: torch.memory_format) -> None:
    module = Flat().to(memory_format=form)
    strides = module.conv.weight.stride()
    explainer = cnnexplain.load(module, preprocess=Preprocess((16, 16), resize=(16, 16)))
    if form is torch.contiguous_format:
        assert explainer.explain(Image.fromarray(PIXELS)).heatmaps[0].layer == "conv"
    else:  # as in plain torch
        with pytest.raises(cnnexplain.CnnexplainError, match="view size is not compatible") as caught:
            explainer.explain(Image.fromarray(PIXELS))
        assert ".reshape(" in caught.value.hint
    assert module.conv.weight.stride() == strides


def test_what_a_look_settles_is_in_the_run_of_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets.py").write_text(CODE)
    Image.fromarray(PIXELS).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)

    def chosen(command: str, *images: str) -> list[str]:
        assert run([command, "nets.py:LeNet", *images, "--input-size", "16", "-o", command]) == 0
        return [one["what"] for one in json.loads(Path(command, "run.json").read_text())["choices"]]

    assert chosen("summary").count("memory layout") == 1
    assert chosen("check", "one.png", "--only", "finite").count("memory layout") == 1

    def look(model: Model) -> tuple[Choice, ...]:
        model.layout.choices += (Choice("late", "found", "by the last look"),)
        return ()

    monkeypatch.setattr("cnnexplain.runner.explain_images.batch_choice", look)
    assert {"memory layout", "late"} <= {*chosen("gradcam", "one.png")}


def test_deconv_looks_before_it_is_told_what_was_settled(tmp_path: Path) -> None:
    model = built(tmp_path, "LeNet")
    Deconv().bind(model)
    assert "fields" in vars(model)
