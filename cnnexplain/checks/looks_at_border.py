"""Evidence that sits in the margins of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Gallery, Level, Measurement, Need, Skipped, Thumbnail

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["LooksAtBorder"]
ENOUGH = 4  # pictures: of fewer the subject may well stand at the edge
SHOWN = 8


@dataclass(frozen=True)
class LooksAtBorder:
    """The evidence for a class does not sit in the margins of the pictures."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "A model that looks at edges, frames or captions has found a shortcut in its training pictures, or answers to "
        "the padding."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    margin: Annotated[
        float,
        Param("Width of the margin, a share of each side: a tenth holds few subjects.", min=0.01, max=0.4),
    ] = 0.1
    excess: Annotated[
        float,
        Param(
            "Largest mean of the margin's share of the evidence, as a multiple of its share of the area; even evidence "
            "has 1, and 2.8 is all that there can be in a margin of a tenth.",
            min=0,
            max=100,
        ),
    ] = 1.5

    def measure(self, subject: Subject) -> Measurement:
        """Add up the positive values in the margin, and divide by the margin's share of the area."""
        from cnnexplain.checks.suite import explained as _explained

        maps = _explained.maps(subject)
        positive = maps.clamp(min=0).double()
        total = positive.sum((1, 2))
        usable = (total > 0) & total.isfinite()
        if int(usable.sum()) < ENOUGH:
            raise Skipped(f"maps with evidence for a class: {int(usable.sum())}; {ENOUGH} are needed to tell")
        outside = self._outside(maps.shape[1], maps.shape[2])
        area = float(outside.mean())
        largest = _outermost(outside) / area
        if largest <= self.excess:
            raise Skipped(
                f"maps of {maps.shape[1]}x{maps.shape[2]} are too coarse to tell: evidence in nothing but the "
                f"outermost cells would have {largest:.2f} times its share, where {self.excess:g} is allowed"
            )
        shares = (positive * outside).sum((1, 2)) / total
        value = float(shares[usable].mean()) / area
        order = [
            place for place in shares.nan_to_num(-1).argsort(descending=True).tolist() if bool(usable[place])
        ]
        names = [example.name for example in subject.examples]
        result = Measurement(
            good=value <= self.excess,
            says=f"{value * area:.0%} of the evidence lies in the outer margin, which is {area:.0%} of the area, or "
            f"{value:.2f} times its share; the limit is {self.excess:g}",
            value=value,
            do="look at the pictures below: crop frames and captions away, and train with random crops",
            table=EvidenceTable(
                ("picture", "evidence in the margin", "multiple of its area"),
                tuple(
                    (names[place], f"{float(shares[place]):.0%}", f"{float(shares[place]) / area:.2f}")
                    for place in order[:ROWS]
                ),
            ),
            drawing=Gallery(
                "Most evidence in the margin first",
                tuple(
                    Thumbnail(
                        subject.examples[place].pixels,
                        f"{names[place].rpartition('/')[2]}: {float(shares[place]):.0%} in the margin",
                        maps[place].float().numpy(),
                    )
                    for place in order[:SHOWN]
                ),
            ),
        )
        return _explained.limited(result, subject)

    def _outside(self, rows: int, columns: int) -> Tensor:
        """What share of each cell of a map lies in the margin (h, w)."""
        import torch

        def inside(cells: int) -> Tensor:
            edges = torch.arange(cells + 1, dtype=torch.float64) / cells
            clamped = edges.clamp(self.margin, 1 - self.margin)
            return (clamped[1:] - clamped[:-1]) * cells

        return 1 - inside(rows)[:, None] * inside(columns)


def _outermost(outside: Tensor) -> float:
    """What share would lie in the margin (h, w) of evidence in the outermost cells alone, even among them."""
    import torch

    ring = torch.ones_like(outside, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    return float(outside[ring].mean())
