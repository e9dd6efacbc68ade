"""Files and folders that hold no weights of PyTorch are called what they are; those of the hub load."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError, OptionError
from cnnexplain.sources import load
from cnnexplain.sources._labels import read_labels

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(64)


def zipped(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


def arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, kernel=np.ones(3))
    return stream.getvalue()


# name: content, what it is, what to do
FILES = {
    "net.onnx": (b"\x08\x08\x12\x07pytorch", "is an ONNX model", "onnx2torch"),
    "net.h5": (HDF5, "is an HDF5 file, as Keras writes", "keras.models.load_model"),
    "net.hdf5": (HDF5, "is an HDF5 file, as Keras writes", "keras.models.load_model"),
    "net.keras": (
        zipped(config__json=b"{}", model__weights__h5=b""),
        "is a Keras model",
        "keras.models.load_model",
    ),
    "renamed.pth": (zipped(model__weights__h5=b""), "is a Keras model", "keras.models.load_model"),
    "hdf5.bin": (HDF5, "is an HDF5 file", "keras"),
    "net.pkl": (pickle.dumps({"a": 1}), "is a pickle that torch.save did not write", "torch.save"),
    "net.npz": (arrays(), "is a file of NumPy arrays (.npz)", "torch.save"),
    "npz.ckpt": (arrays(), "is a file of NumPy arrays (.npz)", "torch.save"),
    "net.npy": (b"\x93NUMPY\1\0", "is an array of NumPy", "torch.save"),
    "net.tflite": (bytes(4) + b"TFL3" + bytes(20), "is a TensorFlow Lite model", "torch.save"),
    "tflite.pt": (bytes(4) + b"TFL3" + bytes(20), "is a TensorFlow Lite model", "torch.save"),
    "net.mlmodel": (b"\x08\x04\x12\x00", "is a Core ML model", "torch.save"),
    "net.pb": (b"\x0a\x05graph", "is a graph of TensorFlow", "torch.save"),
    "net.engine": (b"ftrt" + bytes(20), "is an engine of TensorRT", "torch.save"),
    "net.pdparams": (pickle.dumps({}), "is a file of weights of PaddlePaddle", "torch.save"),
    "net.ckpt.index": (
        bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
        "checkpoint of TensorFlow",
        "torch.save",
    ),
    "old.ckpt": (bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "checkpoint of TensorFlow", "torch.save"),
    "net.ckpt.data-00000-of-00001": (bytes(9), "checkpoint of TensorFlow", "torch.save"),
    "net.gguf": (b"GGUF" + bytes(20), "is a language model for llama.cpp", "bundled:efficientnet_lite0"),
    "model-00002-of-00004.safetensors": (
        b"\x08" + bytes(7) + b"{}      ",
        "is part 2 of 4 of a checkpoint",
        "join",
    ),
    "pytorch_model-00001-of-00003.bin": (zipped(x=b""), "is part 1 of 3 of a checkpoint", "join"),
    "net.pth.gz": (b"\x1f\x8b\x08\0", "is packed with gzip", "unpack"),
    "cat.jpg": (b"\xff\xd8\xff\xe0" + bytes(20), "is a picture (JPEG)", "MODEL PICTURES"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", ["alone", "arch", "weights"])
def test_a_file_is_called_what_it_is(net: Path, name: str, way: str) -> None:
    content, kind, hint = FILES[name]
    Path(name).write_bytes(content)
    options = {"alone": ModelOptions(), "arch": ModelOptions(arch="net.py:Net")}.get(
        way, ModelOptions(weights=Path(name))
    )
    with pytest.raises(ModelError) as caught:
        load("net.py:Net" if way == "weights" else name, options)
    assert kind in caught.value.problem
    assert hint in caught.value.hint
    assert "\n" not in caught.value.problem + caught.value.hint


def test_a_file_that_is_not_there_is_no_name_of_a_model(net: Path) -> None:
    Path("classifier.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(ModelError, match=r"there is no file clasifier\.onnx") as caught:
        load("clasifier.onnx", ModelOptions())
    assert "did you mean classifier.onnx?" in caught.value.hint


def test_a_checkpoint_of_tensorflow_by_its_prefix(net: Path) -> None:
    Path("net.ckpt.index").write_bytes(bytes(40))
    with pytest.raises(ModelError, match=r"net\.ckpt is a checkpoint of TensorFlow"):
        load("net.ckpt", ModelOptions(arch="net.py:Net"))


def test_weights_of_a_language_model(net: Path) -> None:
    names = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "lm_head.weight")
    safetensors.torch.save_file({name: torch.ones(2, 2) for name in names}, "net.safetensors")
    with pytest.raises(
        ModelError, match=r"holds the weights of a language model \(\S+\), not of Net"
    ) as caught:
        load("net.safetensors", ModelOptions(arch="net.py:Net"))
    assert "classify pictures" in caught.value.hint


@pytest.mark.parametrize("name", ["epoch12", "best.pkl", "weights.dat"])
@pytest.mark.parametrize("new", [True, False])
def test_with_an_architecture_a_checkpoint_may_have_any_name(net: Path, name: str, new: bool) -> None:
    made = load("net.py:Net", ModelOptions(seed=5)).module
    torch.save(made.state_dict(), name, _use_new_zipfile_serialization=new)
    loaded = load(name, ModelOptions(arch="net.py:Net"))
    assert torch.equal(loaded.module.fc.weight, made.fc.weight)


CONFIG = {
    "architecture": "test_resnet",
    "num_classes": 2,
    "label_names": ["cat", "d\u001b[31mog"],
    "pretrained_cfg": {
        "input_size": [3, 64, 48],
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
        "crop_pct": 1.0,
        "interpolation": "bilinear",
    },
}


@pytest.fixture
def repository(net: Path) -> Path:
    """A folder as timm pushes it to the hub, and its model beside it."""
    folder = net / "my" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(8)
    safetensors.torch.save_file(
        timm.create_model("test_resnet", num_classes=2).state_dict(), folder / "model.safetensors"
    )
    return folder


@pytest.mark.parametrize("reference", ["my/model", "./my/model/", "my/model/model.safetensors"])
def test_a_folder_of_the_hub(repository: Path, reference: str) -> None:
    loaded = load(reference, ModelOptions())
    state = safetensors.torch.load_file(repository / "model.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.module.state_dict().items())
    assert loaded.labels == ("cat", "d[31mog")
    assert loaded.preprocess.input_size == loaded.preprocess.resize == (64, 48)
    assert (loaded.preprocess.mean, loaded.preprocess.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert loaded.source == "timm test_resnet, weights from my/model/model.safetensors"


def test_a_folder_names_its_architecture_itself(repository: Path) -> None:
    with pytest.raises(OptionError, match="--arch resnet18 goes with a checkpoint"):
        load("my/model", ModelOptions(arch="resnet18"))


def test_names_of_classes_by_their_numbers(repository: Path) -> None:
    config = {**CONFIG, "label_names": None, "id2label": {"1": "dog", "0": "cat"}}
    (repository / "config.json").write_text(json.dumps(config))
    assert load("my/model", ModelOptions()).labels == ("cat", "dog")
    assert read_labels(repository / "config.json") == ("cat", "dog")
    (repository / "config.json").write_text(
        json.dumps({**config, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}})
    )
    assert load("my/model", ModelOptions()).labels is None


def test_the_older_kind_of_weights_and_others(repository: Path) -> None:
    state = safetensors.torch.load_file(repository / "model.safetensors")
    (repository / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has a config\.json, but no file of weights"):
        load("my/model", ModelOptions())
    torch.save(state, repository / "pytorch_model.bin")
    assert load("my/model", ModelOptions()).source.endswith("weights from my/model/pytorch_model.bin")
    other = {name: tensor + 1 for name, tensor in state.items()}
    torch.save(other, "other.pth")
    assert torch.equal(
        load("my/model", ModelOptions(weights=Path("other.pth"))).module.fc.bias, other["fc.bias"]
    )


@pytest.mark.parametrize(
    ("config", "problem", "hint"),
    [
        (
            {"architectures": ["ResNetForImageClassification"]},
            "is a model of transformers (ResNetFor",
            "net.py:make",
        ),
        ({"model_type": "vit"}, "is a model of transformers (vit)", "--labels my/model/config.json"),
        ({}, "names no architecture", "--weights"),
        ([], "holds no configuration", "download"),
        ({"architecture": "nosuchnet"}, "'nosuchnet', which timm does not have", "timm"),
        ({**CONFIG, "pretrained_cfg": {"input_size": "big"}}, "cannot be followed", "--weights"),
        (
            {**CONFIG, "pretrained_cfg": {"input_size": [3, 10**9, 9]}},
            "cannot be followed: ValueError",
            "--weights",
        ),
        ({**CONFIG, "pretrained_cfg": {"crop_pct": 7}}, "cannot be followed", "--weights"),
        ({**CONFIG, "architecture": "test_vit"}, "does not fit", "architecture"),
    ],
)
def test_folders_that_hold_something_else(repository: Path, config: object, problem: str, hint: str) -> None:
    (repository / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as caught:
        load("my/model", ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_config_that_is_no_json(repository: Path) -> None:
    for content in ("{", "[" * 99_999, "\udcff"):
        (repository / "config.json").write_text(content, errors="surrogateescape")
        with pytest.raises(ModelError, match="is not JSON that can be read"):
            load("my/model", ModelOptions())


def test_a_model_named_as_a_folder_is_still_the_model(net: Path) -> None:
    (net / "test_resnet").mkdir()
    (net / "test_resnet" / "config.json").write_text(json.dumps({"model_type": "vit"}))
    assert load("test_resnet", ModelOptions(pretrained=False)).source.startswith("timm test_resnet")


@pytest.mark.parametrize(
    ("file", "problem", "hint"),
    [
        ("saved_model.pb", "is a model of TensorFlow (SavedModel)", "torch.save"),
        ("best.pth", "is a folder, not a model", "some/folder/best.pth --arch NAME"),
        ("net.py", "is a folder, not a model", "some/folder/net.py:NAME"),
        ("notes.txt", "is a folder without a model", "--arch"),
    ],
)
def test_other_folders(net: Path, file: str, problem: str, hint: str) -> None:
    folder = net / "some" / "folder"
    folder.mkdir(parents=True)
    (folder / file).write_text("x")
    with pytest.raises(ModelError) as caught:
        load("some/folder", ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint


ONE = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()

class Settings:
    pass

def main():
    raise SystemExit("a script")

def helper(x):
    return x

"""
NET = (
    "class Net(nn.Sequential):\n    def __init__(self, n=3):\n        super().__init__(nn.Conv2d(3, n, 1))\n"
)


@pytest.mark.parametrize("made", [NET, "def make():\n    return Block(3)\n", "model = Block(4)\n"])
def test_a_file_with_one_thing_that_makes_a_model(net: Path, made: str) -> None:
    (net / "one.py").write_text(ONE + made)
    loaded = load("one.py", ModelOptions())
    assert next(choice.value for choice in loaded.choices) in ("one.py:Net", "one.py:make", "one.py:model")
    assert loaded.name == ("Net" if made == NET else "Block")
    if made == NET:
        torch.save({f"module.{name}": one for name, one in loaded.module.state_dict().items()}, "one.pth")
        assert load("one.pth", ModelOptions(arch="one.py")).source == "one.py:Net, weights from one.pth"


def test_a_file_with_several_or_none(net: Path) -> None:
    (net / "two.py").write_text(ONE + NET + "class Other(Net):\n    pass\n")
    with pytest.raises(ModelError, match="not what to call in it") as caught:
        load("two.py", ModelOptions())
    assert "two.py:NAME, where NAME is Net or Other" in caught.value.hint
    (net / "none.py").write_text(ONE)
    with pytest.raises(ModelError, match="not what to call in it") as caught:
        load("none.py", ModelOptions())
    assert "takes no arguments" in caught.value.hint
    with pytest.raises(ModelError, match=r"there is no Python file gone\.py"):
        load("gone.py", ModelOptions())
