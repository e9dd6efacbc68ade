"""Bounded units that are stuck at an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.checks.suite.units import UnitShare, held_against, watched
from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["Saturated"]
ENOUGH = 4  # pictures, so that a single odd picture does not decide


@dataclass(frozen=True)
class Saturated:
    """In no layer are many sigmoid, tanh, softmax or ReLU6 units stuck at an end of their range."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A unit that is at an end of its range wherever one looks says the same of every picture, and passes no "
        "gradient back."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    share: Annotated[
        float,
        Param(
            "Largest share of a layer's units that may be stuck: of a well-trained ReLU6 network none were, of a "
            "sigmoid network that was fed unscaled pictures nearly all.",
            min=0,
            max=1,
        ),
    ] = 0.25
    places: Annotated[
        float,
        Param(
            "A unit is stuck that is at an end in more than this share of all places of all pictures; the busiest unit "
            "of the bundled model is so in 0.64.",
            min=0,
            max=1,
        ),
    ] = 0.95

    def measure(self, subject: Subject) -> Measurement:
        """Count, layer by layer, the units that are within a hundredth of an end nearly everywhere."""
        shares = []
        for activity in watched(subject):
            if activity.at_end is not None:
                stuck = int((activity.at_end / activity.pictures > self.places).sum())
                shares.append(UnitShare(activity.name, activity.kind, len(activity.at_end), stuck, stuck))
        if not shares:
            raise Skipped("it has no bounded units, such as sigmoid or ReLU6")
        if len(subject.examples) < ENOUGH:
            raise Skipped(
                f"{ENOUGH} pictures are needed to tell stuck units from those that stand out in one"
            )
        return held_against(
            shares,
            self.share,
            "are stuck at an end of their range",
            "stuck",
            "look at how pictures are normalised, at weights that have grown too large, and at the rate of training",
        )
