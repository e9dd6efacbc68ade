"""Layers that were never loaded, or never trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.engine.weights.kernels import Weights

__all__ = ["UntrainedLayers"]

Row = tuple[str, str, str]  # layer, what its weights look like, how far they are from independent draws


@dataclass(frozen=True)
class UntrainedLayers:
    """No layer's weights still follow their initialisation."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "A head or block that a checkpoint did not fill, or that was frozen by mistake, holds random weights, and "
        "nothing says so."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    deviations: Annotated[
        float,
        Param(
            "Standard deviations from independent draws up to which weights count as untrained. Of 440 fresh layers "
            "none had more than 4.1, of trained ones with 4096 weights and more none less than 18.",
            min=0,
            max=1000,
        ),
    ] = 5.0
    least: Annotated[
        int,
        Param(
            "Layers of fewer weights are held against the exact bounds of usual initialisations only: after some "
            "hundred steps of training their statistics may still look untrained.",
            min=1,
            max=10**9,
        ),
    ] = 4096
    fewest: Annotated[
        int,
        Param(
            "Layers of fewer weights than this are left out altogether: a handful may stay within any bound.",
            min=1,
            max=10**9,
        ),
    ] = 128

    def measure(self, subject: Subject) -> Measurement:
        """Compare every layer's weights with independent draws, and with the usual initialisations.

        Layers with a single value throughout need no statistics.
        """
        from cnnexplain.checks.suite.layers import readable
        from cnnexplain.engine.weights.initialisations import initialisation

        survey = _Survey()
        for layer, values in readable(subject):
            if values.min() == values.max() and (values.size >= self.least or not values.any()):
                survey.tested += 1
                survey.rows.append((layer.name, f"all are {float(values.flat[0]):g}", "–"))
            elif values.size < min(self.fewest, self.least) or values.ndim < 2 or layer.shape is None:
                # The last layer first, most often a new head: the message has to show that it was left out.
                survey.tiny.insert(0, layer.name)
            elif values.size < self.least:
                survey.small.insert(0, layer.name)
                if (drawn := initialisation(values, layer.shape, layer.bias())) is not None:
                    survey.tested += 1
                    bound = f"none exceeds {drawn.scale:.4g}" if drawn.uniform else "–"
                    survey.rows.append((layer.name, drawn.name, bound))
            else:
                survey.tested += 1
                if (row := self._independent(layer, layer.shape, values)) is not None:
                    survey.rows.append(row)
        return self._measurement(survey)

    def _independent(self, layer: Weights, shape: tuple[int, ...], values: NDArray[np.float32]) -> Row | None:
        """The row of a layer whose weights could be independent draws; None where they could not."""
        from cnnexplain.engine.weights.independence import independence
        from cnnexplain.engine.weights.initialisations import initialisation

        draws = independence(values)
        if draws.deviations > self.deviations:
            return None
        drawn = initialisation(values, shape, layer.bias(), random=True)
        name = draws.shape if drawn is None else drawn.name
        return layer.name, name, f"{draws.deviations:.1f} ({draws.figure})"

    def _measurement(self, survey: _Survey) -> Measurement:
        """What is said of all layers."""
        from cnnexplain.checks.suite.layers import some
        from cnnexplain.core.words import count

        if not survey.tested and not survey.small:
            raise Skipped(f"no layer has the {self.fewest} weights that it takes to tell")
        left_out = ""
        if survey.small:
            left_out += f"; {len(survey.small)} with fewer than {self.least} weights, by exact bounds only: "
            left_out += some(survey.small)
        if survey.tiny:
            left_out += f"; {len(survey.tiny)} with fewer than {self.fewest} left out: {some(survey.tiny)}"
        rows = survey.rows
        if not rows:
            layers = count(survey.tested + len(survey.small), "layer")
            return Measurement(
                good=True, says=f"none of {layers} follows its initialisation{left_out}", value=0
            )
        follow = "follows its" if len(rows) == 1 else "follow their"
        return Measurement(
            good=False,
            says=f"{len(rows)} of {count(survey.tested, 'layer')} still {follow} initialisation: "
            f"{some([name for name, _, _ in rows])} ({rows[0][1]}){left_out}",
            value=len(rows),
            do="see whether the checkpoint has weights for them (names, --no-strict), and whether they were trained",
            table=EvidenceTable(
                ("layer", "weights look", "deviations from independent draws"), tuple(rows[:ROWS])
            ),
        )


@dataclass
class _Survey:
    """What was seen of all layers, names of those that were left out from the last one to the first."""

    tested: int = 0
    small: list[str] = field(default_factory=list)
    tiny: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
