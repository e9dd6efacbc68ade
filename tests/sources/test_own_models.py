"""The user's own code, from a file and from a package."""

from __future__ import annotations

import pytest
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError
from cnnexplain.sources import adopt, load


@pytest.mark.parametrize(
    ("reference", "classes"),
    [
        ("net.py:Net", 10),
        ("net:Net", 10),
        ("net.py:fixed", 7),
        ("net.py:instance", 10),
        ("./net.py:chatty", 10),
    ],
)
def test_classes_functions_and_instances_are_called(net, reference, classes):
    loaded = load(reference, ModelOptions())
    assert loaded.module(torch.zeros(1, 3, 32, 32)).shape == (1, classes)
    assert loaded.name == "Net"
    assert loaded.labels is None
    assert loaded.source == f"{reference}, weights as that code made them (--weights FILE loads others)"
    assert loaded.preprocess.input_size == (224, 224)
    assert [choice.setting for choice in loaded.choices] == ["preprocessing"]
    assert not loaded.module.training


def test_a_package_in_the_working_folder_is_found(net):
    package = net / "mypackage" / "models"
    package.mkdir(parents=True)
    (net / "mypackage" / "__init__.py").touch()
    (package / "__init__.py").write_text("from .inner import make")
    (package / "inner.py").write_text("import net\n\ndef make():\n    return net.Net(3)\n")
    assert load("mypackage.models:make", ModelOptions()).module[-1].out_features == 3
    assert load("mypackage.models.inner:make", ModelOptions()).module[-1].out_features == 3


def test_a_file_finds_the_files_beside_it(net, monkeypatch):
    folder = net / "deep" / "er"
    folder.mkdir(parents=True)
    (net / "net.py").rename(folder / "net.py")
    (folder / "outer.py").write_text("from net import Net as Inner\n")
    assert load("deep/er/outer.py:Inner", ModelOptions()).name == "Net"


def test_the_model_comes_in_float32_with_its_own_channels(net):
    loaded = load("net.py:grey", ModelOptions())
    assert {parameter.dtype for parameter in loaded.module.parameters()} == {torch.float32}
    assert loaded.preprocess.channels == 1
    assert loaded.preprocess.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))


def test_what_the_code_prints_stays_off_stdout(net, capsys):
    load("net.py:chatty", ModelOptions())
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello from your code" in err


def test_a_configuration_like_timms_is_followed(net):
    (net / "configured.py").write_text(
        "import net\n\ndef make():\n    model = net.Net(10, 1)\n"
        "    model.default_cfg = dict(input_size=(1, 28, 36), mean=(0.1,), std=(0.3,), crop_pct=1.0,\n"
        "                             interpolation='bilinear')\n    return model\n"
    )
    loaded = load("configured.py:make", ModelOptions())
    assert loaded.preprocess.input_size == loaded.preprocess.resize == (28, 36)
    assert (loaded.preprocess.mean, loaded.preprocess.std) == ((0.1,), (0.3,))
    assert loaded.choices == ()


def test_a_bad_configuration_is_named(net):
    (net / "bad.py").write_text(
        "import net\n\ndef make():\n    model = net.Net()\n"
        "    model.pretrained_cfg = {'input_size': 3}\n    return model\n"
    )
    with pytest.raises(ModelError, match=r"pretrained_cfg of bad\.py:make"):
        load("bad.py:make", ModelOptions())


@pytest.mark.parametrize(
    "config",
    [
        "{'input_size': (3, 'a', 4)}",
        "{'input_size': (3, 0, 0)}",
        "{'input_size': (3, -5, 5)}",
        "{'input_size': (3, 10**9, 10**9)}",
        "{'input_size': 'big'}",
        "{'mean': 'abc'}",
        "{'mean': (float('nan'),) * 3}",
        "{'mean': (0.5, 0.5)}",
        "{'mean': None, 'std': 5}",
        "{'std': (0, 0, 0)}",
        "{'std': [[1], [2], [3]]}",
        "{'crop_pct': 'x'}",
        "{'crop_pct': -1}",
        "{'crop_pct': 10**400}",
        "{'interpolation': [1]}",
        "{'interpolation': 'magic'}",
        "{'crop_mode': {1: 2}}",
        "Strange(a=1)",
    ],
)
def test_a_configuration_of_wrong_types_or_values_is_named(net, config):
    (net / "bad.py").write_text(
        "import net\n\nclass Strange(dict):\n    def __iter__(self):\n        raise RuntimeError('no keys')\n\n"
        "    keys = __iter__\n\n"
        f"def make():\n    model = net.Net()\n    model.pretrained_cfg = {config}\n    return model\n"
    )
    with pytest.raises(
        ModelError, match=r"the pretrained_cfg of bad\.py:make cannot be followed: \w+"
    ) as caught:
        load("bad.py:make", ModelOptions())
    assert "input_size=(3, 224, 224)" in caught.value.hint
    assert len(caught.value.problem) < 400


def test_a_configuration_that_raises_is_named(net):
    (net / "bad.py").write_text(
        "import net\n\nclass Net(net.Net):\n    @property\n    def default_cfg(self):\n"
        "        raise LookupError('mine')\n"
    )
    with pytest.raises(
        ModelError, match=r"pretrained_cfg of bad\.py:Net cannot be followed: LookupError: mine"
    ):
        load("bad.py:Net", ModelOptions())


def test_a_models_own_factory_in_timm_keeps_its_configuration(net):
    loaded = load("timm.models:test_resnet", ModelOptions())
    assert loaded.preprocess.input_size == (160, 160)


@pytest.mark.parametrize(
    ("reference", "problem", "hint"),
    [
        ("net.py:Nett", "nothing called 'Nett'", "net.py:Net"),
        ("net.py:zzz", "nothing called 'zzz'", "net.py:fixed"),
        ("net.py:", "names no class or function", "net.py:Net"),
        ("net.py:broken", "could not be called: ValueError: no such luck", "--debug"),
        (
            "net.py:on_gpu",
            "could not be called: RuntimeError: Found no NVIDIA",
            "leave the device to --device",
        ),
        ("net.py:needs", "missing 1 required positional argument: 'size'", "without arguments"),
        ("net.py:leaves", "could not be called: SystemExit: 3", "your code"),
        ("net.py:pair", "returned tuple", "the model itself"),
        ("net.py:lazy", "lazy layers", "run one input"),
        ("nett.py:Net", "there is no Python file nett.py", "net.py"),
        ("nowhere/net.py:Net", "folder nowhere does not exist", "path"),
        ("sub/net:Net", "neither a place", "package.module:factory"),
        ("nonet:Net", "neither a place", "file.py:factory"),
        ("net.inner:Net", "neither a place", "file.py:factory"),
        ("syntax.py:Net", "syntax.py does not import: SyntaxError", "your code"),
        ("imports.py:Net", "No module named 'not_there'", "your code"),
        ("exits.py:Net", "exits.py does not import: SystemExit", "your code"),
        (":Net", "does not import", "your code"),
        ("tiimm:resnet50", "neither a place", "timm:resnet50"),
        ("torchvison:resnet50.DEFAULT", "neither a place", "torchvision:resnet50.DEFAULT"),
        ("hf_hub:timm/resnet18", "neither a place", "hf-hub:timm/resnet18"),
    ],
)
def test_errors_are_two_lines_that_help(net, reference, problem, hint):
    (net / "syntax.py").write_text("def Net(:\n")
    (net / "imports.py").write_text("import not_there\n")
    (net / "exits.py").write_text("import sys\nsys.exit('bye')\n")
    with pytest.raises(ModelError) as caught:
        load(reference, ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert "\n" not in caught.value.problem + caught.value.hint


def test_a_module_named_without_its_suffix_is_recognised(net):
    (net / "lib").mkdir()
    (net / "net.py").rename(net / "lib" / "net.py")
    with pytest.raises(ModelError) as caught:
        load("lib/net:Net", ModelOptions())
    assert "lib/net.py:Net" in caught.value.hint


def test_users_code_is_not_held_to_weights_only(net):
    (net / "loads.py").write_text(
        "import os, net\n\ndef make():\n"
        "    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ\n    return net.Net()\n"
    )
    assert load("loads.py:make", ModelOptions()).name == "Net"


def test_edits_are_seen(net):
    load("net.py:Net", ModelOptions())
    (net / "net.py").write_text(
        "from torch import nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 3)\n"
    )
    assert isinstance(load("net.py:Net", ModelOptions()).module, torch.nn.Linear)


def test_a_module_of_the_callers_is_taken_as_it_is(net):
    module = load("net.py:grey", ModelOptions()).module.half().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    loaded = adopt(module, ModelOptions(input_size="28", mean="0.1"))
    assert loaded.module is module
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert loaded.preprocess.input_size == (28, 28)
    assert loaded.preprocess.mean == (0.1,)
