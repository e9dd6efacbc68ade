"""Scores that go through softmax or sigmoid more than once, or through one that nobody can see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnnexplain.core.verdict import EvidenceTable, Level, Measurement, Need

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["OwnSoftmax"]


@dataclass(frozen=True)
class OwnSoftmax:
    """The scores go through one softmax or sigmoid at most, and over the classes."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A softmax of probabilities makes nearly equal ones of all classes, in training a loss that hardly falls, and "
        "maps of it mix the evidence of all classes."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    def measure(self, subject: Subject) -> Measurement:
        """Examine the end of the model's forward, and whether its output looks like probabilities."""
        from cnnexplain.core.words import listed
        from cnnexplain.engine.scoring.unseen import BETWEEN

        logits, head = subject.logits, subject.model.head
        by = subject.model.scoring.activation
        inside = bool(((logits >= 0) & (logits <= 1)).all())
        doubts = [doubt for doubt in head.doubts if not doubt.startswith(BETWEEN) or inside]
        ends = f"its forward ends in {listed(head.through)}" if head.through else "its forward returns scores"
        rows = (
            (
                "what its forward ends in",
                head.odds or listed(head.through) or "no softmax or sigmoid that was seen",
            ),
            ("what is explained", head.explained or "what it returns"),
            ("what makes probabilities", {"none": "nothing: --activation none"}.get(by, by)),
        )
        table = EvidenceTable(("", "found"), rows)
        if not doubts:
            explained = f", and {head.explained} is explained" if head.explained else ""
            return Measurement(good=True, says=f"{ends}{explained}", value=len(head.through), table=table)
        return Measurement(
            good=False,
            says="; ".join(doubts),
            value=len(head.through),
            do="return the scores before softmax and sigmoid from forward, and apply one of them, once and over the "
            "classes, where probabilities are wanted; losses as nn.CrossEntropyLoss bring their own. Where outputs are "
            "meant to be as they are, --activation none explains them so",
            table=table,
        )
