"""Which class is explained: what a user types, and what it means for a batch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.errors import TargetError, near_misses

if TYPE_CHECKING:
    from torch import Tensor

SHOWN_CANDIDATES = 8


@dataclass(frozen=True)
class TargetSpec:
    """The `top` best classes of each picture, one class `index` for all, or those likelier than `above`."""

    top: int = 1
    index: int | None = None
    above: float | None = None

    @property
    def words(self) -> str:
        """How it is written, the same for every spelling of the same class; `settled` reads it."""
        if self.index is not None:
            return str(self.index)
        if self.above is not None:
            return f"above:{self.above:g}"
        return "top" if self.top == 1 else f"top{self.top}"


@dataclass(frozen=True, eq=False)
class Target:
    """One class per picture of a batch, and its score, still attached to the graph."""

    index: Tensor  # (N,) int64; -1 where a picture has no class of this rank
    score: Tensor  # (N,) float32


def parse_target(text: str, labels: Sequence[str]) -> TargetSpec:
    """Read `top`, `top3`, `above:0.5`, a label, an index, or a part of exactly one label.

    `labels` has one name per class. A class that is called 7 is meant by that, and not the one with the index 7.
    Raises `TargetError` for a class that is not there or not unique.
    """
    text = text.strip()
    if match := re.fullmatch(r"top([1-9]\d{0,5})?", text, re.IGNORECASE):
        return TargetSpec(top=min(int(match[1] or 1), len(labels)))
    if match := re.fullmatch(r"above:(.*)", text, re.IGNORECASE | re.DOTALL):
        return TargetSpec(above=_checked_share(match[1]))
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        exact = _exact(text, labels)
        index = int(text)
        if len(exact) == 1:
            return TargetSpec(index=exact[0])
        if not exact or index in exact:
            return TargetSpec(index=_checked_index(index, len(labels)))
    found = matching(text, labels)
    if len(found) == 1:
        return TargetSpec(index=found[0])
    if found:
        shown = ", ".join(f"{index} {labels[index]!r}" for index in found[:SHOWN_CANDIDATES])
        more = f" and {len(found) - SHOWN_CANDIDATES} more" if len(found) > SHOWN_CANDIDATES else ""
        raise TargetError(
            f"--target {text!r} fits {len(found)} classes: {shown}{more}",
            f"give more of the name or the index: --target {found[0]}",
        )
    near = near_misses(text, [part.strip() for label in labels for part in (label, *label.split(","))])
    raise TargetError(
        f"there is no class called {text!r} among {len(labels)}",
        f"did you mean {' or '.join(repr(name) for name in near)}?"
        if near
        else f"give an index from 0 to {len(labels) - 1}, or --labels FILE to name the classes",
    )


def settled(words: str) -> TargetSpec:
    """Read what `TargetSpec.words` wrote: a number is an index, whatever classes are called."""
    if words.startswith("above:"):
        return TargetSpec(above=float(words.removeprefix("above:")))
    if words.startswith("top"):
        return TargetSpec(top=int(words.removeprefix("top") or 1))
    return TargetSpec(index=int(words))


def _exact(text: str, labels: Sequence[str]) -> list[int]:
    """The classes that are called so and not otherwise."""
    wanted = text.casefold()
    return [index for index, label in enumerate(labels) if label.strip().casefold() == wanted]


def _checked_share(text: str) -> float:
    if re.fullmatch(r"(0(\.\d{1,9})?|\.\d{1,9})", text.strip()):
        return float(text)
    raise TargetError(
        f"--target {'above:' + text.strip()[:40]!r} asks for what is no probability",
        "give a number from 0 up to, but not including, 1: --target above:0.5",
    )


def _checked_index(index: int, classes: int) -> int:
    if not 0 <= index < classes:
        raise TargetError(
            f"--target {index} is not a class of this model, which has {classes}",
            f"give an index from 0 to {classes - 1}",
        )
    return index


def matching(text: str, labels: Sequence[str]) -> list[int]:
    """Classes that the text names, by the strictest reading that finds any: name, synonym, word, part."""
    wanted = text.casefold()
    folded = [label.casefold() for label in labels]
    word = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
    readings = (
        lambda label: label == wanted,
        lambda label: wanted in [part.strip() for part in label.split(",")],
        lambda label: word.search(label) is not None,
        lambda label: wanted in label,
    )
    for reading in readings:
        if found := [index for index, label in enumerate(folded) if wanted and reading(label)]:
            return found
    return []
