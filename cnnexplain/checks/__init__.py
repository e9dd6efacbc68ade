"""What is checked of a model. One file, one check: its name, with hyphens, is the check's id.

A check is a frozen dataclass, the one name in its file's `__all__`. Its docstring's first line says what it means; its
fields, declared with `Param`, are its thresholds, whose help gives the reason for each default.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from cnnexplain.core import registry

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.core.verdict import Found, Level, Need

# In which order they are carried out and told: what is broken explains what comes after it.
ORDER = (
    "finite",
    "untrained-layers",
    "batchnorm",
    "dead-filters",
    "duplicate-filters",
    "first-layer-noise",
    "deterministic",
    "batch-invariant",
    "own-softmax",
    "channel-order",
    "normalisation",
    "expected-labels",
    "flip-and-shift",
    "dead-units",
    "saturated",
    "vanishing-gradients",
    "exploding-gradients",
    "randomisation",
    "faithful",
    "looks-at-border",
    "baseline",
)


class Check(Protocol):
    """One thing that should be true of a model."""

    level: ClassVar[Level]  # what its failing means, unless a user says otherwise
    why: ClassVar[str]  # why it matters, in a sentence
    needs: ClassVar[tuple[Need, ...]]  # what it cannot be measured without

    def measure(self, subject: Subject) -> Found:
        """Measure it, inside `borrowed()`. Raises `Skipped` where this model has nothing to measure, or too little."""
        ...


def ids() -> list[str]:
    """The id of every check, in the order in which they are carried out; those that `ORDER` does not know come last."""
    found = [name.replace("_", "-") for name in registry.names(sys.modules[__name__])]
    return sorted(found, key=lambda one: (ORDER.index(one) if one in ORDER else len(ORDER), one))


def check(name: str) -> type[Check]:
    """The class behind an id."""
    return cast("type[Check]", registry.find(sys.modules[__name__], name.replace("-", "_"), "check"))


def title(kind: type[Check]) -> str:
    """What a check means, in a line."""
    return (inspect.getdoc(kind) or "").split("\n", 1)[0].rstrip(".")
