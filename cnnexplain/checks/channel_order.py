"""Red, green and blue in the order that the model was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, EvidenceTable, Gallery, Level, Measurement, Need, Skipped, Thumbnail

if TYPE_CHECKING:
    from cnnexplain.checks.suite.paired import Performance
    from cnnexplain.checks.suite.subject import Subject

__all__ = ["ChannelOrder"]

SHOTS = 4


@dataclass(frozen=True)
class ChannelOrder:
    """The model does no better on pictures whose red and blue are swapped."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "OpenCV reads pictures as BGR: a model that was trained on those and is fed RGB still answers, a little worse."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures",)

    gain: Annotated[
        float,
        Param(
            "What swapping must add to be held against the model: to the share of pictures recognised, or without "
            "labels to the mean certainty. One picture in twenty: less is of no matter, even where it is sure.",
            min=0,
            max=1,
        ),
    ] = 0.05
    chance: Annotated[
        float,
        Param(
            "How likely the difference may be by accident. At 0.02 it takes six pictures that all agree.",
            min=1e-9,
            max=0.5,
        ),
    ] = 0.02

    def measure(self, subject: Subject) -> Measurement:
        """Swap the channels of all pictures that have colours, and compare the answers picture by picture."""
        import numpy as np
        import torch

        from cnnexplain.checks.suite import paired as _paired

        if subject.model.preprocess.channels != 3:
            raise Skipped(
                f"its input has no red, green and blue: channels are {subject.model.preprocess.channels}"
            )
        pixels = [example.pixels for example in subject.examples]
        coloured = [
            place for place, picture in enumerate(pixels) if bool((picture[..., 0] != picture[..., 2]).any())
        ]
        if not coloured:
            raise Skipped("the pictures are grey: their red and blue are the same")
        _paired.require_enough(len(coloured), self.chance, "picture with colours", "pictures with colours")
        coloured_places = torch.tensor(coloured)
        swapped = [np.ascontiguousarray(pixels[place][..., ::-1]) for place in coloured]
        own = _paired.answers(subject, subject.logits[coloured_places], coloured_places)
        other = _paired.answers(subject, subject.scored(swapped), coloured_places)
        outcome = own.against(other, self.gain, self.chance)
        measure = _paired.measured_by(subject)
        figures = f"{measure} {own.words} as fed and {other.words} with red and blue swapped{own.guesses}"
        improvement = other.value - own.value
        _paired.require_seeing((own, other), self.chance)
        if outcome == "cannot tell":
            hint = "" if subject.labelled else ", and labels would say more"
            raise Skipped(f"cannot tell from {len(coloured)} pictures: {figures}{hint}")
        table = _table(subject, coloured, own, other)
        if outcome != "better":
            return Measurement(good=True, says=figures, value=improvement, table=table)
        return Measurement(
            good=False,
            says=f"the model does better on swapped channels: {figures}",
            value=improvement,
            do="it was probably trained on BGR, as OpenCV reads pictures: swap the channels before the model, or flip "
            "the input channels of its first convolution",
            table=table,
            drawing=_gallery(subject, coloured, own, other),
        )


def _order(own: Performance, other: Performance) -> list[int]:
    """The places of the pictures that gain most by the swap first."""
    places: list[int] = own.gains(other).argsort(descending=True, stable=True).tolist()
    return places


def _answer(subject: Subject, answers: Performance, place: int) -> str:
    best = int(answers.best[place])
    return f"{subject.model.labels[best]} {float(answers.chances[place, best]):.2f}"


def _table(subject: Subject, places: list[int], own: Performance, other: Performance) -> EvidenceTable:
    head: tuple[str, ...] = ("picture", "as fed", "swapped")
    if own.labels is not None:
        head += ("its class as fed", "its class swapped")
    rows = []
    for place in _order(own, other)[:ROWS]:
        name = subject.examples[places[place]].name
        row: tuple[str, ...] = (name, _answer(subject, own, place), _answer(subject, other, place))
        if own.labels is not None:
            row += (f"{float(own.each[place]):.3f}", f"{float(other.each[place]):.3f}")
        rows.append(row)
    return EvidenceTable(head, tuple(rows))


def _gallery(subject: Subject, places: list[int], own: Performance, other: Performance) -> Gallery:
    thumbnails = []
    for place in _order(own, other)[:SHOTS]:
        pixels = subject.examples[places[place]].pixels
        thumbnails.append(Thumbnail(pixels, f"as fed: {_answer(subject, own, place)}"))
        thumbnails.append(Thumbnail(pixels[..., ::-1].copy(), f"swapped: {_answer(subject, other, place)}"))
    return Gallery("what swapping red and blue adds to most", tuple(thumbnails))
