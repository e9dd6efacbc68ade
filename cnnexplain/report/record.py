"""One picture's findings as plain data: a line of results.jsonl. The schema is docs/record.schema.json."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.core.explanation import Explanation, Heatmap, Prediction
from cnnexplain.errors import CnnexplainError, ImageError, first_line

SCHEMA = 1
DIGITS = 6  # significant ones, about what float32 holds

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def explained(
    explanation: Explanation, command: str, model: str, files: Sequence[tuple[str, str | None]]
) -> dict[str, Any]:
    """The record of a picture that was explained.

    `files` has, for every heat map, the paths of its picture and of its raw map (or None), relative to OUT,
    with forward slashes. Raises `ImageError` when the model answered with something that is not a number.
    """
    return {
        **_start(explanation.image, "ok", command, model),
        "size": list(explanation.geometry.picture_size),
        "predictions": [_prediction(one) for one in explanation.predictions],
        "explanations": [
            _heatmap(heatmap, picture, raw)
            for heatmap, (picture, raw) in zip(explanation.heatmaps, files, strict=True)
        ],
    }


def failed(image: str, error: Exception, command: str, model: str) -> dict[str, Any]:
    """The record of a picture that could not be explained; its lists are empty and its size is null."""
    what: dict[str, Any] = {"type": type(error).__name__}
    if isinstance(error, CnnexplainError):
        what |= {"message": readable(error.problem), "hint": readable(error.hint)}
    else:
        what["message"] = readable(first_line(error))
    start = _start(image, "error", command, model)
    return {**start, "error": what, "size": None, "predictions": [], "explanations": []}


def line(record: Mapping[str, Any]) -> str:
    """The record as JSON that every parser reads: one line, ASCII, never NaN, without the line's end."""
    return json.dumps(plain(record), allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as it reads back from JSON: lists for tuples, and every text inside made `readable`."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {readable(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def readable(text: str) -> str:
    r"""`text` as real Unicode: a byte of a file name that is not UTF-8 becomes \xNN, as a shell shows it."""
    return _LONE_SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _start(image: str, status: str, command: str, model: str) -> dict[str, Any]:
    names = {"image": readable(image), "status": status, "command": command, "model": readable(model)}
    return {"schema": SCHEMA, **names}


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "index": int(prediction.index),
        "label": readable(prediction.label),
        "probability": _number(prediction.probability, "a probability"),
        "logit": _number(prediction.logit, "a logit"),
    }


def _heatmap(heatmap: Heatmap, picture: str, raw: str | None) -> dict[str, Any]:
    record = {
        "method": heatmap.method,
        "layer": readable(heatmap.layer),
        "target": _prediction(heatmap.target),
        "shape": list(heatmap.values.shape),
        "min": _number(heatmap.min, f"{heatmap.method}'s smallest value"),
        "max": _number(heatmap.max, f"{heatmap.method}'s largest value"),
        "peak": heatmap.peak and list(heatmap.peak),
        "picture": picture,
    }
    if not heatmap.of_class:
        record["of_class"] = False
    return record if raw is None else {**record, "raw": raw}


def _number(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise ImageError(
            f"{what} is {value}, not a finite number",
            "look for broken weights, or try --precision fp32",
        )
    return float(f"{value:.{DIGITS}g}")
