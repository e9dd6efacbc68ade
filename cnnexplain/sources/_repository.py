"""A folder as the Hugging Face hub keeps models: config.json beside the weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources._files import existing_file
from cnnexplain.sources._foreign import TORCH, foreign_file
from cnnexplain.sources._registry import BARE_NAMES, has_prefix, sources
from cnnexplain.sources._source import Built
from cnnexplain.sources._timm import labels_of, preprocess_of

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
LARGEST = 4_000_000  # bytes of a config.json


@dataclass(frozen=True)
class Repository:
    """A timm model in a folder: its config.json, and where its weights are."""

    folder: Path
    architecture: str
    config: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """The file of weights. Raises `ModelError` where there is none, or several."""
        for name in WEIGHTS:
            if (self.folder / name).is_file():
                return self.folder / name
        candidates = sorted(path for path in self.folder.iterdir() if path.name.lower().endswith(TORCH))
        for path in (*candidates, *self.folder.glob("*.index.json")):
            if foreign := foreign_file(path):
                raise ModelError(f"{path} is {foreign.kind}, which cannot be loaded as a model", foreign.hint)
        if len(candidates) == 1:
            return candidates[0]
        raise ModelError(
            f"{self.folder} has a {CONFIG}, but {'several files' if candidates else 'no file'} of weights",
            f"write timm:{self.architecture} --weights FILE",
        )

    def describe(self, built: Built) -> Built:
        """`built` with the preprocessing and the names of classes from config.json."""
        carried = getattr(built.module, "pretrained_cfg", {})
        own = self.config.get("pretrained_cfg")
        config = {**carried, **(own if isinstance(own, dict) else {})}
        names = {
            key: self.config[key] for key in ("label_names", "label_descriptions") if self.config.get(key)
        }
        try:
            preprocess, crop_pct = preprocess_of(config, built.preprocess.channels)
            labels = labels_of({**config, **names}, int(getattr(built.module, "num_classes", 0)))
        except Exception as error:  # a stranger's configuration may be anything
            raise ModelError(
                f"{self.folder / CONFIG} cannot be followed: {first_line(error)}",
                f"write timm:{self.architecture} --weights {self.weights}, with --mean, --std and --input-size",
            ) from error
        return replace(
            built, preprocess=preprocess, crop_pct=crop_pct, labels=names_in(self.config) or labels
        )


def repository(reference: str, *, arch: str | None) -> Repository | None:
    """The repository that `reference` names: a folder, or a file of weights in it without `arch`; None for others."""
    if has_prefix(reference) or arch is not None:
        return None
    folder = Path(reference)
    if os.path.isfile(reference) and reference.lower().endswith(TORCH):
        folder = folder.parent
    if not os.path.isfile(folder / CONFIG) or not os.path.exists(reference):
        return None
    if os.path.isdir(reference) and os.sep not in reference:
        model_names = (name for prefix in BARE_NAMES for name in sources()[prefix].names())
        if reference in model_names:  # a model's name, which some folder here happens to have as well
            return None
    config = _read(folder / CONFIG)
    architecture = config.get("architecture")
    if isinstance(architecture, str):
        if architecture.partition(".")[0] not in sources()["timm"].names():
            raise ModelError(
                f"{folder / CONFIG} names the architecture {printable(architecture[:99])!r}, which timm does not have",
                "pip install --upgrade timm, or name your own code with --weights",
            )
        return Repository(folder, architecture, config)
    if os.path.isfile(reference):
        return None  # a file beside some other config.json: the user has to name the architecture
    kinds = config.get("architectures")
    kind = str(kinds[0] if isinstance(kinds, list) and kinds else config.get("model_type") or "")
    if not kind:
        raise ModelError(
            f"{folder / CONFIG} names no architecture of timm",
            f"write the name of one with --weights {folder}/FILE",
        )
    raise ModelError(
        f"{folder} is a model of transformers ({printable(kind[:99])}), whose layers have other names than timm's",
        "in net.py, def make(): return transformers.AutoModelForImageClassification.from_pretrained("
        f"{str(folder)!r}); then write net.py:make --labels {folder / CONFIG}",
    )


def names_in(config: Mapping[str, Any]) -> list[str] | None:
    """The names of classes in a config.json of the hub: those of `id2label`, unless they only number the classes."""
    names = config.get("id2label")
    if not isinstance(names, Mapping):
        return None
    labels = [names.get(str(index)) for index in range(len(names))]
    if not all(isinstance(name, str) for name in labels):
        return None
    numbered = all(str(name).upper() == f"LABEL_{index}" for index, name in enumerate(labels))
    return None if numbered else [str(name) for name in labels]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if existing_file(path, "configuration").stat().st_size > LARGEST:
            raise ModelError(f"{path} is too large for a configuration", "look at what is in it")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not JSON that can be read: {first_line(error)}", "copy or download it again"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no configuration", "copy or download it again")
    return config
