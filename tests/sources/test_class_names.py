"""Files of labels in every form, and malformed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError, OptionError
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions
from cnnexplain.sources import load
from cnnexplain.sources._labels import read_labels


def written(folder: Path, content: str | bytes, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog\nétourneau",
        "cat\ndog\nétourneau\n\n \n",
        "cat\r\ndog\r\nétourneau\r\n",
        b"\xef\xbb\xbfcat\ndog\n\xc3\xa9tourneau\n",
        '["cat", "dog", "étourneau"]',
        '{"0": "cat", "1": "dog", "2": "étourneau"}',
        '{"2": "étourneau", "0": "cat", "1": "dog"}',
        '{"dog": 1, "cat": 0, "étourneau": 2}',
        '{"0": ["n0", "cat"], "1": ["n1", "dog"], "2": ["n2", "étourneau"]}',
        '[["n0", "cat"], ["n1", "dog"], ["n2", "étourneau"]]',
        b'\xef\xbb\xbf["cat", "dog", "\\u00e9tourneau"]',
    ],
)
@pytest.mark.parametrize("name", ["labels.txt", "labels"])
def test_every_form(tmp_path, content, name):
    assert read_labels(written(tmp_path, content, name)) == ("cat", "dog", "étourneau")


def test_numbers_as_names(tmp_path):
    assert read_labels(written(tmp_path, "[0, 1, 2]")) == ("0", "1", "2")
    assert read_labels(written(tmp_path, '{"1": 1, "0": 0}')) == ("0", "1")
    assert read_labels(written(tmp_path, "0\n1\n")) == ("0", "1")


def test_control_characters_are_taken_out(tmp_path):
    hostile = [
        "\x1b[31mred\x1b[0m",
        "a\tb\nc",
        "\u202eevil",
        "nul\x00",
        "ok\ud800",
        "\u200dzwj می\u200cخواهم",
        " x ",
    ]
    path = written(tmp_path, json.dumps(hostile), "l.json")
    assert read_labels(path) == ("[31mred[0m", "a b c", "evil", "nul", "ok", "\u200dzwj می\u200cخواهم", "x")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no names"),
        ("\n\n", "holds no names"),
        ("[]", "holds no names"),
        ("{}", "holds no names"),
        ("[1,", "is not JSON that can be read"),
        ("[" * 100000, "is not JSON that can be read"),
        (b"\xff\xfec\x00a\x00t\x00", "is not text in UTF-8"),
        ('{"0": "a", "2": "b"}', "none with index 1"),
        ('{"0": "a", "00": "b"}', "none with index 1"),
        ('{"a": 0, "b": 0}', "none with index 1"),
        ('{"a": 1, "b": 2}', "none with index 0"),
        ('{"a": "b"}', "maps neither"),
        ('{"a": -1, "b": 0}', "none with index 1"),
        ("[null]", "null where a name should be"),
        ('["a", {"b": 1}]', "where a name should be"),
        ("[true]", "true where a name should be"),
        ("[[]]", "[] where a name should be"),
    ],
)
def test_malformed_files(tmp_path, content, problem):
    with pytest.raises(ModelError) as caught:
        read_labels(written(tmp_path, content))
    assert problem in caught.value.problem
    assert caught.value.hint
    assert "\n" not in caught.value.problem


def test_json_that_is_a_word(tmp_path):
    with pytest.raises(ModelError, match="neither a list nor a map"):
        read_labels(written(tmp_path, '"cat"', "labels.json"))


def test_a_missing_file_and_a_folder(tmp_path):
    written(tmp_path, "cat")
    with pytest.raises(ModelError, match="no file of labels") as caught:
        read_labels(tmp_path / "label.txt")
    assert "labels.txt" in caught.value.hint
    with pytest.raises(ModelError, match="is a folder"):
        read_labels(tmp_path)


def test_labels_replace_the_models_own(net):
    path = written(net, "\n".join(f"class {number}" for number in range(1000)))
    loaded = load("timm:test_resnet", ModelOptions(pretrained=False, labels=path))
    assert loaded.labels[999] == "class 999"


# Networks whose number of classes only a run tells: a head that was put in place of timm's, whose `num_classes` stays
# at 1000; layers that are declared behind the head; and a head that is not the last layer to be called.
HEADS = """
import timm
import torch
from torch import nn


def replaced():
    model = timm.create_model("test_resnet")
    model.fc = nn.Linear(model.fc.in_features, 3)
    return model


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.gate, self.auxiliary = nn.Linear(4, 1), nn.Linear(4, 50)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return self.fc(x * self.gate(x).sigmoid())


class Halves(nn.Module):
    num_classes = 9

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.Linear(4, 1), nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return torch.cat((self.one(x), self.two(x)), 1)
"""


def with_labels(reference: str, names: int) -> tuple[str, ...]:
    """The labels of a model that is given so many."""
    path = written(Path(), "\n".join(f"name {number}" for number in range(names)))
    options = ModelOptions(pretrained=False, labels=path, input_size="64")
    return build(reference, options, DeviceOptions(device="cpu"))[0].labels


@pytest.mark.parametrize("reference", ["heads.py:replaced", "heads.py:Gated", "heads.py:Halves"])
def test_names_are_counted_against_the_scores_that_the_model_returns(net, reference):
    (net / "heads.py").write_text(HEADS)
    assert with_labels(reference, 3) == ("name 0", "name 1", "name 2")
    for wrong in (1, 2, 50, 1000):
        with pytest.raises(OptionError, match=rf"there are {wrong} labels, but \w+ has 3 classes"):
            with_labels(reference, wrong)


@pytest.mark.parametrize("reference", ["net.py:Net", "timm:test_resnet", "torchvision:squeezenet1_1"])
def test_a_wrong_number_names_both(net, reference):
    classes = 10 if "net.py" in reference else 1000
    with pytest.raises(OptionError, match=rf"there are 2 labels, but \w+ has {classes} classes"):
        with_labels(reference, 2)
