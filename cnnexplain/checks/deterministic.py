"""The same answer to the same question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["Deterministic"]


@dataclass(frozen=True)
class Deterministic:
    """The same pictures, asked twice, get the same scores."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "Dropout or noise that stays on makes every answer a lottery, and a worse one on average."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    apart: Annotated[
        float,
        Param(
            "Largest difference of two scores of the same picture, as a share of the scores' size. Rounding may differ "
            "between runs on a GPU, by 0.00001; dropout of one value in a hundred, left on, makes 0.1 and more.",
            min=0,
            max=1,
        ),
    ] = 0.001

    def measure(self, subject: Subject) -> Measurement:
        """Run the first pictures again, in the same batch as the first time, and compare the scores."""
        from cnnexplain.checks.suite.repeated import apart, worst
        from cnnexplain.core.words import count

        examples = subject.examples[: subject.rows]
        again = subject.scored([example.pixels for example in examples])
        distances = apart(subject.logits[: subject.rows], again, subject.logits)
        largest = float(distances.max())
        pictures = count(len(examples), "picture")
        if largest <= self.apart:
            says = f"asked twice, {pictures} got the same scores"
            return Measurement(good=True, says=says, value=largest)
        changed = int((distances > self.apart).sum())
        return Measurement(
            good=False,
            says=f"asked twice, {changed} of {pictures} got other scores, by {largest:.2g} of their size where "
            f"{self.apart:g} is allowed",
            value=largest,
            do="look for dropout, noise or sampling in forward() that does not heed eval(), as "
            "F.dropout(x) without training=self.training",
            table=worst(examples, distances),
        )
