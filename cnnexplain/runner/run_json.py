"""What was run: the content of run.json."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from cnnexplain import __version__
from cnnexplain.core.choice import Choice
from cnnexplain.core.params import declared
from cnnexplain.core.records import plain
from cnnexplain.engine.model import Model
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.task import LoadedTask

PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")


def describe(
    task: LoadedTask,
    options: Mapping[str, Any],
    labels: Sequence[str],
    identity: Mapping[str, str] | None = None,
    *,
    seeded: bool = False,
    sources: Sequence[ImagePath] = (),
) -> dict[str, Any]:
    """The content of run.json, as far as it is known before the first record.

    Args:
        task: What is to be carried out, with which model.
        options: The command's options, with every default settled.
        labels: The classes that are known; none where only a run of the model would tell.
        identity: What must be the same beside options, model and images for a run to be continued.
        seeded: Whether results depend on the seed, which then is part of the identity.
        sources: The images of the whole run.
    """
    request, model, loaded = task.request, task.model, task.loaded
    preprocess = {name: value for name, value in asdict(model.preprocess).items() if value is not None}
    options = {**options, "precision": model.precision}
    options |= {} if model.activation == "auto" else {"activation": model.activation}
    options |= {} if model.output is None else {"model_output": model.output}
    described = {
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
        "choices": [choice.record() for choice in task.choices],
        "started": f"{datetime.fromtimestamp(task.started, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
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
            **{name.replace("_", "-"): in_words(value) for name, value in options.items()},
            **(identity or {}),
            **({"seed": str(model.seed)} if seeded else {}),
            **({"images": _fingerprinted(sources)} if sources else {}),
        },
    }
    return dict(plain(described))


def note_choices(model: Model, described: dict[str, Any]) -> list[Choice]:
    """What was settled since the model was `described`, by looks at it. It is noted there as well."""
    since = [choice for choice in model.choices if choice.record() not in described["choices"]]
    described["choices"] += [choice.record() for choice in since]
    return since


def _fingerprinted(sources: Sequence[ImagePath]) -> str:
    listed = hashlib.sha256(b"\0".join(os.fsencode(source.path) for source in sources)).hexdigest()
    return f"{_some(sources)} (fingerprint {listed[:8]})"


def _some(sources: Sequence[ImagePath]) -> str:
    """Enough to tell one choice of pictures from another."""
    first, last = (os.path.basename(sources[end].path) for end in (0, -1))
    return first if len(sources) == 1 else f"{len(sources)} from {first} to {last}"


def in_words(value: Any) -> str:
    """An option's value as the identity of a run has it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def values(options: Any) -> dict[str, Any]:
    """The values of declared options, by name."""
    return {option.name: getattr(options, option.name) for option in declared(type(options))}
