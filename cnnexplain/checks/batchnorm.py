"""Statistics of batch normalisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core import words
from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Level, Measurement, Need, Skipped

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.engine.weights.misplaced import Misplaced

__all__ = ["BatchNorm"]

PICTURES = 8  # whose means are looked at
# Of so many all together are the pictures on which layers are tried in each other's place.
PIXELS = 4 * 224**2
MOST = 64  # such pictures
TRIED = 64  # pairs of layers, those that are nearest first
MAPPED = "look at how names of layers are mapped where the checkpoint is loaded or converted"


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisations hold statistics of data, all of them possible."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "With means of 0 and variances of 1, as before training, or with impossible ones, all that comes after is fed "
        "wrongly scaled maps, though every weight is right."
    )
    needs: ClassVar[tuple[Need, ...]] = ()

    zeros: Annotated[
        float,
        Param(
            "Share of a layer's channels whose variance may be zero. Dead channels' are: up to 22% in good models.",
            min=0,
            max=1,
        ),
    ] = 0.5
    apart: Annotated[
        float,
        Param(
            "With pictures: standard deviations by which the means of what arrives at a layer may depart from its "
            "running means before it is tried whether two layers are exchanged together with their norms. Photographs "
            "reach 0.8 in the bundled model, two such layers exchanged 1.5 to 26.",
            min=0,
            max=1000,
        ),
    ] = 1.0

    def measure(self, subject: Subject) -> Measurement:
        """Examine the running mean and variance of every layer that keeps them; with pictures also the inputs."""
        from cnnexplain.checks.suite.layers import some
        from cnnexplain.engine.weights.running import running_statistics

        total = 0
        rows: list[tuple[str, str]] = []
        for name, mean, variance in running_statistics(subject.model):
            total += 1
            if why := self._wrong(mean, variance):
                rows.append((name, why))
        if not total:
            raise Skipped("no layer keeps a running mean and variance")
        total_text = words.count(total, "batch normalisation")
        if not rows:
            all_of = f"{total_text} holds" if total == 1 else f"all {total_text} hold"
            return self._arriving(subject, f"{all_of} statistics of data")
        first = rows[0][1]
        names = [name for name, _ in rows]
        return Measurement(
            good=False,
            says=f"{len(rows)} of {total_text} cannot be right: {some(names)}; the first: {first}",
            value=len(rows),
            do="load running_mean and running_var too (they are buffers, no parameters), or train with model.train()",
            table=EvidenceTable(("layer", "what is wrong"), tuple(rows[:ROWS])),
        )

    def _arriving(self, subject: Subject, good: str) -> Measurement:
        """Compare the inputs of each layer with its statistics, and look for exchanged layers."""
        from cnnexplain.engine.weights.misplaced import misplaced, nearest
        from cnnexplain.engine.weights.running import mismatches

        if not subject.examples or subject.broken:
            return Measurement(good=True, says=good, value=0)
        model, inputs = subject.model, subject.inputs(slice(PICTURES))
        model.heads.of(model, len(inputs))  # looks at a blank picture once, which is not to be watched
        height, width = inputs.shape[-2:]
        sample = subject.inputs(slice(min(MOST, max(2, PIXELS // (height * width)))))
        if circles := misplaced(model, sample):
            return _exchanged(circles)
        before = mismatches(model, inputs)
        worst = max(before, key=lambda name: before[name], default=None)
        if worst is None or not before[worst] > self.apart:
            return Measurement(good=True, says=good, value=0)
        away = f"what arrives at {worst} is {before[worst]:.1f} standard deviations from its means"
        pair = nearest(model, sample, TRIED)
        if pair is None:
            says = f"{good}; {away}, as with other pictures than those of its training: see normalisation"
            return Measurement(good=True, says=says, value=0)
        first, second, both = pair
        layers_text = (
            f"{first} and {second}, each with its batch normalisation,"
            if both
            else f"the weights of {first} and {second}"
        )
        return Measurement(
            good=False,
            says=f"{layers_text} seem to be exchanged: {away}, and all layers agree better with their statistics after "
            "exchanging them back",
            value=before[worst],
            do=MAPPED,
            table=EvidenceTable(
                ("layer", "standard deviations from its means"),
                tuple(
                    (name, f"{value:.2f}")
                    for name, value in sorted(before.items(), key=lambda item: -item[1])[:ROWS]
                ),
            ),
        )

    def _wrong(self, mean: Tensor, variance: Tensor) -> str:
        if not bool(mean.isfinite().all() and variance.isfinite().all()):
            return "a mean or variance is not finite"
        if negative := int((variance < 0).sum()):
            return f"{negative} of {len(variance)} variances are negative"
        if not bool(mean.any()) and bool((variance == 1).all()):
            return "means are all 0 and variances all 1, as before training"
        zeros = int((variance == 0).sum())
        if zeros > self.zeros * len(variance):
            return f"{zeros} of {len(variance)} variances are zero, more than {self.zeros:.0%}"
        return ""


def _exchanged(circles: list[tuple[Misplaced, ...]]) -> Measurement:
    """The result for layers that the weights of other layers fit better."""
    entries = [entry for circle in circles for entry in circle]
    groups = "; of ".join(words.listed([entry.layer for entry in circle]) for circle in circles)
    first = entries[0]
    return Measurement(
        good=False,
        says=f"the weights of {groups} seem to be exchanged: with those of {first.holder} what {first.layer} gives "
        f"agrees with the statistics behind it by {first.other:.2f}, with its own by {first.own:.2f}",
        value=len(entries),
        do=MAPPED,
        table=EvidenceTable(
            ("layer", "agrees with the weights of", "by", "with its own by"),
            tuple(
                (entry.layer, entry.holder, f"{entry.other:.2f}", f"{entry.own:.2f}")
                for entry in entries[:ROWS]
            ),
        ),
    )
