"""Rectified units that fire on no picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.checks.suite.units import UnitShare, held_against, watched
from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.engine.activity import Activity

__all__ = ["DeadUnits"]
MANY = 100  # pictures, where each gives a channel a single value, as in hidden layers behind the pooling
ENOUGH = 4  # pictures, to tell a unit that waits for its subject from a dead unit


@dataclass(frozen=True)
class DeadUnits:
    """In no layer are many rectified channels silent on every picture."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A ReLU whose input is never positive passes nothing on and learns nothing any more: a rate that was too "
        "high leaves many of them behind."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    share: Annotated[
        float,
        Param(
            "Largest share of a layer's channels that may be dead: trained networks were found to have up to 0.13, "
            "one of which half was dead from the beginning 0.5.",
            min=0,
            max=1,
        ),
    ] = 0.35

    def measure(self, subject: Subject) -> Measurement:
        """Count the channels that no picture opens, less those that more pictures would be expected to open."""
        shares = [_share(activity) for activity in watched(subject) if activity.fired is not None]
        if not shares:
            raise Skipped("it has no rectified units, such as ReLU")
        silent = any(share.counted == share.units for share in shares)
        if len(subject.examples) < ENOUGH and not silent:
            raise Skipped(
                f"{ENOUGH} pictures are needed to tell dead units from those that wait for their subject"
            )
        return held_against(
            shares,
            self.share,
            "fire on no picture",
            "silent",
            "train with a lower rate, a warm-up, or batch normalisation; LeakyReLU cannot die; or prune these channels",
        )


def _share(activity: Activity) -> UnitShare:
    """How many channels are dead, by Chao's estimate of unseen classes (1984, Scand. J. Stat. 11:265).

    With f1 channels that fired in one picture only and f2 in two, about f1 (f1 - 1) / 2 (f2 + 1) of the silent ones
    would fire if more pictures were shown.
    """
    if activity.fired is None:
        raise ValueError(activity.name)
    silent, once, twice = (int((activity.fired == times).sum()) for times in (0, 1, 2))
    unseen = once * (once - 1) / (2 * (twice + 1))
    dead = max(0.0, silent - unseen)
    if silent == len(activity.fired):
        dead = float(silent)
    elif activity.single and activity.pictures < MANY:
        dead = 0.0  # too few values to tell
    return UnitShare(activity.name, activity.kind, len(activity.fired), silent, dead)
