"""The options that change a model's preprocessing."""

from __future__ import annotations

import pytest
from torch import nn

from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import OptionError
from cnnexplain.sources import adopt, load
from cnnexplain.sources._preprocess import InputSize, Overrides, parse_input_size

BASE = Preprocess(input_size=(224, 224), resize=(232, 232))


def changed(**options) -> Preprocess:
    return Overrides.of(ModelOptions(**options)).apply(BASE, 224 / 232)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("224", InputSize(224, 224)),
        ("224x320", InputSize(224, 320)),
        ("224X320", InputSize(224, 320)),
        ("1x28x28", InputSize(28, 28, 1)),
    ],
)
def test_sizes(text, expected):
    assert parse_input_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-3", "big", "224x", "x224", "1x2x3x4", "2.5", "0x3x3", "99999", "²", "224,224", "1e3"]
)
def test_sizes_that_are_none(net, text):
    with pytest.raises(OptionError, match="--input-size") as caught:
        load("net.py:Net", ModelOptions(input_size=text))
    assert "--input-size 224" in caught.value.hint


def test_nothing_asked_changes_nothing():
    assert changed() == BASE


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"input_size": "224"}, {"resize": (232, 232)}),
        ({"input_size": "448x224"}, {"input_size": (448, 224), "resize": (464, 232)}),
        ({"input_size": "112", "crop_pct": 1.0}, {"input_size": (112, 112), "resize": (112, 112)}),
        ({"crop_pct": 0.875}, {"input_size": (224, 224), "resize": (256, 256)}),
        ({"crop_mode": "squash"}, {"crop_mode": "squash", "resize": (232, 232)}),
        ({"interpolation": "lanczos"}, {"interpolation": "lanczos"}),
        ({"mean": "0.5"}, {"mean": (0.5, 0.5, 0.5), "std": BASE.std}),
        ({"mean": "0.1, 0.2,0.3", "std": "1,2,3e0"}, {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}),
        ({"std": "0.25"}, {"mean": BASE.mean, "std": (0.25, 0.25, 0.25)}),
    ],
)
def test_each_override(options, expected):
    after = changed(**options)
    assert {name: getattr(after, name) for name in expected} == expected


@pytest.mark.parametrize("side", range(32, 520, 8))
def test_the_proportion_of_timms_crop_is_kept(side):
    base = Preprocess().with_crop((224, 224), 0.9)
    after = Overrides.of(ModelOptions(input_size=str(side))).apply(base, 0.9)
    assert after.resize == (int(side / 0.9), int(side / 0.9))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mean": "a"}, "--mean 'a' is not a list of numbers"),
        ({"mean": ""}, "--mean '' is not a list of numbers"),
        ({"mean": "0.5,"}, "is not a list of numbers"),
        ({"mean": "nan"}, "not finite"),
        ({"std": "inf"}, "not finite"),
        ({"std": "0"}, "not above zero"),
        ({"std": "0.5,-1,2"}, "not above zero"),
        ({"mean": "0.1,0.2"}, "--mean has 2 numbers, and the model's input 3 channels"),
        ({"std": "1,1,1,1"}, "--std has 4 numbers"),
        ({"mean": "127.5"}, "--mean is for values in 0..1; 127.5 looks like 0..255"),
        ({"std": "0.2,127.5,0.2"}, "--std is for values in 0..1"),
    ],
)
def test_numbers_that_make_no_sense(options, problem):
    with pytest.raises(OptionError) as caught:
        changed(**options)
    assert problem in caught.value.problem
    flag = f"--{next(iter(options))}"
    assert flag in caught.value.problem
    assert f"{flag} 0." in caught.value.hint


def test_numbers_for_0_to_255_are_told_what_they_are_in_0_to_1():
    with pytest.raises(OptionError) as caught:
        changed(std="58.395,57.12,57.375")
    assert caught.value.hint == "divide by 255: --std 0.229,0.224,0.225"


def test_grey_models_take_one_number_or_three(net):
    for mean, expected in (("0.5", 0.5), ("0.1,0.2,0.3", 0.2)):
        loaded = load("net.py:grey", ModelOptions(mean=mean, input_size="1x28x28"))
        assert loaded.preprocess.mean == pytest.approx((expected,))
        assert loaded.preprocess.input_size == (28, 28)


def test_channels_that_the_model_does_not_take():
    with pytest.raises(OptionError, match="asks for 1 channels, but") as caught:
        load("bundled:efficientnet_lite0", ModelOptions(input_size="1x28x28"))
    assert caught.value.hint == "write --input-size 3x28x28"


def test_channels_of_ones_own_code_are_those_that_were_asked_for_not_guessed(net):
    assert load("net.py:grey", ModelOptions(input_size="28")).preprocess.channels == 1
    assert load("net.py:grey", ModelOptions(input_size="3x28x28")).preprocess.channels == 3
    module = nn.Sequential(nn.Conv2d(4, 2, 1))
    assert adopt(module, ModelOptions(input_size="2x28x28")).preprocess.channels == 2


def test_a_factory_that_takes_channels_is_told(net):
    loaded = load("net.py:Net", ModelOptions(input_size="6x28x28"))
    assert loaded.module.conv.in_channels == loaded.preprocess.channels == 6


def test_what_was_given_is_told_as_given(net):
    def told(**options):
        choices = load("net.py:Net", ModelOptions(**options)).choices
        return next((choice.value, choice.reason) for choice in choices if choice.setting == "preprocessing")

    assert told()[0] == "as is usual for ImageNet"
    assert told(crop_mode="squash") == told()
    every = {"input_size": "32", "crop_pct": 0.9, "mean": "0.5", "std": "0.5"}
    assert told(**every) == ("as given", "--input-size, --crop-pct, --mean and --std say all of it")
    for missing in every:
        value, reason = told(**{name: one for name, one in every.items() if name != missing})
        assert value == "as is usual for ImageNet, but for what was given"
        assert reason.endswith(f"were given, --{missing.replace('_', '-')} changes more")
    assert "--mean was given, --input-size, --crop-pct and --std change more" in told(mean="0.5")[1]
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert adopt(module, ModelOptions(**every)).choices[0].value == "as given"
