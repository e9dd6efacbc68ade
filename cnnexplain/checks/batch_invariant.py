"""The same answer in whatever company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need, Skipped
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["BatchInvariant"]

ALONE = 4  # so many pictures are run alone: a layer that mixes a batch mixes all of it
TRAINING = (
    "look for what heeds the whole batch: batch norm that is kept in training mode, or built with "
    "track_running_stats=False, or a mean over the first axis"
)


@dataclass(frozen=True)
class BatchInvariant:
    """A picture gets the same scores alone and in a batch."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "A batch norm that stays in training mode makes an answer depend on which other pictures are asked for."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    apart: Annotated[
        float,
        Param(
            "Largest difference of two scores of the same picture, as a share of the scores' size. Rounding makes "
            "nothing, and in half precision, for which ten times as much is allowed, 0.001; the statistics of a batch "
            "make 2 and more.",
            min=0,
            max=1,
        ),
    ] = 0.01

    def measure(self, subject: Subject) -> Measurement:
        """Ask for some pictures alone, and hold the scores against those that they got in company."""
        from cnnexplain.checks.suite.repeated import apart, worst

        examples = subject.examples[:ALONE]
        limit = self.apart * (1 if subject.model.precision == "fp32" else 10)
        company = self._in_company(subject)
        try:
            alone = self._alone(subject)
        except ModelError as error:
            return Measurement(good=False, says=f"one picture alone fails: {error.problem}", do=TRAINING)
        again = subject.scored([subject.examples[0].pixels])
        if float(apart(alone[:1], again, subject.logits).max()) > limit:
            raise Skipped("the same picture gets other scores each time: see deterministic")
        distances = apart(company, alone, subject.logits)
        largest = float(distances.max())
        if largest <= limit:
            but = f", but for {largest:.1g} of their size" if largest else ""
            return Measurement(
                good=True, says=f"scores are the same alone and in a batch{but}", value=largest
            )
        return Measurement(
            good=False,
            says=f"scores depend on which pictures share a batch: alone they differ by {largest:.2g} of their size "
            f"where {limit:g} is allowed",
            value=largest,
            do=TRAINING,
            table=worst(examples, distances),
        )

    def _in_company(self, subject: Subject) -> Tensor:
        """The scores of the first pictures among others; a single picture is joined by its negative."""
        if len(subject.examples) > 1:
            return subject.logits[:ALONE]
        pixels = subject.examples[0].pixels
        return subject.scored([pixels, 255 - pixels])[:1]

    def _alone(self, subject: Subject) -> Tensor:
        import torch

        from cnnexplain.checks.suite.subject import same_width

        return torch.cat(
            same_width([subject.scored([example.pixels]) for example in subject.examples[:ALONE]])
        )
