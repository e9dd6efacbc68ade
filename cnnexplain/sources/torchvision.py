"""Classification models of torchvision, with its own weights."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cnnexplain.core.choice import Choice
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import ModelError
from cnnexplain.sources._network import explained, url_download
from cnnexplain.sources._shapes import first_convolution
from cnnexplain.sources._source import Built, UnknownNameError, UnknownTagError, Variant
from cnnexplain.sources.kit.libraries import library

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision"
HELP = "torchvision:resnet50 or torchvision:resnet50.IMAGENET1K_V1: a classifier of torchvision"

INCEPTIONS = ("googlenet", "inception_v3")


def names() -> Iterable[str]:
    """Every classifier of torchvision."""
    models = library("torchvision.models")
    return list(models.list_models(module=models))


def build(name: str, variant: Variant) -> Built:
    """torchvision's model with the preprocessing and categories of its weights."""
    models = library("torchvision.models")
    architecture, _, tag = name.partition(".")
    _check_name(architecture)
    weights = _weights(architecture, tag)
    builder = models.get_model_builder(architecture)
    if variant.trained:
        with url_download(f"the weights of torchvision:{architecture}.{weights.name}", weights.url):
            module = builder(weights=weights, progress=sys.stderr.isatty())
    else:
        module = _untrained(builder, architecture, variant)
    transforms = weights.transforms()
    (size,), (resize,) = transforms.crop_size, transforms.resize_size
    categories = weights.meta["categories"]
    full = f"{architecture}.{weights.name}"
    default = Choice("weights", f"torchvision:{full}", f"torchvision's default for {architecture}")
    return Built(
        module=module,
        name=architecture,
        code=f"torchvision {full if variant.trained else architecture}",
        weights="weights from download.pytorch.org" if variant.trained else None,
        preprocess=Preprocess(
            input_size=(size, size),
            channels=3 if variant.trained else variant.channels or 3,
            resize=(resize, resize),
            interpolation=transforms.interpolation.value,
            mean=tuple(transforms.mean),
            std=tuple(transforms.std),
        ),
        crop_pct=size / resize,
        labels=categories if variant.classes in (None, len(categories)) else None,
        choices=(default,) if variant.trained and not tag else (),
        unused=("aux1.", "aux2.", "AuxLogits.") if architecture in INCEPTIONS else (),
    )


def _check_name(architecture: str) -> None:
    models = library("torchvision.models")
    classifiers = models.list_models(module=models)
    if architecture in classifiers:
        return
    if architecture in models.list_models():
        task = models.get_model_builder(architecture).__module__.split(".")[-2].replace("_", " ")
        raise ModelError(
            f"torchvision:{architecture} is one of torchvision's {task} models, which cnnexplain does not "
            "explain",
            "choose a classifier, for example torchvision:resnet50",
        )
    raise UnknownNameError(architecture)


def _weights(architecture: str, tag: str) -> Any:
    """The weights called `tag`, or the default weights. Raises `UnknownTagError` where there are none."""
    weights = library("torchvision.models").get_model_weights(architecture)
    if tag in ("", "DEFAULT"):
        return weights.DEFAULT
    classifying = {entry.name: entry for entry in weights if entry.meta["categories"]}
    if tag not in classifying:
        raise UnknownTagError(
            f"torchvision has no weights {tag!r} that classify for {architecture}",
            f"there are {', '.join(f'{architecture}.{name}' for name in classifying)}",
        )
    return classifying[tag]


def _untrained(builder: Any, architecture: str, variant: Variant) -> nn.Module:
    settings: dict[str, Any] = {}
    if architecture in INCEPTIONS:
        # Trained weights expect the input that transform_input makes of RGB; only training uses the other heads.
        settings = {
            "transform_input": variant.channels in (None, 3),
            "aux_logits": False,
            "init_weights": False,
        }
    if variant.classes is not None:
        settings["num_classes"] = variant.classes
    with explained(f"torchvision:{architecture}", hint="choose another model"):
        module: nn.Module = builder(weights=None, **settings)
    if variant.channels is not None:
        _widen(module, variant.channels)
    return module


def _widen(module: nn.Module, channels: int) -> None:
    """Let the first convolution take `channels`, for which torchvision has no setting."""
    from torch import nn

    first = first_convolution(module)
    if first is None or first[1].in_channels == channels:
        return
    name, old = first
    settings: dict[str, Any] = {
        key: getattr(old, key) for key in ("kernel_size", "stride", "padding", "dilation")
    }
    new = nn.Conv2d(channels, old.out_channels, **settings, bias=old.bias is not None)
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, new)
