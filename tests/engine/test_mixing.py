"""Models that join the pictures of a batch are found, told, and given one picture at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import as_model, pooled
from PIL import Image
from torch import Tensor, nn

import cnnexplain
from cnnexplain.cli.app import run
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.engine.trace.tracing import renamed
from cnnexplain.errors import ModelError

SIZE = (32, 32)


class Joined(nn.Module):
    """A convolution, something in between, and a line."""

    def __init__(self, between: Callable[[Tensor], Tensor] | nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.fc = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 3)
        if isinstance(between, nn.Module):
            self.between = between
        else:
            self.work = between

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.between(x) if hasattr(self, "between") else self.work(x)
        return self.fc(x.relu().mean((2, 3)))


class Sequence(nn.Module):
    """Rows of the map as a sequence, with the pictures where the length is expected."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens)
        return mixed.transpose(1, 2).view_as(x)


class Standardised(nn.Conv2d):
    """Its weights are standardised by a batch norm, as in timm's NFNets and BiT."""

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = nn.functional.batch_norm(flat, None, None, training=True, momentum=0.0)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


JOINING = {
    "batch norm without statistics": nn.BatchNorm2d(4, track_running_stats=False),
    "batch norm by hand": lambda x: (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True),
    "mean of everything": lambda x: x / x.abs().mean(),
    "softmax over pictures": lambda x: x * x.flatten(1).softmax(0).view_as(x),
    "attention of pictures": Sequence(batch_first=False),
    "less the batch's mean": lambda x: x - torch.mean(x, dim=0, keepdim=True),
    "less the first picture": lambda x: x - x[:1] / 2,
    "less the last picture": lambda x: x - x[-1] / 2,
    "less a picture that is selected": lambda x: x - x.select(0, 0) / 2,
    "softmax over one score of each picture": lambda x: x * x.mean((1, 2, 3), keepdim=True).softmax(0),
}
APART = {
    "nothing": lambda x: x,
    "batch norm": nn.BatchNorm2d(4),
    "instance norm": nn.InstanceNorm2d(4),
    "instance norm with statistics": nn.InstanceNorm2d(4, track_running_stats=True),
    "group norm": nn.GroupNorm(2, 4),
    "standardised weights": Standardised(4, 4, 3, padding=1),
    "channel attention": lambda x: x * x.mean((2, 3), keepdim=True).softmax(1),
    "attention of places": Sequence(batch_first=True),
    "some channels": lambda x: x[:, :2].repeat(1, 2, 1, 1) + x[..., 0:1],
    "picture by picture": lambda x: torch.stack([x[number] * 2 for number in range(len(x))]),
    "looked at and let be": lambda x: x if float(x.mean()) < 1e9 else x * 0,
}


@pytest.mark.parametrize("kind", JOINING)
def test_what_joins_pictures_is_found_and_explained_one_by_one(kind: str) -> None:
    module = Joined(JOINING[kind]).eval()
    (choice,) = batch_choice(as_model(module, SIZE))
    assert (choice.setting, choice.value) == ("batch", "one picture at a time")
    assert "beside" in choice.reason
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255 // (1 + 3 * n), (32, 32, 3), dtype=np.uint8) for n in range(3)]
    explainer = cnnexplain.load(module, input_size="32")
    for command, options in (("gradcam", {}), ("saliency", {"method": "smoothgrad,gradient", "samples": 3})):
        together = explainer.explain(pictures, command, target="0", **options)
        for picture, one in zip(pictures, together, strict=True):
            alone = explainer.explain(picture, command, target="0", **options)
            assert one.predictions == alone.predictions
            for a, b in zip(one.heatmaps, alone.heatmaps, strict=True):
                np.testing.assert_array_equal(a.values, b.values)
    assert explainer.explain(pictures[0]).predictions[0].logit == pytest.approx(
        float(module(explainer.model.inputs([pictures[0]])).max()), rel=1e-4
    )


def test_python_is_told_what_was_chosen() -> None:
    explainer = cnnexplain.load(Joined(JOINING["mean of everything"]).eval(), input_size="32")
    explanation = explainer.explain(np.zeros((32, 32, 3), dtype=np.uint8))
    first, *others = explanation.choices
    assert (first.setting, first.value) == ("batch", "one picture at a time")
    assert [(one.setting, one.value) for one in others if one.setting == "layer"] == [("layer", "conv")]


@pytest.mark.parametrize("kind", APART)
def test_what_keeps_pictures_apart_is_left_in_batches(kind: str) -> None:
    assert batch_choice(as_model(Joined(APART[kind]).eval(), SIZE)) == ()


def test_no_pass_is_spent_where_nothing_joins() -> None:
    passes = []
    module = pooled().eval()
    model = as_model(module, SIZE)
    _ = model.trace
    module.register_forward_pre_hook(lambda *_: passes.append(1))
    assert batch_choice(model) == ()
    assert not passes


def test_random_answers_are_not_taken_for_joined_ones() -> None:
    network = Joined(lambda x: x * torch.rand(x.shape[0], 1, 1, 1) + 0 * x.mean()).eval()
    assert batch_choice(as_model(network, SIZE)) == ()


def test_a_batch_norm_that_has_one_value_to_measure_is_told_as_such() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Flatten(),
    ).eval()
    with pytest.raises(ModelError, match="Expected more than 1 value per channel") as caught:
        _ = as_model(network, SIZE).trace
    assert "track_running_stats=True" in caught.value.hint


def test_the_command_tells_it_and_a_picture_has_one_answer_in_any_company(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        torch.manual_seed(0)\n"
        "        super().__init__(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(),\n"
        "            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))\n"
    )
    rng = np.random.default_rng(1)
    for number in range(3):
        Image.fromarray(rng.integers(0, 60 + 60 * number, (32, 32, 3), dtype=np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    found = {}
    for out, given in (("all", ["0.png", "1.png", "2.png"]), ("one", ["1.png"])):
        paths = [str(tmp_path / name) for name in given]
        arguments = [
            "gradcam",
            f"{tmp_path}/net.py:Net",
            *paths,
            "--input-size",
            "32",
            "-o",
            str(tmp_path / out),
        ]
        assert run(arguments) == 0
        records = [json.loads(line) for line in (tmp_path / out / "results.jsonl").read_text().splitlines()]
        found[out] = {Path(one["image"]).name: one["predictions"] for one in records}
        choices = json.loads((tmp_path / out / "run.json").read_text())["choices"]
        assert any(one["what"] == "batch" and "no running statistics" in one["reason"] for one in choices)
    assert found["all"]["1.png"] == found["one"]["1.png"]
    assert "one picture at a time (1 has no running statistics" in " ".join(capsys.readouterr().err.split())


def test_a_look_is_not_repeated_for_other_names_of_classes() -> None:
    passes = []
    module = Joined(lambda x: x).eval()
    module.register_forward_pre_hook(lambda *_: passes.append(1))
    model = as_model(module, SIZE)
    _ = model.trace, model.labels, model.fields, model.runs._followed
    before = len(passes)
    named = renamed(model, ("a", "b", "c"))
    _ = named.trace, named.fields, named.runs._followed
    assert len(passes) == before
    assert named.labels == ("a", "b", "c")
    assert named.runs.model is named
    assert model.labels == ("class 0", "class 1", "class 2")


def test_python_is_told_of_a_softmax_that_was_taken_off() -> None:
    explainer = cnnexplain.load(nn.Sequential(Joined(lambda x: x), nn.Softmax(1)).eval(), input_size="32")
    assert [one.setting for one in explainer.choices if one.setting != "device"] == ["preprocessing"]
    explainer.explain(np.zeros((32, 32, 3), dtype=np.uint8))
    assert explainer.choices[-1].value == "what goes into the model's own softmax"


class Single(nn.Module):
    """Takes one picture, laid out as it wants, and looks at all of it."""

    def __init__(self, *sides: int) -> None:
        super().__init__()
        self.conv, self.fc, self.sides = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), sides

    def forward(self, x: Tensor) -> Tensor:
        x = x / (x.abs().max() + 1)
        x = self.conv(x).relu().mean((2, 3))
        return self.fc(x.view(*self.sides) if self.sides else x).view(1, -1)


@pytest.mark.parametrize("sides", [(4,), (1, -1), (1, 4), ()])
def test_what_takes_one_picture_only_is_given_one(sides: tuple[int, ...]) -> None:
    explainer = cnnexplain.load(Single(*sides).eval(), input_size="32")
    before = explainer.model.layout.channels_last
    (choice,) = batch_choice(explainer.model)
    assert choice.value == "one picture at a time"
    assert choice.reason.startswith("it does not take two at once: ")
    assert explainer.model.layout.channels_last is before
    pictures = [np.full((32, 32, 3), 60 * n, np.uint8) for n in range(3)]
    assert len(explainer.explain(pictures)) == 3


class Picky(nn.Module):
    """Fails on several pictures; nothing in it gives that away beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            raise ValueError("a picture, please")
        return self.fc(self.conv(x).relu().mean((2, 3)))


@pytest.mark.parametrize("command", ["gradcam", "saliency", "occlusion"])
def test_what_turns_out_to_take_one_picture_only_is_said(command: str) -> None:
    explainer = cnnexplain.load(Picky().eval(), input_size="32")
    assert batch_choice(explainer.model) == ()
    pictures = [np.full((32, 32, 3), 60 * n, np.uint8) for n in range(3)]
    options = {"window": 16, "stride": 16} if command == "occlusion" else {}
    found = explainer.explain(pictures, command, batch_size=3, **options)
    reasons = [choice.reason for choice in found[-1].choices if choice.setting == "batch"]
    assert len(reasons) == 1
    assert reasons[0].startswith("it does not take two at once: ")
    assert "a picture, please" in reasons[0]
    assert explainer.explain(pictures[0]).choices[0].setting == "batch", "which is remembered"


def test_what_turns_out_while_running_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)\n"
        "    def forward(self, x):\n        if len(x) > 1:\n            raise ValueError('a picture, please')\n"
        "        return self.fc(self.conv(x).relu().mean((2, 3)))\n"
    )
    for number in range(2):
        Image.new("RGB", (32, 32), (40 * number, 90, 20)).save(tmp_path / f"{number}.png")
    files = [str(tmp_path / f"{number}.png") for number in range(2)]
    out = tmp_path / "out"
    call = [
        "gradcam",
        f"{tmp_path}/net.py:Net",
        *files,
        "--input-size",
        "32",
        "--batch-size",
        "2",
        "-o",
        str(out),
    ]
    assert run(call) == 0
    choices = [one for one in json.loads((out / "run.json").read_text())["choices"] if one["what"] == "batch"]
    assert len(choices) == 1
    assert "it does not take two at once" in choices[0]["reason"]
    assert "it does not take two at once" in " ".join(capsys.readouterr().err.split())
    assert "it does not take two at once" in (out / "index.html").read_text()
