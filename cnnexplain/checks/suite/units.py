"""What the two checks of activations share: a share for every activation function, the sentence, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnnexplain.core.verdict import ROWS, EvidenceTable, Measurement, Profile

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.engine.activity import Activity

FEW = 8  # units: of fewer, one or two make no share


class UnitShare(NamedTuple):
    """Of the units of one activation function: how many there are, and how many are to blame."""

    name: str
    kind: str
    units: int
    counted: int
    blamed: float  # estimated, so not always whole

    @property
    def value(self) -> float:
        """The share of units that are to blame. Where units are few only all of them count."""
        every = self.counted == self.units
        return self.blamed / self.units if self.units >= FEW or every else 0.0


def watched(subject: Subject) -> list[Activity]:
    """What every activation function did. Raises as `require_sound` where that says nothing."""
    require_sound(subject)
    return subject.activity


def require_sound(subject: Subject) -> None:
    """Raise where the weights or the scores are not finite: `Skipped` where `finite` says it of weights."""
    subject.require_sound_weights()
    _ = subject.logits


def judged(shares: Sequence[UnitShare], limit: float, what: str, column: str, do: str) -> Measurement:
    """Hold the worst share against the limit. `what` is said of units, as in `fire on no picture`."""
    worst = sorted(shares, key=lambda one: -one.value)
    first = worst[0]
    over = [one for one in worst if one.value > limit]
    found = f"{first.counted} of {first.units} units at {first.name} ({first.kind}) {what}"
    if over:
        more = f", which {len(over)} layers exceed" if len(over) > 1 else ""
        says = f"{found}; the limit is {limit:.0%}{more}"
    else:
        says = f"at most {first.value:.0%} of a layer's units {what}; the limit is {limit:.0%}"
    rows = tuple(
        (one.name, one.kind, str(one.units), str(one.counted), f"{one.value:.1%}") for one in worst[:ROWS]
    )
    return Measurement(
        good=not over,
        says=says,
        value=first.value,
        do=do,
        table=EvidenceTable(("layer", "function", "units", column, "share"), rows),
        drawing=Profile(
            f"Units that {what}",
            tuple(one.name for one in shares),
            tuple(one.value for one in shares),
            "share of units",
            limits=(limit,),
            marked=frozenset(place for place, one in enumerate(shares) if one.value > limit),
        ),
    )
