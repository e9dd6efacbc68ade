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
        from cnnexplain.core import words

        bad, many = subject.broken, words.count(subject.tensors, "tensor")
        if bad:
            return Found(
                good=False,
                says=f"{len(bad)} of {many} hold NaN or infinite values, first {bad[0]}",
                value=len(bad),
                do="train or export the model again; a checkpoint from before the loss became NaN may do",
                table=Table(("tensor",), tuple((name,) for name in bad)),
            )
        all_of = many if subject.tensors == 1 else f"all {many}"
        if not subject.examples:
            return Found(
                good=True, says=f"{all_of} {'is' if subject.tensors == 1 else 'are'} finite", value=0
            )
        scores = subject.answers
        if not bool(scores.isfinite().all()):
            return Found(
                good=False,
                says="weights are finite, but scores are not: they overflow on the way, or the code makes NaN",
                do="look for a division by zero or a logarithm of zero, or try --precision fp32",
            )
        return Found(
            good=True,
            says=f"{all_of} and the scores of {words.count(len(scores), 'picture')} are finite",
            value=0,
        )
