"""Options that several methods share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cnnexplain.core.choice import Choice
from cnnexplain.core.params import Param
from cnnexplain.core.target import TargetSpec, parse_target

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

TargetOption = Annotated[
    str,
    Param("Class to explain: top, top3, an index, a label or a part of one.", ("-t", "--target"), "CLASS"),
]


def settled_target(model: Model, text: str) -> tuple[TargetSpec, tuple[Choice, ...]]:
    """The class that a user named, and what to say where it was found by a name."""
    target = parse_target(text, model.labels)
    if target.index is None or str(target.index) == text:
        return target, ()
    return target, (Choice("target", f"{target.index} {model.labels[target.index]}", f"what {text!r} names"),)
