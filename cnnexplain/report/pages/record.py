"""The record of a picture or of a model: a line of results.jsonl. The schema is docs/record.schema.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.records import plain, readable
from cnnexplain.core.results import entry
from cnnexplain.errors import CnnexplainError, first_line, shortage_behind

SCHEMA = 1

Files = tuple[str | None, str | None]  # the paths of a result's picture and of its raw values, below OUT


def explained(
    explanation: Explanation,
    command: str,
    model: str,
    files: Sequence[Files],
    others: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a picture that was explained.

    `files` are those of every result in their order, each or None, relative to OUT, with forward slashes; results may
    share them. `others` by their keys: `overview` is the path of the picture of several layers, `numbers` that of the
    values of maps, `drawings` those of pictures with real text, `words` the lines on each picture by its path; None
    where there are none.
    Raises `ImageError` when the model answered with something that is not a number.
    """
    record = {
        **_start(explanation.image, "ok", command, model),
        "size": list(explanation.geometry.picture_size),
        "activation": explanation.activation,
        **({"scores": explanation.explained} if explanation.explained else {}),
        "predictions": [prediction.record() for prediction in explanation.predictions],
        "explanations": [
            entry(result, *paths) for result, paths in zip(explanation.results, files, strict=True)
        ],
    }
    if explanation.notes:
        record["notes"] = [readable(note) for note in explanation.notes]
    return record | {name: path for name, path in (others or {}).items() if path is not None}


def inspected(
    command: str, model: str, entries: Sequence[Mapping[str, Any]], of_model: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a model that was looked into, without a picture; `of_model` has the fields of no single layer."""
    fields = {"size": None, "predictions": [], "explanations": list(entries)}
    return {**_start("", "ok", command, model), "image": None, **fields, **plain(of_model or {})}


def failed(image: str, error: Exception, command: str, model: str) -> dict[str, Any]:
    """The record of a picture that could not be explained; its lists are empty and its size is null."""
    description: dict[str, Any] = {"type": type(error).__name__}
    error = shortage_behind(error) or error
    if isinstance(error, CnnexplainError):
        description |= {"message": readable(error.problem), "hint": readable(error.hint)}
    else:
        description["message"] = readable(first_line(error))
    start = _start(image, "error", command, model)
    return {**start, "error": description, "size": None, "predictions": [], "explanations": []}


def _start(image: str, status: str, command: str, model: str) -> dict[str, Any]:
    names = {"image": readable(image), "status": status, "command": command, "model": readable(model)}
    return {"schema": SCHEMA, **names}
