"""What the entries of a record are, told by their keys, so that all who read one tell them apart alike."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Literal

LISTED = ("wrong", "right", "errors")  # which images --only draws and lists

Kind = Literal["map", "unit", "channels", "finding"]


def kind_of(found: Container[str]) -> Kind:
    """What an entry of `explanations` is: a map, what one unit saw, a layer's channels, or a finding in a model."""
    if "title" in found:
        return "finding"
    if "unit" in found:
        return "unit"
    return "channels" if "channels" in found else "map"


def is_misplaced(found: Mapping[str, Any]) -> bool:
    """Whether it is not known where on the picture a recorded map lies; then it has no peak."""
    laid = found.get("laid")
    return isinstance(laid, Mapping) and laid.get("back") is False


def is_listed(record: Mapping[str, Any], only: str | None) -> bool:
    """Whether `only`, one of wrong, right and errors, leaves a record in. Errors are always listed."""
    if only is None or record["status"] == "error":
        return True
    return "right" in record and only == ("right" if record["right"] else "wrong")
