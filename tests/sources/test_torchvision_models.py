"""torchvision's classifiers: weights, categories, and preprocessing equal to its own transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError, OptionError
from cnnexplain.sources import load
from cnnexplain.sources._shapes import input_channels

INCEPTION = {"aux_logits": False, "init_weights": False}
UNTRAINED = ModelOptions(pretrained=False)


@pytest.fixture
def fake_download(monkeypatch):
    """Serves torchvision's weights as the fresh model's own, plus one; notes what was asked for."""
    asked = []

    def load_state_dict_from_url(url, *args, **kwargs):
        asked.append((url, kwargs))
        name = url.split("/")[-1].split("-")[0].removesuffix("_google")
        settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(name, weights=None, **settings).state_dict()

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", load_state_dict_from_url)
    monkeypatch.setattr("cnnexplain.sources._network.unreachable", lambda url: None)
    return asked


@pytest.mark.parametrize(
    ("reference", "tag", "resize"),
    [
        ("torchvision:resnet50", "IMAGENET1K_V2", 232),
        ("torchvision:resnet50.DEFAULT", "IMAGENET1K_V2", 232),
        ("torchvision:resnet50.IMAGENET1K_V1", "IMAGENET1K_V1", 256),
        ("resnet50.IMAGENET1K_V1", "IMAGENET1K_V1", 256),
    ],
)
def test_the_weights_that_were_named(fake_download, reference, tag, resize):
    loaded = load(reference, ModelOptions())
    weights = torchvision.models.ResNet50_Weights[tag]
    assert fake_download[0][0] == weights.url
    assert loaded.preprocess.resize == (resize, resize)
    assert list(loaded.labels) == weights.meta["categories"]
    assert loaded.source == f"torchvision resnet50.{tag}, weights from download.pytorch.org"
    told = {choice.setting: choice.value for choice in loaded.choices}
    assert ("weights" in told) == (reference == "torchvision:resnet50")
    assert told.get("model source") == (None if ":" in reference else "torchvision:resnet50.IMAGENET1K_V1")


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_builders_tie_to_weights_is_kept(fake_download, name):
    module = load(f"torchvision:{name}", ModelOptions()).module
    assert module.transform_input is True
    assert load(f"torchvision:{name}", UNTRAINED).module.transform_input is True


@pytest.mark.parametrize(
    "name", ["resnet50", "vgg11", "inception_v3", "efficientnet_b1", "vit_b_16", "regnet_y_400mf", "swin_t"]
)
def test_pixels_equal_torchvisions_own(name, pictures, assert_same_pixels, monkeypatch):
    # The preprocessing does not depend on the model: a small one stands in.
    monkeypatch.setattr("cnnexplain.sources.torchvision._untrained", lambda *_: torch.nn.Linear(1, 1))
    preprocess = load(f"torchvision:{name}", UNTRAINED).preprocess
    transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    mean, std = np.array(transform.mean), np.array(transform.std)
    assert (preprocess.mean, preprocess.std) == (tuple(transform.mean), tuple(transform.std))
    for picture in pictures:
        theirs = np.rint((transform(picture).numpy().transpose(1, 2, 0) * std + mean) * 255)
        assert_same_pixels(preprocess.apply(picture)[0], theirs, preprocess.interpolation)


def test_every_classifier_has_what_is_read_from_its_weights():
    models = torchvision.models
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            if weights.name == "IMAGENET1K_FEATURES":
                continue
            transforms = weights.transforms()
            assert len(transforms.crop_size) == len(transforms.resize_size) == 1
            assert weights.meta["categories"]


def test_channels_are_read_off_every_classifier():
    models = torchvision.models
    for name in models.list_models(module=models):
        settings = INCEPTION if name in ("googlenet", "inception_v3") else {}
        if name.startswith("regnet") and name != "regnet_y_400mf":
            continue  # alike, and the only ones that cannot be built without memory
        with torch.device("cpu" if name.startswith("regnet") else "meta"):
            module = models.get_model(name, **settings)
        assert (name, input_channels(module)) == (name, 3)


@pytest.mark.parametrize(
    ("reference", "problem", "hint"),
    [
        ("torchvision:resnet5O", "no model called 'resnet5O'", "torchvision:resnet50"),
        ("torchvision:resnet50.foo", "no weights 'foo'", "resnet50.IMAGENET1K_V2"),
        ("torchvision:vgg16.IMAGENET1K_FEATURES", "no weights 'IMAGENET1K_FEATURES'", "vgg16.IMAGENET1K_V1"),
        ("torchvision:fasterrcnn_resnet50_fpn", "detection models", "classifier"),
        ("torchvision:fcn_resnet50", "segmentation models", "classifier"),
        ("torchvision:r3d_18", "video models", "classifier"),
        ("torchvision:quantized_resnet18", "quantization models", "classifier"),
        ("torchvision:raft_small", "optical flow models", "classifier"),
    ],
)
def test_what_is_not_there_or_not_a_classifier(reference, problem, hint):
    with pytest.raises(ModelError) as caught:
        load(reference, ModelOptions())
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_random_weights_and_grey_pictures():
    loaded = load("torchvision:resnet18", ModelOptions(pretrained=False, input_size="1x64x64"))
    assert loaded.source == "torchvision resnet18, random weights (seed 0)"
    assert loaded.module(torch.zeros(1, 1, 64, 64)).shape == (1, 1000)


def test_trained_weights_take_three_channels(fake_download):
    with pytest.raises(OptionError, match="asks for 1 channels, but resnet18 takes 3"):
        load("torchvision:resnet18", ModelOptions(input_size="1x64x64"))
