"""A record as plain data: what JSON holds, what of it is listed, and which kind of result an entry is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from cnnexplain.core.words import capped
from cnnexplain.errors import ImageError

LISTED = ("wrong", "right", "errors")  # which images --only draws and lists
LONGEST = 4096  # letters of a text; a path has no more
SURROGATE = "\\ud"  # how JSON begins half of a letter, and a letter that has two halves
DIGITS = 6  # significant ones, about what float32 holds

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def kind_of(entry: Mapping[str, Any]) -> str:
    """The kind of an entry of `explanations`. Records of version 0.1 and before have none: it is told by their keys."""
    kind = entry.get("kind")
    if isinstance(kind, str):
        return kind
    for key, meaning in (("title", "kernels"), ("unit", "unit"), ("channels", "channels")):
        if key in entry:
            return meaning
    return "map"


def class_of(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The class that an entry explains; None where it explains none, or something else that no kind here has."""
    target = entry.get("target")
    return target if isinstance(target, Mapping) and target.keys() >= {"index", "label"} else None


def is_misplaced(entry: Mapping[str, Any]) -> bool:
    """Whether it is not known where on the image a recorded map lies; then it has no peak."""
    laid = entry.get("laid")
    return isinstance(laid, Mapping) and laid.get("back") is False


def is_listed(record: Mapping[str, Any], only: str | None) -> bool:
    """Whether `only`, one of wrong, right and errors, leaves a record in. Errors are always listed."""
    if only is None or record["status"] == "error":
        return True
    return "right" in record and only == ("right" if record["right"] else "wrong")


def line(record: Mapping[str, Any]) -> str:
    """The record as JSON that every parser reads: one line, ASCII, never NaN, without the line's end."""
    text = json.dumps(record, allow_nan=False, default=dict)
    if len(text) <= LONGEST and SURROGATE not in text:  # then every text inside is readable
        return text
    return json.dumps(plain(record), allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as it reads back from JSON: lists for tuples, and every text inside made `readable`."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {readable(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def readable(text: str) -> str:
    r"""`text` as real Unicode: a byte of a file name that is not UTF-8 becomes \xNN, as a shell shows it.

    Of a text that is longer than any path its beginning, and a fingerprint.
    """
    if text.isascii() and len(text) <= LONGEST:
        return text
    return capped(_LONE_SURROGATE.sub(_escaped, text), LONGEST)


def layer_name(layer: str) -> str:
    """The name of a layer as records have it."""
    return readable(capped(layer))


def number(value: float, meaning: str) -> float:
    """`value` to `DIGITS` significant digits. Raises `ImageError` where it is not finite; `meaning` says what it is."""
    if not math.isfinite(value):
        raise ImageError(
            f"{meaning} is {value}, not a finite number",
            "look for broken weights, or try --precision fp32",
        )
    return float(f"{value:.{DIGITS}g}")


def fact(value: Any, meaning: str) -> Any:
    """`value` as JSON can hold it, NumPy's numbers made Python's own. Raises `TypeError` where it cannot be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, Mapping):
        return {readable(key): fact(item, f"{meaning} {key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fact(item, meaning) for item in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return number(float(value), meaning)
    raise TypeError(f"{meaning} cannot be recorded: it is a {type(value).__name__}")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
