"""Finds the source that a reference means, and lets it build the model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

from cnnexplain.core import registry
from cnnexplain.core.choice import Choice
from cnnexplain.errors import ModelError, near_misses
from cnnexplain.sources._files import existing_file
from cnnexplain.sources._foreign import SUFFIXES, foreign_file, foreign_folder
from cnnexplain.sources._source import Built, ModelSource, UnknownNameError, UnknownTagError, Variant

BARE_NAMES = ("timm", "torchvision")  # a name without a prefix is looked up in these, in this order
SHOWN = 3


@cache
def sources() -> dict[str, ModelSource]:
    """Every source of this folder, and of other packages, by its prefix."""
    package = __name__.rpartition(".")[0]
    room = import_module(package)
    modules = [import_module(f"{package}.{name}") for name in registry.own_names(room)]
    modules += [registry.load(plugin) for plugin in registry.plugins(package).values()]
    return {
        module.PREFIX: cast(ModelSource, module) for module in reversed(modules)
    }  # no package replaces ours


def has_prefix(reference: str) -> bool:
    """Whether `reference` begins with the prefix of a source, as in `timm:resnet50`."""
    prefix, colon, _ = reference.partition(":")
    return bool(prefix and colon) and prefix in sources()


def build(reference: str, variant: Variant) -> Built:
    """The model that `reference` means, with its code, preprocessing and labels."""
    if reference.endswith(".py"):
        return sources()[""].build(reference, variant)
    if ":" not in reference:
        return _build_bare(reference, variant)
    if not has_prefix(reference):
        return sources()[""].build(reference, variant)
    prefix, _, name = reference.partition(":")
    try:
        return sources()[prefix].build(name, variant)
    except UnknownNameError:
        names = list(sources()[prefix].names())
        suggestions = near_misses(name.partition(".")[0], names) or names[:SHOWN]
        raise ModelError(
            f"{prefix} has no model called {name!r}",
            f"did you mean {_either(f'{prefix}:{suggestion}' for suggestion in suggestions)}?",
        ) from None


def is_library(reference: str) -> bool:
    """Whether `reference` names a model of a library, not code of the user's."""
    return has_prefix(reference) or not (":" in reference or reference.endswith(".py"))


def second_reading(name: str) -> str | None:
    """The reference to a name without a prefix in the last of `BARE_NAMES`, where several have it; else None."""
    architecture = name.partition(".")[0]  # which weights it would have makes no difference to a checkpoint
    prefixes = [prefix for prefix in BARE_NAMES if architecture in sources()[prefix].names()]
    return f"{prefixes[-1]}:{architecture}" if ":" not in name and len(prefixes) > 1 else None


def _build_bare(name: str, variant: Variant) -> Built:
    without_tag = None
    for prefix in BARE_NAMES:
        try:
            built = sources()[prefix].build(name, variant)
        except UnknownTagError as error:
            without_tag = without_tag or error
        except UnknownNameError:
            continue
        else:
            reason = f"a name alone is looked up in {', then '.join(BARE_NAMES)}"
            return replace(
                built, choices=(Choice("model source", f"{prefix}:{name}", reason), *built.choices)
            )
    raise without_tag or _unknown_model(name)


def _unknown_model(name: str) -> ModelError:
    if os.path.isdir(name):
        folder = foreign_folder(Path(name))
        return ModelError(f"{name!r} is {folder.kind}", folder.hint)
    if name.lower().endswith(tuple(SUFFIXES)):
        existing_file(Path(name), "file")
    if os.path.isfile(name) and (foreign := foreign_file(Path(name))):
        return ModelError(f"{name!r} is {foreign.kind}, which cannot be loaded as a model", foreign.hint)
    if name and os.path.exists(name):
        return ModelError(
            f"{name!r} is not a checkpoint: its name does not end in .pth, .pt, .ckpt, .bin or .safetensors",
            f"if it is one, write {name} --arch NAME, or --weights {name} after the name of a model",
        )
    if "/" in name:
        return ModelError(
            f"{name!r} looks like a file, but there is none",
            f"for a model on the Hugging Face hub write hf-hub:{name}",
        )
    near = near_misses(
        name.partition(".")[0], (model for prefix in BARE_NAMES for model in sources()[prefix].names())
    )
    return ModelError(
        f"there is no model called {name!r}",
        f"did you mean {_either(near)}?"
        if near
        else "write a name from timm or torchvision, such as resnet50, or bundled:efficientnet_lite0",
    )


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
