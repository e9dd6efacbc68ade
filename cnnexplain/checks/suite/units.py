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
        complete = self.counted == self.units
        return self.blamed / self.units if self.units >= FEW or complete else 0.0


def watched(subject: Subject) -> list[Activity]:
    """What every activation function did. Raises as `require_sound` where that says nothing."""
    require_sound(subject)
    return subject.activity


def require_sound(subject: Subject) -> None:
    """Raise where the weights or the scores are not finite: `Skipped` where `finite` says it of weights."""
    subject.require_sound_weights()
    _ = subject.logits


def held_against(
    shares: Sequence[UnitShare], limit: float, deficiency: str, column: str, do: str
) -> Measurement:
    """Hold the worst share against the limit. `deficiency` is said of units, as in `fire on no picture`."""
    worst = sorted(shares, key=lambda share: -share.value)
    first = worst[0]
    exceeding = [share for share in worst if share.value > limit]
    sentence = f"{first.counted} of {first.units} units at {first.name} ({first.kind}) {deficiency}"
    if exceeding:
        plural_clause = f", which {len(exceeding)} layers exceed" if len(exceeding) > 1 else ""
        says = f"{sentence}; the limit is {limit:.0%}{plural_clause}"
    else:
        says = f"at most {first.value:.0%} of a layer's units {deficiency}; the limit is {limit:.0%}"
    rows = tuple(
        (share.name, share.kind, str(share.units), str(share.counted), f"{share.value:.1%}")
        for share in worst[:ROWS]
    )
    return Measurement(
        good=not exceeding,
        says=says,
        value=first.value,
        do=do,
        table=EvidenceTable(("layer", "function", "units", column, "share"), rows),
        drawing=Profile(
            f"Units that {deficiency}",
            tuple(share.name for share in shares),
            tuple(share.value for share in shares),
            "share of units",
            limits=(limit,),
            marked=frozenset(place for place, share in enumerate(shares) if share.value > limit),
        ),
    )
