"""Maps of pixels that are means of samples: how many there are, in which cells they are drawn, how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, cast

from cnnexplain.commands._options import share_of
from cnnexplain.core.choice import Choice
from cnnexplain.core.results import Detail
from cnnexplain.core.words import percent
from cnnexplain.formulas.gradients import largest

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.formulas.noise import Moments
    from cnnexplain.formulas.sampling import SampledMean

SAMPLED = ("smoothgrad", "vargrad")
TOLERANCE = "5%"
WHY = "two seeds then have four fifths of their strongest cells in common"
MOST = 1000  # samples, where nobody says how many
FEWEST_CELLS = 28  # along the longer side, in which a map has to be sure before sampling ends
COMPARED = 32  # samples of maps that are only compared with each other
UNSURE = 0.25  # of the map's largest value: above this standard error a map is mostly chance


@dataclass(frozen=True)
class Sampling:
    """How many samples are taken, and in which cells a map is drawn.

    Attributes:
        samples: The number of them; the most where there is a `tolerance`.
        tolerance: The largest standard error of a cell that is drawn, as a share of the map's largest value. None
            where every pixel is drawn, however sure it is.
        whole: Whether sampling goes on until single pixels keep the tolerance.
        noise: The deviation of the noise, as a share of the input's range.
        methods: Which of `SAMPLED` are wanted.
    """

    samples: int
    tolerance: float | None
    whole: bool
    noise: float
    methods: tuple[str, ...]

    @classmethod
    def of(cls, samples: int | None, tolerance: str | None, noise: float, methods: Sequence[str]) -> Sampling:
        """What `--samples`, `--tolerance` and `--noise` ask for; None where an option was left out.

        Raises:
            OptionError: The tolerance is no share.
        """
        share = share_of(tolerance or TOLERANCE, "--tolerance")
        return cls(
            samples or MOST,
            share if samples is None or tolerance is not None else None,
            samples is not None,
            noise,
            tuple(method for method in SAMPLED if method in methods),
        )

    def enough(self, moments: Moments) -> bool:
        """Whether every map that is wanted is as sure as it has to be."""
        if self.tolerance is None:
            return False
        means = [mean_of(moments, method) for method in self.methods]
        return all(mean.within(self.tolerance, self._level(mean)) for mean in means)

    def fewer(self, times: int) -> Sampling:
        """So many times fewer samples than were asked for; a fixed number where a tolerance was."""
        asked = max(2, self.samples // times)
        return replace(self, samples=asked if self.tolerance is None else COMPARED, tolerance=None)

    def _level(self, mean: SampledMean) -> int:
        """The resolution that has to keep the tolerance before sampling ends."""
        large = [level for level, size in enumerate(mean.sizes) if max(size) >= FEWEST_CELLS]
        return 0 if self.whole or not large else large[-1]

    def drawn(self, moments: Moments, method: str) -> SampledMap:
        """One map in the cells that it is sure of."""
        mean = mean_of(moments, method)
        level = 0 if self.tolerance is None else mean.finest(self.tolerance)
        if level is None:
            level = min(range(len(mean.sizes)), key=mean.share)
        return SampledMap(self, method, moments.samples, mean, level)


def choice_of(sampling: Sampling, samples: int | None, tolerance: str | None) -> tuple[Choice, ...]:
    """What is said where nobody said how sure a map has to be."""
    if samples is not None or tolerance is not None or not sampling.methods:
        return ()
    value = f"{TOLERANCE} of the map's largest value for {' and '.join(sampling.methods)}"
    return (Choice("tolerance", value, WHY),)


def mean_of(moments: Moments, method: str) -> SampledMean:
    """The mean that a method draws."""
    return cast("SampledMean", moments.variance) if method == "vargrad" else moments.gradient


@dataclass(frozen=True, eq=False)
class SampledMap:
    """A map that is a mean of samples, and the resolution at which it is drawn."""

    sampling: Sampling
    method: str
    samples: int
    mean: SampledMean
    level: int

    @property
    def values(self) -> Tensor:
        """The mean of every pixel, (C, H, W), float32."""
        return self.mean.mean().float()

    def on(self, heatmap: Heatmap) -> Heatmap:
        """A map of the same mean in the cells that it is sure of, with standard errors."""
        return replace(
            heatmap,
            values=largest(self.mean.mean(self.level)[None])[0].float().cpu().numpy(),
            errors=self._error(self.level).amax(0).float().cpu().numpy(),
            channel_errors=None if heatmap.channels is None else self._error(0).float().cpu().numpy(),
            pooled=self.level > 0,
        )

    def _error(self, level: int) -> Tensor:
        return self.mean.error(level)

    def detail(self, bright: str) -> Detail:
        """What is recorded of the samples, and said: what is bright, how many samples, how sure, in which cells."""
        error = float(self.mean.error(self.level).max())
        facts = {
            "samples": self.samples,
            "noise": self.sampling.noise,
            "tolerance": self.sampling.tolerance,
            "standard_error": _known(error),
            "share": _known(self.mean.share(self.level)),
            "resolutions": [
                {"shape": list(size), "share": _known(self.mean.share(level))}
                for level, size in enumerate(self.mean.sizes)
            ],
        }
        return Detail({"sampled": facts}, (bright, self._remark()))

    def _remark(self) -> str:
        share, tolerance = self.mean.share(self.level), self.sampling.tolerance
        if share == inf:
            return f"Of {self.samples:,} copies it is not known how much is chance: give more --samples."
        (height, width), (rows, columns) = self.mean.sizes[0], self.mean.sizes[self.level]
        cell = f"cell of {round(height / rows)}×{round(width / columns)} pixels" if self.level else "pixel"
        remark = (
            f"{self.samples:,} copies with noise of {self.sampling.noise:g} of the input's range. "
            f"Largest standard error of a {cell}: {percent(share)} of the map's largest value"
        )
        if tolerance is None:
            if share <= UNSURE:
                return f"{remark}."
            return f"Mostly chance: leave --samples out, or give --tolerance. {remark}."
        allowed = f"--tolerance {100 * tolerance:g}%"
        if not self.mean.within(tolerance, self.level):
            unsure = "Mostly chance" if share > UNSURE else f"Less sure than {allowed} asks"
            return f"{unsure}: give more --samples, or a larger --tolerance. {remark}."
        if self.level == 0:
            return f"{remark} ({allowed})."
        signs = " with their signs" if self.method == "smoothgrad" else ""
        finer = percent(self.mean.share(self.level - 1))
        return (
            f"{remark} ({allowed}; of cells half as wide {finer}). A cell has the mean of its pixels{signs}."
        )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
