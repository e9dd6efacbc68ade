"""Noise where edges and colours should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["FirstLayerNoise"]

SMALL = (
    64  # pixels a side: neighbours differ in smaller pictures, and trained filters may be as rough as noise
)
NINE = 9  # weights: a grey kernel of 3x3, whose edges and corners have neighbours of opposite signs


@dataclass(frozen=True)
class FirstLayerNoise:
    """The filters that read the picture have shape."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "Edges and colours are learnt first and look smooth. Noise in the first layer says that training was too "
        "short, too wild or without regularisation (Yosinski et al. 2015)."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    deviations: Annotated[
        float,
        Param(
            "Standard deviations of random weights' smoothness up to which a layer counts as noise. Good models have "
            "11 to 25, one without training 1.",
            min=0,
            max=1000,
        ),
    ] = 4.0
    spread: Annotated[
        float,
        Param(
            "The largest standard deviation of random weights' smoothness with which the check can decide: that of ten "
            "filters of 3x3 colours, where good models begin to look like noise.",
            min=0,
            max=1,
        ),
    ] = 0.05

    def measure(self, subject: Subject) -> Measurement:
        """Compare the smoothness of the layer that reads the picture with that of random weights."""
        from cnnexplain.engine.weights.kernels import reading

        layers = subject.counted
        if not layers:
            raise Skipped("it has no layer with filters that can be read")
        name, _ = reading([layer.weights for layer in layers], subject.model.preprocess.channels)
        first = next(layer for layer in layers if layer.weights.name == name)
        smooth = first.statistics.smoothness if first.weights.convolution else None
        if smooth is None:
            raise Skipped(f"the first layer, {name}, has no kernel with a side of 3 and more")
        if smooth.spread > self.spread:
            raise Skipped(
                f"{name} has too few weights to tell: chance alone gives a smoothness of ±{4 * smooth.spread:.2f}"
            )
        away = abs(smooth.value) / smooth.spread
        figures = f"{name}: smoothness {smooth.words}, {away:.1f} standard deviations away"
        if away > self.deviations:
            return Measurement(good=True, says=f"{figures} (limit {self.deviations:g})", value=away)
        height, width = subject.model.preprocess.input_size
        if first.size <= NINE:
            raise Skipped(f"{figures}: trained kernels of {NINE} weights look like that too")
        if max(height, width) <= SMALL:
            raise Skipped(
                f"{figures}: filters trained on pictures of {height}x{width} may look like that too"
            )
        return Measurement(
            good=False,
            says=f"the first layer looks like noise: {figures} (limit {self.deviations:g})",
            value=away,
            do=f"look at it with cnnexplain filters -l {name}; train longer, with a lower rate or more weight decay",
        )
