"""Checkpoints of every nesting, prefix and shape, and what is said of those that do not fit."""

from __future__ import annotations

import argparse
import itertools
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cnnexplain.core.loading import Loaded, ModelOptions
from cnnexplain.errors import CnnexplainError, ModelError, OptionError
from cnnexplain.sources import load
from cnnexplain.sources._checkpoint import NESTS
from cnnexplain.sources._keys import read

MINE = ModelOptions(arch="net.py:Net")
PREFIXES = (
    "module.",
    "model.",
    "_orig_mod.",
    "net.",
    "backbone.",
)  # of the contract; any other is undone as well


@pytest.fixture
def state(net: Path) -> dict[str, torch.Tensor]:
    """The tensors of a trained network: unlike those of any fresh one."""
    tensors = load("net.py:Net", ModelOptions(seed=99)).module.state_dict()
    return OrderedDict((name, tensor + 1) for name, tensor in tensors.items())


def choices(loaded: Loaded) -> dict[str, str]:
    return {choice.setting: choice.value for choice in loaded.choices}


def holds(loaded: Loaded, state: dict[str, torch.Tensor]) -> bool:
    have = loaded.module.state_dict()
    return list(have) == list(state) and all(torch.equal(have[name], state[name]) for name in state)


@pytest.mark.parametrize("nest", [None, *NESTS])
@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_every_nesting_with_every_prefix(state, nest, prefix):
    wrapped = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({nest: wrapped, "epoch": 3, "optimizer": {"state": {}}} if nest else wrapped, "net.pth")
    loaded = load("net.pth", MINE)
    assert holds(loaded, state)
    assert loaded.source == "net.py:Net, weights from net.pth"
    assert loaded.reference == "net.pth"


@pytest.mark.parametrize("prefix", ["".join(pair) for pair in itertools.permutations(PREFIXES, 2)])
def test_stacked_prefixes(state, prefix):
    torch.save({prefix + name: tensor for name, tensor in state.items()}, "net.pth")
    assert holds(load("net.pth", MINE), state)


def test_a_prefix_on_some_keys_only(state):
    torch.save(
        {name if name.startswith("fc") else f"backbone.{name}": one for name, one in state.items()}, "net.pth"
    )
    assert holds(load("net.pth", MINE), state)


def test_a_prefix_that_the_model_has_itself_is_kept(net, state):
    (net / "outer.py").write_text(
        "import net\nfrom torch import nn\n\nclass Outer(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.backbone = net.Net()\n"
    )
    torch.save({f"module.backbone.{name}": tensor for name, tensor in state.items()}, "net.pth")
    loaded = load("net.pth", ModelOptions(arch="outer.py:Outer"))
    assert torch.equal(loaded.module.backbone.fc.weight, state["fc.weight"])


def test_two_keys_never_become_one(state):
    both = dict(state) | {f"model.{name}": tensor + 1 for name, tensor in state.items()}
    torch.save(both, "net.pth")
    loaded = load("net.pth", MINE)
    assert holds(loaded, state)
    told = next(choice for choice in loaded.choices if choice.setting == "checkpoint part")
    assert told.value == "keys without a prefix"
    assert "under model" in told.reason
    other = load("net.pth", ModelOptions(arch="net.py:Net", weights_key="model"))
    assert holds(other, {name: tensor + 1 for name, tensor in state.items()})


def test_hostile_stacks_of_prefixes_end(net):
    module = torch.nn.Linear(2, 2)
    state = {"".join(PREFIXES[(i + j) % 5] for j in range(30)) + f"{i}": torch.zeros(1) for i in range(200)}
    assert len(read(state, module).left) == 200


def test_the_order_of_nestings_is_told(state):
    other = {name: tensor + 5 for name, tensor in state.items()}
    torch.save({"model_ema": other, "state_dict": state, "model": other}, "net.pth")
    loaded = load("net.pth", MINE)
    assert holds(loaded, state)
    assert choices(loaded)["checkpoint part"] == "state_dict"
    assert "model, model_ema" in next(c.reason for c in loaded.choices if c.setting == "checkpoint part")


@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "bin", "pth.tar", "PTH"])
@pytest.mark.parametrize("zipped", [True, False])
def test_suffixes_and_both_formats(state, suffix, zipped):
    torch.save(state, f"net.{suffix}", _use_new_zipfile_serialization=zipped)
    assert holds(load(f"net.{suffix}", MINE), state)


@pytest.mark.parametrize("name", ["net.safetensors", "net.bin"])
def test_safetensors_by_name_or_content(state, name):
    safetensors.torch.save_file({f"module.{key}": tensor for key, tensor in state.items()}, name)
    assert holds(load(name, MINE), state)


def test_weights_go_into_any_model(state):
    torch.save(state, "anything")
    loaded = load("net:Net", ModelOptions(weights=Path("anything")))
    assert holds(loaded, state)
    assert loaded.source == "net:Net, weights from anything"


def test_half_precision_and_training_arguments(state):
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    torch.save({"state_dict": halved, "args": argparse.Namespace(lr=0.1), "arch": "net"}, "net.pth")
    weight = load("net.pth", MINE).module.fc.weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, state["fc.weight"], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("classes", [1, 3, 1000])
def test_the_number_of_classes_is_read_off_the_head(net, classes):
    own = load("net.py:Net", ModelOptions()).module
    torch.save(own.state_dict(), "ten.pth")
    assert "classes" not in choices(load("ten.pth", MINE))
    torch.save({"state_dict": type(own)(classes).state_dict()}, "net.pth")
    loaded = load("net.pth", MINE)
    assert loaded.module.fc.out_features == classes
    assert choices(loaded)["classes"] == str(classes)
    assert loaded.labels is None


def test_classes_and_channels_together(net):
    own = load("net:Net", ModelOptions()).module
    torch.save(type(own)(5, 1).state_dict(), "net.pth")
    loaded = load("net.pth", MINE)
    assert loaded.module(torch.zeros(1, 1, 16, 16)).shape == (1, 5)
    assert loaded.preprocess.channels == 1
    assert (choices(loaded)["classes"], choices(loaded)["input channels"]) == ("5", "1")


@pytest.mark.parametrize(
    "arch",
    [
        "timm:test_resnet",
        "resnet10t",
        "torchvision:resnet18",
        "squeezenet1_0",
        "torchvision:mobilenet_v3_small",
        "timm:test_vit",
    ],
)
def test_library_models_take_other_heads_and_channels(net, arch):
    made = load(arch, ModelOptions(pretrained=False))
    torch.save(made.module.state_dict(), "same.pth")
    same = load("same.pth", ModelOptions(arch=arch))
    assert same.labels is not None
    assert "classes" not in choices(same)
    assert "--labels" in next(choice.reason for choice in same.choices if choice.setting == "labels")
    import timm
    import torchvision

    name = arch.partition(":")[2] or arch
    if timm.is_model(name) and not arch.startswith("torchvision"):
        other = timm.create_model(name, num_classes=4, in_chans=1)
    else:
        other = torchvision.models.get_model(name, num_classes=4)
        stem = {"resnet18": "conv1"}.get(name)
        if stem:
            setattr(other, stem, torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False))
    torch.save(other.state_dict(), "other.pth")
    loaded = load("other.pth", ModelOptions(arch=arch))
    size = made.preprocess.input_size
    inputs = torch.rand(1, loaded.preprocess.channels, *size)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(inputs), other.eval()(inputs))
    assert loaded.labels is None
    assert choices(loaded)["classes"] == "4"


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_heads_that_only_training_needs(net, name, monkeypatch):
    import torchvision

    # Saved by torchvision with and without them, as its trained models are.
    full = torchvision.models.get_model(name, init_weights=False, transform_input=True)
    torch.save(full.state_dict(), "full.pth")
    torch.save(
        {key: one for key, one in full.state_dict().items() if not key.lower().startswith("aux")}, "lean.pth"
    )
    inputs = torch.rand(1, 3, 96, 96)
    for file in ("full.pth", "lean.pth"):
        loaded = load(file, ModelOptions(arch=f"torchvision:{name}"))
        with torch.no_grad():
            torch.testing.assert_close(loaded.module(inputs), full.eval()(inputs))


def test_an_image_size_that_is_built_in_is_rebuilt(net):
    import timm

    other = timm.create_model("test_vit", img_size=(96, 128), num_classes=3)
    torch.save(other.state_dict(), "vit.pth")
    loaded = load("vit.pth", ModelOptions(arch="timm:test_vit", input_size="96x128"))
    assert loaded.module(torch.zeros(1, 3, 96, 128)).shape == (1, 3)


def test_keys_that_do_not_fit_are_counted_and_shown(state):
    state = {name: tensor for name, tensor in state.items() if not name.startswith("norm")}
    state |= {f"head.{number}": torch.zeros(1) for number in range(9)}
    state["conv.weight"] = torch.zeros(5, 3, 3, 3)
    torch.save(state, "net.pth")
    with pytest.raises(ModelError) as caught:
        load("net.pth", MINE)
    problem = caught.value.problem
    assert "net.pth does not fit Net: of the model's 9 keys" in problem
    assert "4 missing (norm.weight, norm.bias, norm.running_mean, norm.running_var)" in problem
    assert "9 unexpected (head.0, head.1, head.2, head.3, …)" in problem
    assert "1 of another shape (conv.weight 5x3x3x3, not 4x3x3x3)" in problem
    assert "--no-strict" in caught.value.hint
    loaded = load("net.pth", ModelOptions(arch="net.py:Net", strict=False))
    assert torch.equal(loaded.module.fc.weight, state["fc.weight"])
    assert "9 unexpected" in next(
        choice.reason for choice in loaded.choices if choice.setting == "checkpoint"
    )


def test_hostile_names_of_keys_reach_no_terminal(state):
    names = ("\x1b[2Jgone\nerror: fake", "x" * 9999)
    torch.save(state | {name: torch.zeros(2, 2) for name in names}, "net.pth")
    with pytest.raises(ModelError) as caught:
        load("net.pth", MINE)
    torch.save(state | {name: torch.zeros(1) for name in names}, "net.pth")
    said = next(choice.reason for choice in load("net.pth", MINE).choices if choice.setting == "checkpoint")
    for text in (caught.value.problem, said):
        assert "gone error: fake" in text
        assert text.isprintable()
        assert len(text) < 400


def test_old_checkpoints_that_count_no_batches(state):
    del state["norm.num_batches_tracked"]
    torch.save(state, "net.pth")
    assert torch.equal(load("net.pth", MINE).module.norm.weight, state["norm.weight"])


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_that_fits_is_always_an_error(net, strict):
    torch.save({"a": torch.zeros(3), "b": torch.zeros(2)}, "net.pth")
    with pytest.raises(ModelError, match="9 keys, 8 missing") as caught:
        load("net.pth", ModelOptions(arch="net.py:Net", strict=strict))
    assert "--no-strict" not in caught.value.hint


def test_a_factory_that_cannot_follow_is_an_error(state):
    torch.save(state, "net.pth")
    with pytest.raises(ModelError, match=r"fc.weight 10x4, not 7x4"):
        load("net.pth", ModelOptions(arch="net.py:fixed"))
    loose = load("net.pth", ModelOptions(arch="net.py:fixed", strict=False))
    assert "classes" not in choices(loose)


def test_the_library_is_not_asked_to_download(state, monkeypatch):
    import timm

    torch.save(load("timm:test_resnet", ModelOptions(pretrained=False)).module.state_dict(), "r.pth")
    monkeypatch.setattr(timm.models._builder, "load_pretrained", lambda *a, **k: pytest.fail("downloads"))
    loaded = load("timm:test_resnet.r160_in1k", ModelOptions(weights=Path("r.pth")))
    assert loaded.source == "timm test_resnet.r160_in1k, weights from r.pth"


@pytest.mark.parametrize(
    ("reference", "options", "problem", "hint"),
    [
        ("net.pth", {}, "not the architecture", "--arch resnet50"),
        ("net.pth", {"arch": "net.py:Net", "weights": Path("net.pth")}, "second checkpoint", "--arch"),
        ("net.pth", {"arch": "net.pth"}, "is a checkpoint, not an architecture", "--arch"),
        ("resnet50", {"arch": "resnet18"}, "goes with a checkpoint", "--weights"),
        ("net.pth", {"arch": "nosuchnet"}, "no model called 'nosuchnet'", "resnet50"),
        ("nett.pth", {"arch": "net.py:Net"}, "there is no checkpoint nett.pth", "did you mean net.pth?"),
        ("gone/net.pth", {"arch": "net.py:Net"}, "folder gone does not exist", "path"),
        ("folder.pth", {"arch": "net.py:Net"}, "is a folder", "file"),
        ("net.py:Net", {"weights": Path("nett.pth")}, "there is no checkpoint nett.pth", "net.pth"),
    ],
)
def test_arguments_that_make_no_sense(net, state, reference, options, problem, hint):
    torch.save(state, "net.pth")
    Path("folder.pth").mkdir()
    with pytest.raises((ModelError, OptionError)) as caught:
        load(reference, ModelOptions(**options))
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_tensors_that_cannot_be_copied(net, state):
    torch.save(state, "net.pth")
    Path("picky.py").write_text(
        "import net\n\nclass Picky(net.Net):\n    def load_state_dict(self, *_, **__):\n"
        "        raise RuntimeError('not these')\n"
    )
    with pytest.raises(CnnexplainError, match="cannot be copied into the model: RuntimeError: not these"):
        load("net.pth", ModelOptions(arch="picky.py:Picky"))


def test_tensors_without_data(net, state):
    meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    torch.save(meta, "net.pth")
    with pytest.raises(CnnexplainError, match=r"'conv\.weight' that says it is larger than its data"):
        load("net.pth", MINE)


def test_nothing_is_computed_with_tensors_larger_than_their_data(net, state, monkeypatch):
    measured, norm = [], torch.linalg.vector_norm
    monkeypatch.setattr(
        torch.linalg, "vector_norm", lambda *of, **how: measured.append(of[0].shape) or norm(*of, **how)
    )
    weight = state.pop("conv.weight")
    length, few = torch.ones(len(weight), 1, 1, 1), torch.zeros(1, 1, 1, 1)
    torch.save({**state, "conv.weight_g": length, "conv.weight_v": few.expand(weight.shape)}, "net.pth")
    with pytest.raises(CnnexplainError, match=r"'conv\.weight_v' that says it is larger than its data"):
        load("net.pth", MINE)
    assert not measured
    torch.save({**state, "conv.weight_g": length, "conv.weight_v": weight}, "net.pth")
    load("net.pth", MINE)
    assert measured == [weight.shape]
    measured.clear()  # a length and a direction that would be an outer product
    torch.save({**state, "conv.weight_g": torch.ones(1, 9, 9, 1), "conv.weight_v": few}, "net.pth")
    with pytest.raises(CnnexplainError, match="does not fit"):
        load("net.pth", MINE)


def test_beside_a_part_that_is_larger_than_its_data_another_is_read_and_told(net, state):
    large = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}
    torch.save({"state_dict": large, "model": state}, "net.pth")
    loaded = load("net.pth", MINE)
    assert holds(loaded, state)
    assert choices(loaded)["checkpoint part"] == "model"
    torch.save({"state_dict": large, "optimizer_state": {"a": torch.zeros(1)}}, "net.pth")
    with pytest.raises(CnnexplainError, match="says it is larger than its data"):
        load("net.pth", MINE)
    with pytest.raises(CnnexplainError, match="says it is larger than its data"):
        load("net.pth", ModelOptions(arch="net.py:Net", weights_key="state_dict"))


def test_a_lack_of_memory_is_no_change_of_names_that_failed(net, state, monkeypatch):
    def full(_state):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")

    monkeypatch.setattr("cnnexplain.sources._keys.RENAMES", (("names", full),))
    del state["conv.weight"]
    torch.save(state, "net.pth")
    with pytest.raises(RuntimeError, match="allocate memory"):
        load("net.pth", MINE)


def test_a_number_of_classes_is_read_off_weights_only(net, state):
    """A bias alone is small: a file of a megabyte could ask for a head that fills the memory."""
    torch.save({**state, "fc.bias": torch.zeros(10**6, dtype=torch.int8)}, "net.pth")
    with pytest.raises(CnnexplainError, match=r"fc\.bias 1000000 whole, not 10 real"):
        load("net.pth", MINE)
