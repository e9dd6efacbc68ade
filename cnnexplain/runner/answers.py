"""What the pictures of a run should be: classes named by folders, the expected class of each, how many are right."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import Loaded
from cnnexplain.core.records import is_listed
from cnnexplain.core.words import listed, printable
from cnnexplain.engine.model import Model
from cnnexplain.engine.trace.tracing import renamed
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.checking.labels import expected, written_labels
from cnnexplain.runner.model import build
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Request

SHOWN = 4  # names of classes in a sentence


def build_for(request: Request[Any]) -> tuple[Model, Loaded, tuple[Choice, ...]]:
    """The model of a run, whose classes may have the names of folders; and what was chosen on the way."""
    names = class_folders(request.images, request.run.output)  # before a user's code may leave this folder
    model, loaded, choices = build(request.reference, request.model, request.where)
    model, named = named_by_folders(model, names, request.images)
    return model, loaded, (*choices, *named)


def named_by_folders(
    model: Model, names: tuple[str, ...], images: Sequence[str]
) -> tuple[Model, tuple[Choice, ...]]:
    """The model with the names of the folders in `images` for its classes, where nobody named these and they fit.

    That is how torchvision's `ImageFolder`, and whoever trains with it, numbers classes: the sorted names of the
    folders directly within the given one. They fit where there are as many as classes.
    """
    if model.own_labels is not None or len(names) < 2 or len(names) != len(model.labels):
        return model, ()
    names = tuple(map(printable, names))  # as `expected` reads those of the pictures' folders, too
    shown = [*names[:SHOWN], f"{len(names) - SHOWN} more"] if len(names) > SHOWN + 1 else names
    reason = f"the sorted names of the folders in {images[0]}, as many as there are classes"
    return renamed(model, names), (Choice("labels", listed(shown), reason),)


def class_folders(images: Sequence[str], results: Path | None) -> tuple[str, ...]:
    """The sorted names of the folders directly within each of the given ones, where all hold the same; else none."""
    out = None if results is None else results.resolve()
    folders_within: set[tuple[str, ...]] = set()
    for folder in images:
        try:
            with os.scandir(folder) as entries:
                names = sorted(
                    one.name for one in entries if one.is_dir() and Path(one.path).resolve() != out
                )
        except (OSError, ValueError):  # a picture, a glob, a list
            return ()
        folders_within.add(tuple(names))
    return folders_within.pop() if len(folders_within) == 1 else ()


class ExpectedClasses:
    """The class that each picture of a run should be, and how many of those that were explained are."""

    def __init__(self, request: Request[Any], sources: Sequence[ImagePath]) -> None:
        """Read what was written of the pictures; needs no model. Raises `CheckInputError` where one has no label."""
        self._options, self._part = request.answers, request.run.part()
        self._classes = array("q")  # one for each source
        self._chance = 0.0
        self._right = self._labelled = 0
        wanted = self._options.labels_from
        self._written = {} if wanted is None else written_labels(wanted, sources)

    def settled(self, model: Model, sources: Sequence[ImagePath], jobs: list[Job]) -> list[Job]:
        """The jobs of this part of the run, each knowing which class of the model its picture should be.

        From here on eight bytes of each picture are kept. Raises `CheckInputError` where a label is no class.
        """
        self._chance = 1 / len(model.labels)
        if self._options.labels_from is None:
            return jobs
        known = expected(self._written, model)
        self._classes.extend(known[one.path] for one in sources)
        self._written = {}
        part, parts = self._part
        classes = self._classes[part - 1 :: parts]
        return [replace(job, expected=one) for job, one in zip(jobs, classes, strict=True)]

    @property
    def identity(self) -> dict[str, str]:
        """What tells two assignments of classes to the same pictures apart."""
        if not self._classes:
            return {}
        digest = hashlib.sha256(self._classes.tobytes()).hexdigest()[:8]
        return {"labels-from": f"{self._options.labels_from} (fingerprint {digest})"}

    def take(self, record: Mapping[str, Any]) -> bool:
        """Count one record, and say whether it is one of those that are listed."""
        if "right" in record:
            self._labelled += 1
            self._right += bool(record["right"])
        return is_listed(record, self._options.only)

    @property
    def counted(self) -> dict[str, float]:
        """How many are `right` of those `labelled`, which share would be by `chance`; nothing where none are."""
        if not self._labelled:
            return {}
        return {"right": self._right, "labelled": self._labelled, "chance": round(self._chance, 6)}
