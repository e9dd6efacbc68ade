"""Weights, buffers and scores that are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnnexplain.core.verdict import Found, Level, Need, Table

if TYPE_CHECKING:
    from cnnexplain.checks._subject import Subject

__all__ = ["Finite"]


@dataclass(frozen=True)
class Finite:
    """No weight, buffer or score is NaN or infinite."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "One NaN in a weight makes every answer NaN, and code that only takes the largest score never notices."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    def measure(self, subject: Subject) -> Found:
        """Count what is not finite: weights, buffers (masks may be infinite), and the scores of the pictures."""
        bad = subject.broken
        if bad:
            return Found(
                good=False,
                says=f"{len(bad)} of {subject.tensors} tensors hold NaN or infinite values, first {bad[0]}",
                value=len(bad),
                do="train or export the model again; a checkpoint from before the loss became NaN may do",
                table=Table(("tensor",), tuple((name,) for name in bad)),
            )
        if not subject.examples:
            return Found(good=True, says=f"all {subject.tensors} tensors are finite", value=0)
        scores = subject.answers
        if not bool(scores.isfinite().all()):
            return Found(
                good=False,
                says="weights are finite, but scores are not: values overflow on the way",
                do="look for a division by zero or a logarithm of zero, or try --precision fp32",
            )
        return Found(
            good=True,
            says=f"all {subject.tensors} tensors and the scores of {len(scores)} pictures are finite",
            value=0,
        )
