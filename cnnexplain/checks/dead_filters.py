"""Filters that do nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["DeadFilters"]


@dataclass(frozen=True)
class DeadFilters:
    """Filters are not zero, and few are next to nothing.

    It warns, and fails where so many are zero that answers must suffer.
    """

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A filter of zeros answers nothing to everything: it was pruned, cleared or lost. Many faint ones are "
        "width that the model pays for and does not use."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    share: Annotated[
        float,
        Param(
            "Share of a layer's filters that may be dead, with a norm of at most 1% of the layer's root mean square. "
            "In good models up to 22% of a layer are.",
            min=0,
            max=1,
        ),
    ] = 0.3
    zeros: Annotated[
        int,
        Param(
            "Filters of nothing but zeros that a layer may have, depthwise ones aside. Weight decay makes faint ones, "
            "but no zeros; where nothing comes in, it does so in depthwise layers.",
            min=0,
            max=10**9,
        ),
    ] = 0

    lost: Annotated[
        float,
        Param(
            "Share of a layer's filters that may be zeros before the check fails instead of warning, one aside; of "
            "depthwise ones `share`. A tenth of the bundled model's stem cleared changes 28% of its answers.",
            min=0,
            max=1,
        ),
    ] = 0.1

    def measure(self, subject: Subject) -> Measurement:
        """Count dead filters of every layer; those that are zero to the last bit count for themselves."""
        from cnnexplain.checks.suite.layers import some
        from cnnexplain.core import words

        # Zeros alone: untrained-layers.
        layers = [layer for layer in subject.counted if layer.statistics.limit > 0]
        if not layers:
            raise Skipped("it has no layer with filters that can be read")
        bad: list[tuple[float, tuple[str, ...]]] = []
        total, largest, grave = 0, 0.0, False
        for layer in layers:
            count, dead = len(layer.statistics.norms), len(layer.statistics.dead)
            total += dead
            largest = max(largest, dead / count)
            # Where nothing comes in, training clears depthwise kernels.
            counted, lost = (0, self.share) if layer.depthwise else (layer.zeros, self.lost)
            grave = grave or layer.zeros > max(1, lost * count, self.zeros)
            if dead > self.share * count or counted > self.zeros:
                first = ", ".join(map(str, layer.statistics.dead[:8])) + (", …" if dead > 8 else "")
                bad.append(
                    (dead / count, (layer.weights.name, f"{dead} of {count}", str(layer.zeros), first))
                )
        if not bad:
            return Measurement(
                good=True,
                says=f"{words.count(total, 'dead filter')} in {words.count(len(layers), 'layer')}, "
                f"at most {largest:.1%} of one (limit "
                f"{self.share:.0%}), and none of zeros",
                value=largest,
            )
        bad.sort(key=lambda entry: -entry[0])
        rows = tuple(row for _, row in bad)
        name, dead_of, zeros, _ = rows[0]
        return Measurement(
            good=False,
            says=f"{len(bad)} of {words.count(len(layers), 'layer')} {'has' if len(bad) == 1 else 'have'} "
            f"filters of zeros, or more than {self.share:.0%} dead: "
            f"{some([row[0] for row in rows])}; in {name} {dead_of} are dead, {zeros} of them zeros",
            value=largest,
            do="look at them with cnnexplain filters -l LAYER; load or export the checkpoint again; if they were "
            "pruned on purpose, raise zeros and share",
            table=EvidenceTable(("layer", "dead", "of zeros", "which"), rows[:ROWS]),
            grave=grave,
        )
