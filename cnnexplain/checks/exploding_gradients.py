"""Gradients that grow on their way to the first layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["ExplodingGradients"]


@dataclass(frozen=True)
class ExplodingGradients:
    """A small change at the first layer does not change everything."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "Where gradients grow from layer to layer a change that nobody sees turns the answer round, and training "
        "jumps about or ends in NaN."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    ratio: Annotated[
        float,
        Param(
            "Largest influence of the first layer, the last one's being 1: trained networks were found between 4 and "
            "300, networks of tanh whose weights are too large above 1e6.",
            min=0,
            max=1e30,
        ),
    ] = 1e5

    def measure(self, subject: Subject) -> Measurement:
        """Compare |a| |dL/da| of the first layer with that of the last, the median over the pictures."""
        from math import isfinite

        from cnnexplain.core import words

        flow = subject.flow
        do = "train with a lower rate, clip gradients, begin with smaller weights, or add batch normalisation"
        bad = [place for place, value in enumerate(flow.values) if not isfinite(value)]
        if bad:
            first, influences = flow.layers[bad[0]], words.count(len(flow.layers), "layer")
            return Measurement(
                good=False,
                says=f"gradients are not finite at {len(bad)} of {influences}, first {first}",
                do=do,
                table=flow.table(smallest=False),
                drawing=flow.profile(self.ratio, frozenset(bad)),
            )
        good = flow.ratio <= self.ratio
        high = {place for place, value in enumerate(flow.values) if value > self.ratio * flow.values[-1]}
        return Measurement(
            good=good,
            says=f"a relative change at the first layer, {flow.layers[0]}, moves the loss {flow.ratio:.3g} times as "
            f"much as one at the last; the limit is {self.ratio:g}",
            value=flow.ratio,
            do=do,
            table=flow.table(smallest=False),
            drawing=flow.profile(self.ratio, frozenset(high) if not good else frozenset()),
        )
