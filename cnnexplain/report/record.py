"""One picture's findings as plain data: a line of results.jsonl. The schema is docs/record.schema.json."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from cnnexplain.core.explanation import Detail, Explanation, Heatmap, Prediction, Reconstruction
from cnnexplain.core.feature_maps import FeatureMaps
from cnnexplain.core.inspection import Finding as ModelFinding
from cnnexplain.core.kinds import kind_of
from cnnexplain.core.words import capped
from cnnexplain.errors import CnnexplainError, ImageError, first_line, shortage_behind

SCHEMA = 1
LONGEST = 4096  # letters of a text; a path has no more
DIGITS = 6  # significant ones, about what float32 holds

Finding = Heatmap | Reconstruction | FeatureMaps
Files = Mapping[Finding, tuple[str | None, str | None]]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def explained(
    explanation: Explanation, command: str, model: str, files: Files, overview: str | None = None
) -> dict[str, Any]:
    """The record of a picture that was explained.

    `files` has, for every finding, the paths of its picture and of its raw values, each or None, relative to OUT,
    with forward slashes; findings may share them. `overview` is the path of the picture of several layers.
    Raises `ImageError` when the model answered with something that is not a number.
    """
    if files.keys() != {
        *explanation.heatmaps,
        *explanation.reconstructions,
        *explanation.feature_maps,
    }:
        raise ValueError("every finding needs its files, and there are no others")
    record = {
        **_start(explanation.image, "ok", command, model),
        "size": list(explanation.geometry.picture_size),
        "activation": explanation.activation,
        **({"scores": explanation.explained} if explanation.explained else {}),
        "predictions": [_prediction(one) for one in explanation.predictions],
        "explanations": [
            *(_heatmap(one, *files[one]) for one in explanation.heatmaps),
            *(_reconstruction(one, *files[one]) for one in explanation.reconstructions),
            *(_feature_maps(one, command, *files[one]) for one in explanation.feature_maps),
        ],
    }
    if explanation.notes:
        record["notes"] = [readable(one) for one in explanation.notes]
    return record if overview is None else {**record, "overview": overview}


def entry(finding: ModelFinding, command: str, picture: str | None, raw: str | None) -> dict[str, Any]:
    """What was found in a model, as one of its record's explanations; `picture` and `raw` as for `explained`."""
    record = {
        "method": command,
        "layer": readable(capped(finding.layer)),
        "target": None,
        "title": readable(finding.title),
        "shape": list(finding.shape),
        "min": finding.min if finding.min is None else _number(finding.min, f"the least of {finding.layer}"),
        "max": finding.max if finding.max is None else _number(finding.max, f"the most of {finding.layer}"),
        "peak": None,
        "picture": picture,
    }
    return _detailed(record, raw, finding.detail)


def inspected(
    command: str, model: str, entries: Sequence[Mapping[str, Any]], whole: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a model that was looked into, without a picture; `whole` is what is known beside its layers."""
    found = {"size": None, "predictions": [], "explanations": list(entries)}
    return {**_start("", "ok", command, model), "image": None, **found, **plain(whole or {})}


def failed(image: str, error: Exception, command: str, model: str) -> dict[str, Any]:
    """The record of a picture that could not be explained; its lists are empty and its size is null."""
    what: dict[str, Any] = {"type": type(error).__name__}
    error = shortage_behind(error) or error
    if isinstance(error, CnnexplainError):
        what |= {"message": readable(error.problem), "hint": readable(error.hint)}
    else:
        what["message"] = readable(first_line(error))
    start = _start(image, "error", command, model)
    return {**start, "error": what, "size": None, "predictions": [], "explanations": []}


def silent_in_all(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The channels that fired in none of the pictures, by layer: `channels`, `count` of the layer, `images`.

    Only of layers that were looked at in several pictures, and that have such channels.
    """
    silent: dict[str, set[int]] = {}
    counts: dict[str, int] = {}
    images: Counter[str] = Counter()
    for record in records:
        for one in record["explanations"]:
            if kind_of(one) == "channels":
                layer, channels = one["layer"], one["channels"]
                silent[layer] = silent.get(layer, {*channels["silent"]}).intersection(channels["silent"])
                counts[layer] = channels["count"]
                images[layer] += 1
    return {
        layer: {"channels": sorted(found), "count": counts[layer], "images": images[layer]}
        for layer, found in silent.items()
        if found and images[layer] > 1
    }


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
    r"""`text` as real Unicode: a byte of a file name that is not UTF-8 becomes \xNN, as a shell shows it.

    Of a text that is longer than any path its beginning, and a fingerprint.
    """
    return capped(_LONE_SURROGATE.sub(_escaped, text), LONGEST)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _start(image: str, status: str, command: str, model: str) -> dict[str, Any]:
    names = {"image": readable(image), "status": status, "command": command, "model": readable(model)}
    return {"schema": SCHEMA, **names}


def _prediction(prediction: Prediction) -> dict[str, Any]:
    chance = prediction.probability
    return {
        "index": int(prediction.index),
        "label": readable(prediction.label),
        "probability": None if chance is None else _number(chance, "a probability"),
        "logit": _number(prediction.logit, "a logit"),
    }


def _heatmap(heatmap: Heatmap, picture: str | None, raw: str | None) -> dict[str, Any]:
    record = {
        "method": heatmap.method,
        "layer": readable(capped(heatmap.layer)),
        "target": _prediction(heatmap.target),
        "scale": heatmap.scale,
        "shape": list(heatmap.values.shape),
        "min": _number(heatmap.min, f"{heatmap.method}'s smallest value"),
        "max": _number(heatmap.max, f"{heatmap.method}'s largest value"),
        "peak": heatmap.peak and list(heatmap.peak),
        "picture": picture,
    }
    if not heatmap.of_class:
        record["of_class"] = False
    return _detailed(record, raw, heatmap.detail)


def _reconstruction(found: Reconstruction, picture: str | None, raw: str | None) -> dict[str, Any]:
    unit = {
        "channel": int(found.channel),
        "cell": found.cell and [int(place) for place in found.cell],
        "at": found.place and list(found.place),
        "activation": _number(found.activation, f"the activation of channel {found.channel}"),
        "sees": _pixels(found),
    }
    record = {
        "method": found.rule,
        "layer": readable(capped(found.layer)),
        "target": None,
        "unit": unit,
        "shape": list(found.values.shape[1:]),
        "min": _number(found.min, f"{found.rule}'s smallest value"),
        "max": _number(found.max, f"{found.rule}'s largest value"),
        "peak": found.peak and list(found.peak),
        "picture": picture,
    }
    return _detailed(record, raw, found.detail)


def _feature_maps(found: FeatureMaps, command: str, picture: str | None, raw: str | None) -> dict[str, Any]:
    channels = {
        "count": found.count,
        "mean": _number(found.mean, f"the mean of {found.layer}"),
        "sparsity": _number(found.sparsity, f"the sparsity of {found.layer}"),
        "silent": list(found.silent),
        "shown": [_channel(found, channel) for channel in (found.channels[place] for place in found.drawn)],
    }
    record = {
        "method": command,
        "layer": readable(capped(found.layer)),
        "target": None,
        "channels": channels,
        "shape": list(found.size or (1, 1)),
        "min": _number(found.min, f"{found.layer}'s smallest value"),
        "max": _number(found.max, f"{found.layer}'s largest value"),
        "peak": found.peak and list(found.peak),
        "picture": picture,
    }
    return _detailed(record, raw, found.detail)


def _channel(found: FeatureMaps, channel: int) -> dict[str, Any]:
    place = found.place(channel)
    record: dict[str, Any] = {
        "channel": channel,
        "activation": _number(float(found.statistics.max[channel]), f"the activation of channel {channel}"),
        "strength": _number(float(found.statistics.strength[channel]), f"the strength of channel {channel}"),
        "at": place and list(place),
    }
    return {**record, "label": readable(found.labels[channel])} if found.labels else record


def _pixels(found: Reconstruction) -> list[int]:
    """The box that a unit sees in whole pixels of the picture, none of them left out."""
    width, height = found.geometry.picture_size
    left, top, right, bottom = (round(edge, 6) for edge in found.box)  # 32.0000000001 is 32
    return [
        min(max(place, 0), end)
        for place, end in (
            (math.floor(left), width),
            (math.floor(top), height),
            (math.ceil(right), width),
            (math.ceil(bottom), height),
        )
    ]


def _detailed(record: dict[str, Any], raw: str | None, detail: Detail) -> dict[str, Any]:
    if raw is not None:
        record["raw"] = raw
    if detail.remarks:
        record["remarks"] = [readable(one) for one in detail.remarks]
    if taken := record.keys() & detail.facts.keys():
        raise ValueError(f"a fact must not be called {', '.join(sorted(taken))}")
    return {**record, **{readable(name): _fact(value, name) for name, value in detail.facts.items()}}


def _fact(value: Any, what: str) -> Any:
    """What JSON can hold, NumPy's numbers made Python's own."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {readable(key): _fact(one, f"{what} {key}") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fact(one, what) for one in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _number(float(value), what)
    raise TypeError(f"{what} cannot be recorded: it is a {type(value).__name__}")


def _number(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise ImageError(
            f"{what} is {value}, not a finite number",
            "look for broken weights, or try --precision fp32",
        )
    return float(f"{value:.{DIGITS}g}")
