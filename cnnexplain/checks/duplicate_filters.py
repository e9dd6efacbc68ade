"""Filters that are there twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["DuplicateFilters"]


@dataclass(frozen=True)
class DuplicateFilters:
    """No filter is there twice."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "Two equal filters get equal gradients and stay equal: a layer that was initialised with a constant, or copied "
        "to widen it, never uses its width."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    share: Annotated[
        float,
        Param(
            "Share of a layer's filters that may have a near-duplicate, with a cosine of 0.99 or more. Good models "
            "have none. Filters that are equal to the last bit always count.",
            min=0,
            max=1,
        ),
    ] = 0.05
    least: Annotated[
        int,
        Param(
            "Filters of fewer weights, and depthwise ones, are left out: there are not many useful ones, and good "
            "models have them many times.",
            min=4,
            max=10**9,
        ),
    ] = 27

    def measure(self, subject: Subject) -> Measurement:
        """Count, in every layer, living filters that have the direction of another filter."""
        from cnnexplain.checks.suite.layers import some
        from cnnexplain.core import words

        total = 0
        largest = 0.0
        bad: list[tuple[float, tuple[str, ...]]] = []
        for layer in subject.counted:
            alike, count = layer.statistics.alike, len(layer.statistics.norms)
            if alike is None or layer.size < self.least or layer.depthwise or count < 2:
                continue
            total += 1
            share = alike.filters / count
            largest = max(largest, share)
            if alike.equal or share > self.share:
                pairs = ", ".join(f"{first} and {second}" for first, second, _ in alike.closest[:3])
                row = (layer.weights.name, f"{alike.filters} of {count}", f"{alike.equal}", pairs)
                bad.append((share, row))
        if not total:
            raise Skipped(f"no layer has filters of {self.least} weights and more to compare")
        if not bad:
            return Measurement(
                good=True,
                says=f"in {words.count(total, 'layer')} at most {largest:.1%} of the filters have a near-duplicate "
                f"(limit {self.share:.0%}), and none are equal",
                value=largest,
            )
        bad.sort(key=lambda entry: -entry[0])
        rows = tuple(row for _, row in bad)
        name, alike_of, _, pairs = rows[0]
        return Measurement(
            good=False,
            says=f"{len(bad)} of {words.count(total, 'layer')} {'has' if len(bad) == 1 else 'have'} "
            f"equal filters, or near-duplicates of more than {self.share:.0%}: "
            f"{some([row[0] for row in rows])}; in {name} {alike_of} filters, as {pairs}",
            value=largest,
            do="initialise with random numbers, and see whether something was copied; cnnexplain filters "
            "--sort likeness -l LAYER shows them side by side",
            table=EvidenceTable(("layer", "filters with a duplicate", "equal pairs", "closest"), rows[:ROWS]),
        )
