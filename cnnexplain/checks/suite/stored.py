"""What is stored of a run, and what a later one is held against: fingerprints, and an answer a picture."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from importlib import metadata

from cnnexplain import __version__
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.baseline import StoredImage, StoredRun
from cnnexplain.core.verdict import Skipped
from cnnexplain.errors import LayerError

BEST = 5  # classes that are stored of each picture
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow")


def baseline(subject: Subject) -> StoredRun:
    """What is to be stored, in `borrowed()`. Raises `Skipped` or `ModelError` where something is not finite."""
    chances = subject.chances
    maps = subject.maps if map_layer(subject) else None
    if maps is not None and not bool(maps.isfinite().all()):
        raise Skipped("its maps are not finite")
    answers = {}
    for place, example in enumerate(subject.examples):
        best = chances[place].topk(min(BEST, chances.shape[1]))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        values = None if maps is None else maps[place].numpy()
        answers[example.key] = StoredImage(example.sha256, tuple(pairs), values)
    return StoredRun(made_of(subject), versions(subject), answers)


def made_of(subject: Subject) -> dict[str, str]:
    """The fingerprints of all that an answer depends on, but the pictures."""
    model = subject.model
    labels = "\0".join(model.labels).encode("utf-8", "surrogatepass")
    return {
        "model": ", ".join(filter(None, (model.name, model.scoring.words))),
        "layer": map_layer(subject),
        "classes": f"{len(model.labels)} classes, SHA-256 {hashlib.sha256(labels).hexdigest()}",
        "weights": model.weights_sha256,
        "preprocessing": json.dumps(asdict(model.preprocess), sort_keys=True),
    }


def versions(subject: Subject) -> dict[str, str]:
    """What computes the answers: they may differ by rounding from one to the next."""
    return {
        "cnnexplain": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "precision": subject.model.precision,
        "device": subject.model.device.type,
    }


def map_layer(subject: Subject) -> str:
    """The layer whose maps are explained; nothing where the model has none, or no gradient to explain it by."""
    try:
        layer = subject.map_layer
    except LayerError:
        return ""
    return layer if subject.model.trace.differentiable else ""
