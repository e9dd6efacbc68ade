"""Answers and maps against those of a stored run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Gallery, Level, Measurement, Need, Skipped, Thumbnail

if TYPE_CHECKING:
    from cnnexplain.checks.suite.compared import Comparison
    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.core.baseline import StoredRun

__all__ = ["Baseline"]

SHOWN = 4


@dataclass(frozen=True)
class Baseline:
    """Every picture is answered, and explained, as in a stored run."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "A new version of a library, another device or an export may change answers, or the reasons for them, and "
        "nothing says so."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures", "baseline")

    probability: Annotated[
        float,
        Param(
            "Largest change of the stored best class's probability, per picture: threads, batches and kernels changed "
            "it by 0.000001, weights kept as float16 by 0.003, bfloat16 by 0.03, one first filter zeroed by 0.1.",
            min=0,
            max=1,
        ),
    ] = 0.01
    correlation: Annotated[
        float,
        Param(
            "Least rank correlation of a picture's Grad-CAM map with the stored one, per picture: threads, batches and "
            "kernels left 1.000, bfloat16 0.994, another resampling 0.98, one first filter zeroed 0.93.",
            min=-1,
            max=1,
        ),
    ] = 0.99
    shift: Annotated[
        float,
        Param(
            "How far the map's peak may have moved, per picture, in pixels of the input: rounding and bfloat16 moved "
            "it nowhere, and a cell is 32 pixels for most models.",
            min=0,
            max=1e6,
        ),
    ] = 0.0
    same: Annotated[
        tuple[str, ...],
        Param(
            "What must be the same for the two to be compared at all; leave out weights to compare a model that was "
            "trained again. Versions are reported where they differ, since finding what they change is the purpose.",
            choices=("model", "weights", "preprocessing", "images", "versions"),
            split=True,
        ),
    ] = ("model", "weights", "preprocessing", "images")

    def measure(self, subject: Subject) -> Measurement:
        """Compare class, probability and map of every picture; the worst picture decides."""
        from cnnexplain.checks.suite import explained as _explained
        from cnnexplain.checks.suite.compared import compared

        stored = subject.baseline
        if stored is None:
            raise Skipped("there is no stored run")
        try:
            pictures = compared(subject, stored)
        except Skipped as reason:  # to skip it would be to pass it
            return Measurement(
                good=False,
                says=f"cannot be compared: {reason}",
                do="see what finite and summary say of the model, or try --precision fp32",
            )
        size = subject.model.preprocess.input_size
        bad = [picture for picture in pictures if self._broken(picture, size)]
        # Pictures that break no limit come last, however little their maps are like the stored ones.
        pictures.sort(
            key=lambda picture: (
                -max(self._broken(picture, size).values(), default=0),
                picture.correlation,
                -abs(picture.change),
            )
        )
        summary = self._summary(pictures, len(bad)) + _differing(subject, stored)
        value = min(picture.correlation for picture in pictures)
        drawing = (
            Gallery("Least like the stored run", _thumbnails(pictures[: min(len(bad), SHOWN)]))
            if bad
            else None
        )
        result = Measurement(
            good=not bad,
            says=summary,
            value=value,
            do="find what changed; where the change is meant, store the run again with --update-baseline",
            table=_table([(picture, tuple(self._broken(picture, size))) for picture in pictures[:ROWS]]),
            drawing=drawing,
        )
        return (
            result
            if all(picture.stored is None for picture in pictures)
            else _explained.limited(result, subject)
        )

    def _broken(self, picture: Comparison, size: tuple[int, int]) -> dict[str, float]:
        """By how much a picture exceeds each limit that it exceeds, as a share of the measure's range."""
        excess = {
            "class": picture.lead - self.probability,
            "probability": abs(picture.change) - self.probability,
            "rank correlation": (self.correlation - picture.correlation) / 2,
            "peak": (picture.moved - self.shift) / math.hypot(*size),
        }
        return {name: far for name, far in excess.items() if far > 0}

    def _summary(self, pictures: list[Comparison], bad: int) -> str:
        from cnnexplain.core.words import count

        other_class = sum(picture.lead > self.probability for picture in pictures)
        change = max(abs(picture.change) for picture in pictures)
        total = count(len(pictures), "picture")
        start = f"{bad} of {total} differ from the stored run" if bad else f"{total} as in the stored run"
        parts = [
            f"{other_class} with another best class",
            f"probabilities changed by up to {change:.2g} (limit {self.probability:g})",
        ]
        if all(picture.stored is None for picture in pictures):
            return f"{start}: {', '.join(parts)}; there are no maps to compare"
        correlation, moved = (
            min(picture.correlation for picture in pictures),
            max(picture.moved for picture in pictures),
        )
        parts += [
            f"rank correlation of maps at least {correlation:.3f} (limit {self.correlation:g})",
            f"peaks moved by up to {moved:.0f} pixels (limit {self.shift:g})",
        ]
        return f"{start}: {', '.join(parts)}"


def _differing(subject: Subject, stored: StoredRun) -> str:
    """Versions that are not those of the stored run, in words."""
    from cnnexplain.checks.suite.stored import versions

    now = versions(subject)
    parts = [
        f"{name} {stored.versions.get(name, 'unknown')} instead of {now[name]}"
        for name in now
        if stored.versions.get(name) != now[name]
    ]
    return f"; stored with {', '.join(parts)}" if parts else ""


def _table(pictures: list[tuple[Comparison, tuple[str, ...]]]) -> EvidenceTable:
    head = ("picture", "breaks", "best class", "its probability", "rank correlation", "peak moved by")
    return EvidenceTable(head, tuple(_row(picture, broken) for picture, broken in pictures))


def _row(picture: Comparison, broken: tuple[str, ...]) -> tuple[str, ...]:
    best = f"{picture.was} → {picture.now}" if picture.was != picture.now else picture.was
    chance = f"{picture.chance - picture.change:.4f} → {picture.chance:.4f}"
    maps = (
        ("no map", "no map")
        if picture.stored is None
        else (f"{picture.correlation:.3f}", f"{picture.moved:.0f} px")
    )
    return (picture.name, ", ".join(broken) or "-", best, chance, *maps)


def _thumbnails(pictures: list[Comparison]) -> tuple[Thumbnail, ...]:
    """The worst pictures, each as it was stored and as it is."""
    return tuple(
        thumbnail
        for picture in pictures
        for thumbnail in (
            Thumbnail(
                picture.pixels,
                f"stored: {picture.was} {picture.chance - picture.change:.3f}",
                picture.stored,
            ),
            Thumbnail(
                picture.pixels,
                f"now: {picture.now}, {picture.was} {picture.chance:.3f}",
                picture.values,
            ),
        )
    )
