"""Gradients that fade on their way to the first layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["VanishingGradients"]


@dataclass(frozen=True)
class VanishingGradients:
    """The loss depends on the first layer, and not on the last ones alone."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "Where no gradient arrives nothing was learnt: the first layers are as they began, and the answer hardly "
        "depends on the picture."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    ratio: Annotated[
        float,
        Param(
            "Smallest influence of the first layer, the last one's being 1: trained networks were found between 4 and "
            "300, twelve layers of sigmoids at 4e-11, a dead layer at 0.",
            min=0,
            max=1,
        ),
    ] = 1e-4

    def measure(self, subject: Subject) -> Measurement:
        """Compare |a| |dL/da| of the first layer with that of the last, the median over the pictures."""
        from math import isfinite

        from cnnexplain.checks.suite.flow import NoGradient, indifferent

        try:
            flow = subject.flow
        except Skipped as reason:  # to skip a model that always says the same would be to pass it
            if indifferent(subject):
                why = f"{len(subject.examples)} pictures get the same scores"
            elif isinstance(reason, NoGradient):
                why = "its scores, or the function behind them, are saturated"
            else:
                raise
            return Measurement(
                good=False,
                says=f"no gradient comes back at all: {why}",
                value=0.0,
                do="look for weights that are all zero, a layer that is dead or cut off just before the answer, or "
                "scores so large that softmax or sigmoid makes 0 and 1 of them",
            )
        if not all(map(isfinite, flow.values)):
            raise Skipped("gradients are not finite: see exploding-gradients")
        good = flow.ratio >= self.ratio
        first = flow.layers[0]
        says = (
            f"a relative change at the first layer, {first}, moves the loss {flow.ratio:.3g} times as much as one at "
            f"the last; at least {self.ratio:g} is asked for"
        )
        if flow.ratio == 0:
            says = f"no gradient at all reaches the first layer, {first}"
        low = {place for place, value in enumerate(flow.values) if value < self.ratio * flow.values[-1]}
        return Measurement(
            good=good,
            says=says,
            value=flow.ratio,
            do="use ReLU or SiLU instead of sigmoid and tanh, batch normalisation, shortcuts, or fewer layers; look "
            "for a layer that is dead or cut off",
            table=flow.table(smallest=True),
            drawing=flow.profile(self.ratio, frozenset(low) if not good else frozenset()),
        )
