"""How much a little noise on an image changes maps of it: what changes much says little of the image."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnexplain.commands._laid import again_on_cells
from cnnexplain.commands._options import share_of
from cnnexplain.core.results.comparison import NoiseScores
from cnnexplain.core.words import percent
from cnnexplain.formulas.infidelity import max_sensitivity

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.commands import ImageCommand
    from cnnexplain.commands._randomised import Maps
    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.results.map import Heatmap
    from cnnexplain.engine.model import Model

AT_ONCE = 8  # copies, between which it is asked whether they suffice
MOST = 64  # copies, where nobody says how many
TOLERANCE = "5%"
RADIUS = 0.02  # of the normalised input's values, as in Yeh et al. 2019


@dataclass(frozen=True)
class NoisyCopies:
    """How many noisy copies of an image are explained.

    Attributes:
        samples: The number of them; the most where there is a `tolerance`.
        tolerance: The standard error at which there are enough, as a share of the mean change of each map; None where
            all samples are taken.
    """

    samples: int
    tolerance: float | None

    @classmethod
    def of(cls, samples: int | None, tolerance: str | None) -> NoisyCopies:
        """What `--samples` and `--tolerance` ask for; None where an option was left out.

        Raises:
            OptionError: The tolerance is no share.
        """
        share = share_of(tolerance or TOLERANCE, "--tolerance")
        return cls(samples or MOST, share if samples is None or tolerance is not None else None)

    def scores(
        self,
        maps: Sequence[Heatmap],
        grids: Sequence[Tensor],
        rounds: Iterator[list[Maps]],
        image: Batch,
        cells: int,
    ) -> list[NoiseScores]:
        """How much noise changes each map.

        Args:
            maps: The maps of the image.
            grids: The same on the cells, (rows, columns).
            rounds: The maps of noisy copies, some copies at a time; no more are taken than are needed.
            image: The image, as a batch of one.
            cells: Cells along each side.
        """
        changes: list[list[float]] = [[] for _ in maps]
        for noisy in rounds:
            for heatmap, grid, known in zip(maps, grids, changes, strict=True):
                others = (again_on_cells(heatmap, made, image, cells) for made in noisy)
                known += [float(max_sensitivity(grid, other[None])) for other in others if other is not None]
            if all(map(self._enough, changes)):
                break
        return [_scores(known) for known in changes]

    def remark(self, scores: Sequence[NoiseScores]) -> str:
        """What is said of the copies, of all maps together."""
        words = f"Noise: {max(known.copies for known in scores):,} noisy copies"
        shares = [
            known.error / known.mean for known in scores if known.mean > 0 and not math.isnan(known.error)
        ]
        if not shares:
            return f"{words}."
        words = f"{words}; the standard error of a map's mean change is at most {percent(max(shares))} of it"
        if self.tolerance is None or max(shares) <= self.tolerance:
            return f"{words}."
        return f"{words}, where --tolerance {100 * self.tolerance:g}% asks for less: give more --samples."

    def _enough(self, changes: Sequence[float]) -> bool:
        known = _scores(changes)
        # To 1 in 256 of the tolerance: last digits do not decide. What is not known does not become known.
        return self.tolerance is not None and not (
            known.error > 0 and round(256 * known.error / (self.tolerance * known.mean)) > 256
        )


def _scores(changes: Sequence[float]) -> NoiseScores:
    known = [change for change in changes if math.isfinite(change)]
    if not known:
        return NoiseScores(len(changes), math.nan, math.nan, math.nan)
    error = statistics.stdev(known) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return NoiseScores(len(known), statistics.fmean(known), error, max(known))


def noisy(
    model: Model, image: Batch, commands: Sequence[ImageCommand], index: int, samples: int
) -> Iterator[list[Maps]]:
    """The maps of a class for copies of an image, to every value of which noise up to `RADIUS` is added.

    Args:
        model: The model. Called inside `borrowed()`.
        image: The image, as a batch of one.
        commands: Bound commands that make maps.
        index: The class that is explained; of a function it does not count.
        samples: How many copies at most.

    Yields:
        Those of some copies at a time, which are made when they are asked for. The first copies are the same, however
        many follow.
    """
    import torch

    from cnnexplain.commands._randomised import maps_of, of_class

    generator = torch.Generator().manual_seed(model.seed)
    commands = [of_class(command, index) for command in commands]
    for first in range(0, samples, AT_ONCE):
        shape = (min(AT_ONCE, samples - first), *image.inputs.shape[1:])
        noise = (torch.rand(shape, generator=generator) * 2 - 1) * RADIUS
        copies = replace(
            image,
            inputs=model.layout.of(image.inputs + noise.to(image.inputs)),
            pictures=image.pictures * len(noise),
            geometries=image.geometries * len(noise),
            expected=None,
        )
        yield maps_of(model, copies, commands)
