"""Answers that a small shift or a mirror leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Gallery, Level, Measurement, Need, Skipped, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["FlipAndShift"]

SHOTS = 4
SHIFT = 56  # of the shorter side: four pixels of 224
COARSE = 24  # pixels, below which a shift by a pixel is not small
MIRRORED = "mirrored"


@dataclass(frozen=True)
class FlipAndShift:
    """Answers hardly change when a picture is shifted by a few pixels, or mirrored."""

    level: ClassVar[Level] = "warn"
    why: ClassVar[str] = (
        "What hangs on where exactly a thing stands was learned by heart, and goes wrong on new pictures."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    moved: Annotated[
        float,
        Param(
            "Largest mean share of the probability that may go over to other classes. Of a good model, on photographs, "
            "it is 0.1 to 0.2.",
            min=0,
            max=1,
        ),
    ] = 0.35
    answers: Annotated[
        float,
        Param(
            "Largest share of the answers that may change, which finds models that are certain of nothing. Where first "
            "and second class are nearly even they change of themselves: of a good model 4 of 8 did.",
            min=0,
            max=1,
        ),
    ] = 0.75
    chance: Annotated[
        float,
        Param(
            "How likely it may be that so much changes by accident. At 0.02 it takes six pictures that all agree.",
            min=1e-9,
            max=0.5,
        ),
    ] = 0.02

    def measure(self, subject: Subject) -> Measurement:
        """Shift all pictures both ways along a diagonal, mirror them, and see how far the probabilities move."""
        from cnnexplain.checks.suite import paired as _paired
        from cnnexplain.core.words import count

        _paired.require_enough(len(subject.examples), self.chance)
        changes = _changes(subject)
        pixels = [example.pixels for example in subject.examples]
        answers = {
            name: subject.chances_of(subject.scored([change(picture) for picture in pixels])).nan_to_num(0)
            for name, change in changes.items()
        }
        moved = {name: (chances - subject.chances).abs().sum(1) / 2 for name, chances in answers.items()}
        counted = dict(moved)
        aside = ""
        if self._strange(subject, answers[MIRRORED]):
            del counted[MIRRORED]
            aside = "; mirrored pictures are strange to the model, as writing would be, and are not counted"
        if not counted:
            raise Skipped(f"cannot tell: a shift by one pixel is no small one of {_side(subject)}{aside}")
        changed = {name: (answers[name].argmax(1) != subject.best).double() for name in counted}
        exceeding = {  # by how much a limit is exceeded, picture by picture
            name: [
                excess
                for excess in (far - self.moved, changed[name] - self.answers)
                if float(excess.mean()) > 0
            ]
            for name, far in counted.items()
        }
        certain = [
            name
            for name, exceeded in exceeding.items()
            if any(_paired.likely(excess) <= self.chance for excess in exceeded)
        ]
        suspected = [name for name, exceeded in exceeding.items() if exceeded]
        worst = max(certain or suspected or counted, key=lambda name: float(counted[name].mean()))
        value = float(counted[worst].mean())
        table = _table(subject, moved)
        says = (
            f"{value:.2f} of the probability moves to other classes when pictures are {worst}, where {self.moved:g} "
            f"is allowed, and {int(changed[worst].sum())} of {count(len(pixels), 'answer')} change, where "
            f"{self.answers:.0%} may{aside}"
        )
        if not suspected:
            return Measurement(good=True, says=says, value=value, table=table)
        if not certain:
            raise Skipped(f"cannot tell from so few pictures: {says}")
        return Measurement(
            good=False,
            says=says,
            value=value,
            do="train with random crops and mirrored pictures; of things for which left and right matter, raise the "
            "limit",
            table=table,
            drawing=_gallery(subject, worst, changes[worst], answers[worst], counted[worst]),
        )

    def _strange(self, subject: Subject, mirrored: Tensor) -> bool:
        """Whether the model is less certain of mirrored pictures: then it has never seen the like.

        Digits and writing are something else when mirrored, and no model is to blame for answering otherwise.
        """
        from cnnexplain.checks.suite import paired as _paired

        own = subject.chances.amax(1).log()
        return _paired.likely(own - mirrored.amax(1).clamp_min(1e-30).log()) <= self.chance


def _side(subject: Subject) -> int:
    return min(subject.model.preprocess.input_size)


def _changes(subject: Subject) -> dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]:
    """The changes that are made to a picture (H, W, C), by their names."""
    import numpy as np

    def mirrored(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(pixels[:, ::-1])

    def shifted(pixels: NDArray[np.uint8], down: int, across: int) -> NDArray[np.uint8]:
        # What comes in at the rim repeats the rim: a black bar would be something new to see.
        size = max(abs(down), abs(across))
        height, width = pixels.shape[:2]
        wide = np.pad(pixels, ((size, size), (size, size), (0, 0)), mode="edge")
        return wide[size - down : size - down + height, size - across : size - across + width]

    side = _side(subject)
    changes: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {MIRRORED: mirrored}
    if side >= COARSE:
        by = max(1, round(side / SHIFT))
        pixels = "1 pixel" if by == 1 else f"{by} pixels"
        changes[f"shifted by {pixels} right and down"] = partial(shifted, down=by, across=by)
        changes[f"shifted by {pixels} left and up"] = partial(shifted, down=-by, across=-by)
    return changes


def _table(subject: Subject, moved: dict[str, Tensor]) -> EvidenceTable:
    import torch

    distances = torch.stack(list(moved.values()))
    order = distances.amax(0).argsort(descending=True, stable=True).tolist()[:ROWS]
    rows = tuple(
        (subject.examples[place].name, *(f"{value:.2f}" for value in distances[:, place].tolist()))
        for place in order
    )
    return EvidenceTable(("picture", *moved), rows)


def _gallery(
    subject: Subject,
    name: str,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    answers: Tensor,
    distances: Tensor,
) -> Gallery:
    """The pictures whose answers change most, as they are and changed."""
    thumbnails = []
    for place in distances.argsort(descending=True, stable=True).tolist()[:SHOTS]:
        original = subject.examples[place].pixels
        for description, pixels, row in (
            ("as fed", original, subject.chances[place]),
            (name, change(original), answers[place]),
        ):
            best = int(row.argmax())
            thumbnails.append(
                Thumbnail(pixels, f"{description}: {subject.model.labels[best]} {float(row[best]):.2f}")
            )
    return Gallery("the answers that change most", tuple(thumbnails))
