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
    """Either the `top` best classes of each picture, or one class `index` for all."""

    top: int = 1
    index: int | None = None

    @property
    def words(self) -> str:
        """How it is written, the same for every spelling of the same class."""
        if self.index is not None:
            return str(self.index)
        return "top" if self.top == 1 else f"top{self.top}"


@dataclass(frozen=True, eq=False)
class Target:
    """One class per picture of a batch, and its score, still attached to the graph."""

    index: Tensor  # (N,) int64
    score: Tensor  # (N,) float32


def parse_target(text: str, labels: Sequence[str]) -> TargetSpec:
    """Read `top`, `top3`, an index, a label, or a part of exactly one label.

    `labels` has one name per class. Raises `TargetError` for a class that is not there or not unique.
    """
    text = text.strip()
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return TargetSpec(index=_checked_index(int(text), len(labels)))
    if match := re.fullmatch(r"top([1-9]\d{0,5})?", text, re.IGNORECASE):
        return TargetSpec(top=min(int(match[1] or 1), len(labels)))
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
