"""The checks of a model. Each file holds a check: its name, with hyphens, is the check's id.

A check is a frozen dataclass, the only name in its file's `__all__`. Its docstring's first line is its title; its
fields, declared with `Param`, are its thresholds, whose help gives the reason for each default.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from cnnexplain.core import registry

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.core.verdict import Level, Measurement, Need

# The order in which they are carried out and reported: an earlier failure may explain later ones.
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
    """A statement that should be true of a model, and how it is measured."""

    level: ClassVar[Level]  # how severe its failure is, unless a user sets another level
    why: ClassVar[str]  # why it matters, in a sentence
    needs: ClassVar[tuple[Need, ...]]  # the inputs that it cannot be measured without

    def measure(self, subject: Subject) -> Measurement:
        """Measure it, inside `borrowed()`. Raises `Skipped` where this model has nothing to measure, or too little."""
        ...


def ids() -> list[str]:
    """Return the id of every check, in the order in which they are carried out; unknown ids come last.

    Checks of other packages, and those that `ORDER` does not name, are unknown.
    """
    all_ids = [name.replace("_", "-") for name in registry.names(sys.modules[__name__])]
    return sorted(all_ids, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def check(name: str) -> type[Check]:
    """Return the class of a check.

    Args:
        name: The check's id, as `--only` takes it: `dead-filters`.

    Raises:
        OptionError: There is no check of that id.
    """
    return cast("type[Check]", registry.find(sys.modules[__name__], name.replace("-", "_"), "check"))


def title(kind: type[Check]) -> str:
    """Return the title of a check: the first line of its docstring, without the full stop."""
    return (inspect.getdoc(kind) or "").split("\n", 1)[0].rstrip(".")
