"""What was run: the content of run.json."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from cnnexplain import __version__
from cnnexplain.commands import ImageCommand, ModelCommand
from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import Loaded
from cnnexplain.core.params import declared
from cnnexplain.core.records import plain
from cnnexplain.engine.model import Model
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.output.names import NAMED
from cnnexplain.runner.request import CheckRequest, ModelRequest, Request

PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")


def describe(
    request: Request,
    model: Model,
    loaded: Loaded,
    method: ImageCommand,
    choices: Iterable[Choice],
    sources: Sequence[ImagePath],
    images: int,
    started: float,
) -> dict[str, Any]:
    """All that is known before the first picture. `identity` is what a run must share to be continued.

    `sources` are all pictures, of which this run is to explain `images`.
    """
    options = {**_values(method), **_values(request.render)}
    options |= {"save_raw": request.run.save_raw, "pictures": request.run.pictures}
    options |= {name: value for name, value in _values(request.answers).items() if value is not None}
    described = _described(request, model, loaded, options, choices, started, model.labels)
    described["images"] = {"count": images}
    scoring = model.scoring
    described["model"] |= {"activation": scoring.activation, "scores": scoring.explained or None}
    if scoring.words:
        described["identity"]["scores"] = scoring.words
    described["identity"]["asked for"] = ", ".join(sorted(NAMED & request.asked)) or "nothing"
    if request.run.shard is not None:
        described["shard"] = described["identity"]["shard"] = request.run.shard
    if getattr(method, "together", False):  # one picture of all layers, not one of each
        described["identity"]["layer"] = f"left out: {described['identity']['layer']}"
    if method.seeded:
        described["identity"]["seed"] = str(model.seed)
    described["identity"]["images"] = _fingerprinted(sources)
    return dict(plain(described))


def describe_model(
    request: ModelRequest,
    model: Model,
    loaded: Loaded,
    inspection: ModelCommand,
    choices: Iterable[Choice],
    started: float,
) -> dict[str, Any]:
    """The same for a run without pictures; of classes what is known without running the model."""
    options = {**_values(inspection), **_values(request.render), "save_raw": request.output.save_raw}
    labels = model.own_labels or ()
    described = _described(request, model, loaded, options, choices, started, labels)
    if inspection.seeded:
        described["identity"]["seed"] = str(model.seed)
    return dict(plain(described))


def describe_check(
    request: CheckRequest,
    model: Model,
    loaded: Loaded,
    taken: Iterable[Chosen],
    choices: Iterable[Choice],
    sources: Sequence[ImagePath],
    started: float,
) -> dict[str, Any]:
    """The same for a model's checks."""
    limits = {one.id: {"level": one.level, **one.limits} for one in taken}
    labels = model.own_labels or ()
    described = _described(request, model, loaded, limits, choices, started, labels)
    if sources:
        described["images"] = {"count": len(sources)}
        described["identity"]["images"] = _fingerprinted(sources)
    return dict(plain(described))


def _described(
    request: Request | ModelRequest | CheckRequest,
    model: Model,
    loaded: Loaded,
    options: Mapping[str, Any],
    choices: Iterable[Choice],
    started: float,
    labels: Sequence[str],
) -> dict[str, Any]:
    preprocess = {name: one for name, one in asdict(model.preprocess).items() if one is not None}
    options = {**options, "precision": model.precision}
    options |= {} if model.activation == "auto" else {"activation": model.activation}
    options |= {} if model.output is None else {"model_output": model.output}
    return {
        "cnnexplain": __version__,
        "status": "running",
        "command": request.command,
        "arguments": request.arguments,
        "model": {
            "reference": loaded.reference,
            "name": loaded.name,
            "source": loaded.source,
            "weights_sha256": model.weights_sha256,
            "parameters": model.parameters,
            "classes": len(labels) or None,
            "preprocess": preprocess,
            "device": str(model.device),
            "precision": model.precision,
        },
        "options": options,
        "choices": [choice.record() for choice in choices],
        "started": f"{datetime.fromtimestamp(started, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "seed": request.model.seed,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "identity": {
            "command": request.command,
            "model": loaded.name,
            "weights": model.weights_sha256[:16],
            "preprocessing": json.dumps(preprocess),
            "labels": hashlib.sha256("\0".join(labels).encode("utf-8", "surrogatepass")).hexdigest()[:16],
            **{name.replace("_", "-"): _in_words(value) for name, value in options.items()},
        },
    }


def chosen_since(model: Model, described: dict[str, Any]) -> list[Choice]:
    """What looks at the model settled since it was `described`, where it is noted as well."""
    noted = described["choices"]
    since = [choice for choice in model.choices if choice.record() not in noted]
    noted += [choice.record() for choice in since]
    return since


def concluded(
    described: Mapping[str, Any], status: str, seconds: float, *, killed: bool = False
) -> dict[str, Any]:
    """The same with how it went. `killed`: one of its processes was, and nobody knows yet by what."""
    more = {"killed": True} if killed else {}
    return {**described, "status": status, "seconds": round(seconds, 3), **more}


def _fingerprinted(sources: Sequence[ImagePath]) -> str:
    listed = hashlib.sha256(b"\0".join(os.fsencode(source.path) for source in sources)).hexdigest()
    return f"{_some(sources)} (fingerprint {listed[:8]})"


def _some(sources: Sequence[ImagePath]) -> str:
    """Enough to tell one choice of pictures from another."""
    first, last = (os.path.basename(sources[end].path) for end in (0, -1))
    return first if len(sources) == 1 else f"{len(sources)} from {first} to {last}"


def _in_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _values(options: Any) -> dict[str, Any]:
    return {one.name: getattr(options, one.name) for one in declared(type(options))}
