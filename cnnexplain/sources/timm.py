"""Models of timm, with weights from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from cnnexplain.core.choice import Choice
from cnnexplain.errors import ModelError
from cnnexplain.sources._network import explained, hub_download, url_download
from cnnexplain.sources._source import Built, UnknownNameError, UnknownTagError, Variant
from cnnexplain.sources._timm import create, described
from cnnexplain.sources.kit.libraries import library

PREFIX = "timm"
HELP = "timm:resnet50 or timm:resnet50.a1_in1k: a model of timm, with its default or the named weights"


def names() -> Iterable[str]:
    """Every architecture of timm."""
    return list(library("timm").list_models())


def build(name: str, variant: Variant) -> Built:
    """timm's model, as timm builds it, with the preprocessing and labels of its configuration."""
    config = _config(name)
    architecture = name.partition(".")[0]
    if not variant.trained:
        with explained(f"timm:{name}", hint="choose another --input-size or another model"):
            module = create(name, variant)
        return described(module, architecture, f"timm {name}", None, variant)
    with _download(f"the weights of timm:{name}", config):
        module = create(name, variant)
    pretrained = module.pretrained_cfg
    full = f"{architecture}.{pretrained['tag']}" if pretrained.get("tag") else architecture
    origin = "the Hugging Face hub" if pretrained.get("hf_hub_id") else pretrained.get("url")
    built = described(module, architecture, f"timm {full}", f"weights from {origin}", variant)
    if name == full:
        return built
    return replace(built, choices=(Choice("weights", f"timm:{full}", f"timm's default for {architecture}"),))


def _config(name: str) -> Any:
    """timm's configuration of `name`, or None where it has none; raises an error for an unknown name or tag."""
    timm = library("timm")
    architecture, _, tag = name.partition(".")
    if not timm.is_model(name):
        raise UnknownNameError(name)
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*"))
        raise UnknownTagError(
            f"timm has no weights {tag!r} for {architecture}",
            f"there are {tags}" if tags else f"write timm:{architecture}",
        ) from error


def _download(subject: str, config: Any) -> AbstractContextManager[None]:
    """The kind of download by which timm will fetch these weights. Raises `ModelError` where there are none."""
    if config is None:
        return hub_download(subject)  # A name that timm has replaced by a newer name.
    if config.hf_hub_id:
        return hub_download(subject, cached=_is_cached(config))
    if config.url:
        return url_download(subject, config.url if isinstance(config.url, str) else config.url[0])
    raise ModelError(
        f"there are no trained weights for timm's {config.architecture}",
        "give them with --weights FILE, or leave them random with --no-pretrained",
    )


def _is_cached(config: Any) -> bool:
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = config.hf_hub_id.partition("@")
    files = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    paths = (try_to_load_from_cache(repository, file, revision=revision or None) for file in files)
    return any(isinstance(path, str) for path in paths)
