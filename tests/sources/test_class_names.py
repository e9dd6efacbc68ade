"""Files of labels in every form, and malformed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError
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


@pytest.mark.parametrize("reference", ["net.py:Net", "timm:test_resnet", "torchvision:squeezenet1_1"])
def test_a_wrong_number_names_both(net, reference):
    path = written(net, "cat\ndog\n")
    classes = 10 if "net.py" in reference else 1000
    with pytest.raises(ModelError, match=rf"names 2 classes, but \w+ has {classes}"):
        load(reference, ModelOptions(pretrained=False, labels=path))


def test_an_unknown_number_is_left_for_later(net):
    (net / "odd.py").write_text("from torch import nn\n\ndef make():\n    return nn.Flatten()\n")
    path = written(net, "cat\ndog\n")
    assert load("odd.py:make", ModelOptions(labels=path)).labels == ("cat", "dog")
