"""timm's models: the preprocessing is timm's own, labels, tags, sizes, channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError
from cnnexplain.sources import load
from cnnexplain.sources._source import Variant
from cnnexplain.sources._timm import described, preprocess_of

UNTRAINED = ModelOptions(pretrained=False)


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"input_size": (3, 160, 160), "crop_pct": 0.95, "interpolation": "bicubic"},
        {"input_size": (3, 96, 160), "crop_pct": 0.9, "interpolation": "bilinear"},
        {"input_size": (3, 300, 200), "crop_pct": 1.0, "interpolation": "bicubic"},
        {"input_size": (3, 64, 64), "crop_pct": 0.5, "interpolation": "nearest", "mean": (0.2, 0.4, 0.6)},
    ],
)
def test_pixels_equal_timms_own(config, crop_mode, pictures, assert_same_pixels):
    config = {**config, "crop_mode": crop_mode}
    data = timm.data.resolve_data_config(pretrained_cfg=config)
    transform = timm.data.create_transform(**data, is_training=False, normalize=False)
    preprocess, crop_pct = preprocess_of(config)
    for picture in pictures:
        theirs = np.asarray(transform(picture)).transpose(1, 2, 0)
        assert_same_pixels(preprocess.apply(picture)[0], theirs, preprocess.interpolation)
    assert (preprocess.mean, preprocess.std, crop_pct) == (data["mean"], data["std"], data["crop_pct"])


def test_every_configuration_of_timm_reads_as_timm_reads_it():
    names = timm.list_models(pretrained=True)[::9]
    assert len(names) > 100
    for name in names:
        config = timm.get_pretrained_cfg(name).to_dict()
        data = timm.data.resolve_data_config(pretrained_cfg=config)
        preprocess, _ = preprocess_of(config)
        assert (preprocess.channels, *preprocess.input_size) == data["input_size"], name
        expected = tuple(math.floor(side / data["crop_pct"]) for side in data["input_size"][1:])
        assert preprocess.resize == expected, name
        assert preprocess.interpolation == data["interpolation"], name
        assert preprocess.crop_mode == data["crop_mode"], name


def test_the_test_size_is_not_used():
    loaded = load("timm:resnet10t", UNTRAINED)
    assert loaded.module.pretrained_cfg["test_input_size"] == (3, 224, 224)
    assert loaded.preprocess.input_size == (176, 176)
    assert loaded.name == "resnet10t"
    assert loaded.source == "timm resnet10t, random weights (seed 0)"
    assert (loaded.labels[0], len(loaded.labels)) == ("tench, Tinca tinca", 1000)


def test_weights_not_asked_for_are_not_fetched(monkeypatch):
    monkeypatch.setattr(timm.models._builder, "load_pretrained", lambda *a, **k: pytest.fail("downloads"))
    load("timm:test_resnet", UNTRAINED)


@pytest.mark.parametrize("size", ["64", "96x128"])
def test_a_size_that_is_built_in_is_rebuilt(size):
    loaded = load("timm:test_vit", ModelOptions(pretrained=False, input_size=size))
    height, width = loaded.preprocess.input_size
    assert loaded.module(torch.zeros(1, 3, height, width)).shape == (1, 1000)


def test_a_size_that_is_not_built_in(monkeypatch):
    loaded = load("timm:test_resnet", ModelOptions(pretrained=False, input_size="1x32x48"))
    assert loaded.module(torch.zeros(1, 1, 32, 48)).shape == (1, 1000)
    assert loaded.preprocess.channels == len(loaded.preprocess.mean) == 1
    assert loaded.preprocess.resize == (33, 50)  # floor(side / 0.95)


@pytest.mark.parametrize(
    ("classes", "first"),
    [(1000, "tench, Tinca tinca"), (11821, None), (21841, None), (21843, None), (10, None)],
)
def test_labels_by_the_number_of_classes(classes, first):
    module = timm.create_model("test_resnet", num_classes=classes)
    labels = described(module, "x", "x", None, Variant()).labels
    if classes == 10:
        assert labels is None
    else:
        assert len(labels) == classes
        assert first in (None, labels[0])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"label_names": ["a", "b"]}, ["a", "b"]),
        ({"label_names": ("a", "b"), "label_descriptions": {"a": "an apple"}}, ["an apple", "b"]),
        ({"label_names": {"0": "a", "1": "b"}}, ["a", "b"]),
        ({"label_names": ["a", "b", "c"]}, None),
        ({"label_descriptions": ["x", "y"]}, None),
    ],
)
def test_labels_that_the_configuration_names(config, expected):
    module = timm.create_model("test_resnet", num_classes=2)
    module.pretrained_cfg = {**module.pretrained_cfg, **config}
    labels = described(module, "x", "x", None, Variant()).labels
    assert labels == expected


@pytest.mark.parametrize(
    ("reference", "problem", "hint"),
    [
        ("timm:resnet5O", "timm has no model called 'resnet5O'", "timm:resnet50"),
        ("timm:", "timm has no model called ''", "timm:"),
        ("timm:resnet50.foo", "no weights 'foo' for resnet50", "resnet50.a1_in1k"),
        ("resnet50.foo", "no weights 'foo' for resnet50", "resnet50.a1_in1k"),
        ("timm:vit_tiny_patch16_gap_reg4_dinov2", "timm has no model called", "timm:vit_"),
    ],
)
def test_unknown_names_and_tags(reference, problem, hint):
    with pytest.raises(ModelError) as caught:
        load(reference, ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_an_architecture_without_weights_says_so():
    name = next(
        name for name in timm.list_models("*resnet*") if not timm.get_pretrained_cfg(name).has_weights
    )
    with pytest.raises(ModelError, match="no trained weights") as caught:
        load(f"timm:{name}", ModelOptions())
    assert "--no-pretrained" in caught.value.hint


def test_an_impossible_size_is_two_lines(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("img_size must be divisible by 7")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load("timm:swin_tiny_patch4_window7_224", ModelOptions(pretrained=False, input_size="3"))
    assert "--input-size" in caught.value.hint
