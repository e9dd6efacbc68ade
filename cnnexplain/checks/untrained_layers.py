"""Layers that were never loaded, or never trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["UntrainedLayers"]


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
        from cnnexplain.checks.suite.layers import readable, some
        from cnnexplain.core.words import count
        from cnnexplain.engine.weights.independence import independence
        from cnnexplain.engine.weights.initialisations import initialisation

        tested = 0
        small: list[str] = []
        tiny: list[str] = []
        rows: list[tuple[float, str, str, str]] = []
        for layer, values in readable(subject):
            if values.min() == values.max() and (values.size >= self.least or not values.any()):
                tested += 1
                rows.append((0.0, layer.name, f"all are {float(values.flat[0]):g}", "–"))
                continue
            if values.size < min(self.fewest, self.least) or values.ndim < 2 or layer.shape is None:
                # The last layer first, most often a new head: the message has to show that it was left out.
                tiny.insert(0, layer.name)
                continue
            if values.size < self.least:
                small.insert(0, layer.name)
                drawn = initialisation(values, layer.shape, layer.bias())
                if drawn is not None:
                    tested += 1
                    rows.append(
                        (
                            0.0,
                            layer.name,
                            drawn.name,
                            f"none exceeds {drawn.scale:.4g}" if drawn.uniform else "–",
                        )
                    )
                continue
            tested += 1
            draws = independence(values)
            if draws.deviations <= self.deviations:
                drawn = initialisation(values, layer.shape, layer.bias(), random=True)
                shape = draws.shape if drawn is None else drawn.name
                rows.append((draws.deviations, layer.name, shape, f"{draws.deviations:.1f} ({draws.figure})"))
        left_out = (
            f"; {len(small)} with fewer than {self.least} weights, by exact bounds only: {some(small)}"
            if small
            else ""
        )
        left_out += f"; {len(tiny)} with fewer than {self.fewest} left out: {some(tiny)}" if tiny else ""
        if not tested and not small:
            raise Skipped(f"no layer has the {self.fewest} weights that it takes to tell")
        if not rows:
            return Measurement(
                good=True,
                says=f"none of {count(tested + len(small), 'layer')} follows its initialisation{left_out}",
                value=0,
            )
        names = [name for _, name, _, _ in rows]
        return Measurement(
            good=False,
            says=f"{len(rows)} of {count(tested, 'layer')} still {'follows its' if len(rows) == 1 else 'follow their'} "
            f"initialisation: {some(names)} ({rows[0][2]}){left_out}",
            value=len(rows),
            do="see whether the checkpoint has weights for them (names, --no-strict), and whether they were trained",
            table=EvidenceTable(
                ("layer", "weights look", "deviations from independent draws"),
                tuple(row[1:] for row in rows[:ROWS]),
            ),
        )
