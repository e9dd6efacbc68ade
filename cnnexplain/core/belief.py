"""How far a map can be believed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cnnexplain.core.records import fact

Believe = Literal["yes", "no", "unclear"]
_SAYS = {"yes": "believe it", "no": "do not believe it", "unclear": "unclear"}


@dataclass(frozen=True)
class Belief:
    """How far a map can be believed.

    Attributes:
        believe: Whether it can.
        reasons: Why, in parts of a sentence, what decides first.
        facts: The numbers behind that, by the record's keys.
    """

    believe: Believe
    reasons: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return what stands under `verdict` in a map's entry."""
        facts = {name: fact(value, name) for name, value in self.facts.items()}
        return {"believe": self.believe, "reasons": list(self.reasons), **facts}

    @property
    def words(self) -> str:
        """The same in a line."""
        return belief_words(self.record())


def belief_words(recorded: Mapping[str, Any]) -> str:
    """Say in a line what stands under `verdict` in a map's entry.

    Args:
        recorded: As `Belief.record` returns it.
    """
    believe = str(recorded["believe"])
    return f"Verdict: {_SAYS.get(believe, believe)}. {_sentence(recorded['reasons'])}"


def _sentence(reasons: Sequence[str]) -> str:
    text = "; ".join(map(str, reasons))
    return f"{text[:1].upper()}{text[1:]}."
