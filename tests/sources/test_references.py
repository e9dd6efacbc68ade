"""How a MODEL is understood: prefixes, bare names, files that are not there; and seeds."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError, near_misses
from cnnexplain.sources import load, sources
from cnnexplain.sources._registry import sources as uncached
from cnnexplain.sources.kit import libraries as _libraries

UNTRAINED = ModelOptions(pretrained=False)


def test_every_file_is_a_source():
    folder = Path(sources()["timm"].__file__).parent
    files = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
    assert len(sources()) == len(files) == 5
    for prefix, source in sources().items():
        assert source.HELP.partition(":")[0] == (prefix or "package.module")
        assert source.build.__doc__


def test_adding_a_file_adds_a_source(tmp_path, monkeypatch):
    """A new place needs one file and nothing else."""
    import cnnexplain.sources as package

    (tmp_path / "shop.py").write_text(
        "from cnnexplain.core.preprocess import Preprocess\n"
        "from cnnexplain.sources._source import Built, UnknownNameError\n"
        "PREFIX = 'shop'\nHELP = 'shop:NAME: a model from the shop'\n"
        "def names():\n    return ['small', 'large']\n"
        "def build(name, variant):\n    from torch import nn\n    if name not in names():\n"
        "        raise UnknownNameError(name)\n"
        "    return Built(nn.Conv2d(3, 5, 1), name, f'shop {name}', Preprocess(), 0.875)\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    uncached.cache_clear()
    try:
        assert load("shop:small", ModelOptions()).source == "shop small, random weights (seed 0)"
        with pytest.raises(ModelError) as caught:
            load("shop:smal", ModelOptions())
        assert "shop:small" in caught.value.hint
    finally:
        uncached.cache_clear()
        sys.modules.pop("cnnexplain.sources.shop", None)


@pytest.mark.parametrize(
    ("name", "found"), [("resnet18", "timm:resnet18"), ("alexnet", "torchvision:alexnet")]
)
def test_bare_names_are_looked_up_and_told(name, found):
    loaded = load(name, UNTRAINED)
    choice = loaded.choices[0]
    assert (choice.setting, choice.value) == ("model source", found)
    assert "timm, then torchvision" in choice.reason


@pytest.mark.parametrize(
    ("reference", "problem", "hint"),
    [
        ("resnet5O", "no model called 'resnet5O'", "resnet50"),
        ("alexnett", "no model called 'alexnett'", "alexnet"),
        ("qqqqqqqq", "no model called 'qqqqqqqq'", "bundled:efficientnet_lite0"),
        ("", "no model called ''", "resnet50"),
        ("net.py", "names a file, but not what to call", "net.py:NAME"),
        ("gone/dir/weights", "looks like a file, but there is none", "hf-hub:gone/dir/weights"),
        ("weights.dat", "not a checkpoint: its name does not end in", "--weights weights.dat"),
        ("gone.pth", "there is no checkpoint gone.pth", "path"),
    ],
)
def test_references_that_mean_nothing(net, reference, problem, hint):
    Path("weights.dat").write_bytes(b"x")
    with pytest.raises(ModelError) as caught:
        load(reference, ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_near_misses_are_only_sought_when_there_is_an_error(monkeypatch):
    import timm

    monkeypatch.setattr(timm, "list_models", lambda *a, **k: pytest.fail("lists every model"))
    load("alexnet", UNTRAINED)
    assert near_misses("a", ["a"]) == ["a"]


@pytest.mark.parametrize("reference", ["timm:test_resnet", "torchvision:squeezenet1_1", "net.py:Net"])
def test_a_seed_makes_the_same_weights_and_leaves_the_callers_alone(net, reference):
    def weights(seed: int) -> torch.Tensor:
        module = load(reference, ModelOptions(pretrained=False, seed=seed)).module
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    torch.manual_seed(7)
    random.seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = weights(3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))
    assert torch.equal(weights(2**63 - 1), weights(2**63 - 1))


def test_what_a_checkpoint_lacks_is_seeded_too(net):
    state = load("net.py:Net", ModelOptions(seed=1)).module.state_dict()
    torch.save({name: one for name, one in state.items() if name != "fc.weight"}, "net.pth")
    options = ModelOptions(arch="net.py:Net", strict=False, seed=5)
    assert torch.equal(
        load("net.pth", options).module.fc.weight, load("net.py:Net", ModelOptions(seed=5)).module.fc.weight
    )


def test_libraries_that_do_not_match(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(_libraries, "import_module", broken)
    for reference in ("resnet50", "torchvision:resnet50", "bundled:efficientnet_lite0", "hf-hub:a/b"):
        with pytest.raises(ModelError, match="operator torchvision::nms does not exist") as caught:
            load(reference, ModelOptions())
        assert "different builds" in caught.value.hint


def test_importing_sources_loads_no_torch():
    code = (
        "import sys, cnnexplain.sources as s; s.sources();"
        "print([m for m in ('torch', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
