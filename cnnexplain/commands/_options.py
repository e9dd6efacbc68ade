"""Options that several methods share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from cnnexplain.core.choice import Choice
from cnnexplain.core.params import Param
from cnnexplain.core.target import TargetSpec, parse_target
from cnnexplain.core.words import named
from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

TargetOption = Annotated[
    str,
    Param(
        "Class to explain: top, top3, above:0.5 for all that are likelier, a label, an index, or a part of a label.",
        ("-t", "--target"),
        "CLASS",
    ),
]
VerdictOption = Annotated[
    bool,
    Param(
        "Say of every map whether to believe it: does the score fall more without what it marks than without random "
        "parts or edges, and does the map change when the classifier is randomised?",
    ),
]


def share_of(text: str, flag: str) -> float:
    """A share that a user gave, as 5% or 0.05: above 0, at most 1.

    Raises:
        OptionError: It is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if 0 < share <= 1:
        return share
    larger = match and not match[2] and 1 < share <= 100
    raise OptionError(
        f"{flag} {text!r} is not a share above 0 and up to 100%",
        f"did you mean {flag} {match[1]}%?" if match and larger else f"for example {flag} 5%",
    )


def settled_target(model: Model, text: str) -> tuple[TargetSpec, tuple[Choice, ...]]:
    """The class that a user named, and what to say where it was found by a name; or the function that is asked for."""
    if model.function is not None:
        return TargetSpec(), (Choice("target", model.function.name, "a function of what the model returns"),)
    target = parse_target(text, model.labels)
    if target.above is not None and model.scoring.activation == "none":
        raise OptionError(
            f"--target {target.words} asks for probabilities, and there are none with --activation none",
            "give --target top3, or leave --activation out",
        )
    if target.index is None or target.index == _as_index(text):
        return target, ()
    label, reason = model.labels[target.index], f"what {text!r} names"
    if (other := _as_index(text)) is not None and other < len(model.labels):
        reason += f"; class {other} is {model.labels[other]!r}"
    return target, (Choice("target", named(target.index, label), reason),)


def _as_index(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() and len(text) < 19 else None
