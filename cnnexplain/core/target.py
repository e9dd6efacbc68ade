"""What is explained: a class, as a user types it, or a function; and what that means for a batch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from cnnexplain.core.words import abbreviated
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


@dataclass(frozen=True)
class FunctionTarget:
    """A function of what a model returns for N pictures, to one number per picture (N,), in the place of a class."""

    function: Callable[[Any], Tensor]

    @property
    def name(self) -> str:
        """What it is called: as in its code; what has no name there, as a lambda, is called by its kind."""
        function = getattr(self.function, "func", self.function)  # of a functools.partial
        name = str(getattr(function, "__name__", type(function).__name__))
        return "function" if name == "<lambda>" else name


@dataclass(frozen=True, eq=False)
class Target:
    """One class per picture of a batch, or a function of it, and its score, still attached to the graph.

    With `weights` a mixture of the scores of all classes in the place of one class.
    """

    index: Tensor  # (N,) int64; -1 where a picture has no class of this rank
    score: Tensor  # (N,) float32
    weights: Tensor | None = None  # (N, classes) float32

    def part(self, rows: slice) -> Target:
        """Return the same of some of the pictures."""
        return Target(
            self.index[rows], self.score[rows], None if self.weights is None else self.weights[rows]
        )


def parse_target(text: str, labels: Sequence[str]) -> TargetSpec:
    """Read what `--target` says.

    A class that is called 7 is meant by 7, and not the class with the index 7. Where 7 is one of several names of a
    class ("7, seven") and the index of another, that is an error.

    Args:
        text: `top`, `top3`, `above:0.5`, a label, an index, or a part of exactly one label.
        labels: One name per class.

    Returns:
        The target, with the class's index in the place of its name.

    Raises:
        TargetError: There is no such class, or the text fits several.

    Example:
        >>> parse_target("tabby", ["Egyptian cat", "tabby, tabby cat"])
        TargetSpec(top=1, index=1, above=None)
    """
    text = text.strip()
    if match := re.fullmatch(r"top([1-9]\d{0,5})?", text, re.IGNORECASE):
        return TargetSpec(top=min(int(match[1] or 1), len(labels)))
    if match := re.fullmatch(r"above:(.*)", text, re.IGNORECASE | re.DOTALL):
        return TargetSpec(above=_checked_share(match[1]))
    try:
        return TargetSpec(index=class_named(text, labels))
    except TargetError as error:
        if (suggestion := _suggestion(text)) and not matching(text, labels):
            raise TargetError(error.problem, f"did you mean --target {suggestion}?") from None
        raise


def class_named(text: str, labels: Sequence[str]) -> int:
    """Find the class that a text names; `parse_target` says how numbers are read.

    Args:
        text: A label, an index, or a part of exactly one label.
        labels: One name per class.

    Returns:
        The index of the class.

    Raises:
        TargetError: There is no such class, or the text fits several.
    """
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        exact = _exact(text, labels)
        index = int(text)
        if len(exact) == 1:
            return exact[0]
        synonyms = exact or _synonyms(text, labels)
        if not exact and len(synonyms) == 1 and index not in synonyms:
            if 0 <= index < len(labels):
                _refuse_two_readings(text, synonyms[0], index, labels)
            return synonyms[0]
        if not synonyms or index in synonyms:
            return _checked_index(index, len(labels))
    matches = matching(text, labels)
    if len(matches) == 1:
        return matches[0]
    if matches:
        candidates = abbreviated((f"{index} {labels[index]!r}" for index in matches), SHOWN_CANDIDATES)
        raise TargetError(
            f"--target {text!r} fits {len(matches)} classes: {candidates}",
            f"give more of the name or the index: --target {matches[0]}",
        )
    near = near_misses(text, [part.strip() for label in labels for part in (label, *label.split(","))])
    raise TargetError(
        f"there is no class called {text!r} among {len(labels)}",
        f"did you mean {' or '.join(repr(name) for name in near)}?"
        if near
        else f"give an index from 0 to {len(labels) - 1}, or --labels FILE to name the classes",
    )


def settled(words: str) -> TargetSpec:
    """Return the target that `TargetSpec.words` wrote: a number is an index, whatever classes are called."""
    if words.startswith("above:"):
        return TargetSpec(above=float(words.removeprefix("above:")))
    if words.startswith("top"):
        return TargetSpec(top=int(words.removeprefix("top") or 1))
    return TargetSpec(index=int(words))


def _exact(text: str, labels: Sequence[str]) -> list[int]:
    """Return the classes that are called so and not otherwise."""
    folded_text = text.casefold()
    return [index for index, label in enumerate(labels) if label.strip().casefold() == folded_text]


def _synonyms(text: str, labels: Sequence[str]) -> list[int]:
    """Return the classes that are called so among other names, separated by commas."""
    folded_text = text.casefold()
    return [
        index
        for index, label in enumerate(labels)
        if "," in label and folded_text in [part.strip().casefold() for part in label.split(",")]
    ]


def _refuse_two_readings(text: str, named: int, index: int, labels: Sequence[str]) -> NoReturn:
    """Refuse one of the names of a class that is also the index of another.

    Raises:
        TargetError: Always.
    """
    raise TargetError(
        f"--target {text!r} is one of the names of class {named}, {labels[named]!r}, and the index of "
        f"{labels[index]!r}",
        f"give the whole name: --target {shlex.quote(labels[named])} or --target {shlex.quote(labels[index])}",
    )


def _suggestion(text: str) -> str:
    """Return how to write what `top 3`, `above 0.5`, `above=50%` or `> 0.5` mean; empty for anything else."""
    if match := re.fullmatch(r"top\W{0,3}([1-9][0-9]{0,5})", text, re.IGNORECASE):
        return f"top{match[1]}"
    match = re.fullmatch(
        r"(?:above|over|>=?)\W{0,3}?([0-9]{0,3}(?:[.,][0-9]{1,4})?) ?(%?)", text, re.IGNORECASE
    )
    number = match[1].replace(",", ".") if match else ""
    if not match or not number:
        return ""
    share = float(number) / (100 if match[2] else 1)
    return f"above:{share:g}" if share == 0 or 1e-4 <= share < 1 else ""


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
    """Return the indices of the classes that a text names, by the strictest reading that fits any.

    The readings are: the whole name, one of several names, a word of a name, a part of one. Capitals do not count.
    """
    folded_text = text.casefold()
    folded = [label.casefold() for label in labels]
    word = re.compile(rf"(?<!\w){re.escape(folded_text)}(?!\w)")
    readings = (
        lambda label: label == folded_text,
        lambda label: folded_text in [part.strip() for part in label.split(",")],
        lambda label: word.search(label) is not None,
        lambda label: folded_text in label,
    )
    for reading in readings:
        if matches := [index for index, label in enumerate(folded) if folded_text and reading(label)]:
            return matches
    return []
