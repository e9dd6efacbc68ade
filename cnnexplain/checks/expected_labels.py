"""Pictures recognised as what they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.params import Param
from cnnexplain.core.verdict import ROWS, Confusion, EvidenceTable, Level, Measurement, Need

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.checks.suite.subject import Subject

__all__ = ["ExpectedLabels"]

SHOWN = 12  # classes in the drawing
FIVE = 5
UNLIKELY = 0.01  # that guesses are right so often
CERTAIN = 0.5  # mean probability of the best class from which on a model is called certain


@dataclass(frozen=True)
class ExpectedLabels:
    """The pictures are recognised as what they are."""

    level: ClassVar[Level] = "error"
    why: ClassVar[str] = (
        "Whatever else is in order, a model that does not recognise known pictures is of no use."
    )
    needs: ClassVar[tuple[Need, ...]] = ("pictures", "labels")

    top1: Annotated[
        float,
        Param(
            "Least share of the pictures whose class comes first. Half is what a working model hardly falls below; "
            "set what yours reaches on these pictures.",
            min=0,
            max=1,
        ),
    ] = 0.5
    top5: Annotated[
        float,
        Param(
            "Least share of the pictures whose class is among the first five; of use where there are more than five.",
            min=0,
            max=1,
        ),
    ] = 0.7

    def measure(self, subject: Subject) -> Measurement:
        """Count the pictures whose class comes first, and is among the first five."""
        from cnnexplain.checks.suite.order import exchange
        from cnnexplain.core import words
        from cnnexplain.engine.scoring.scores import class_scores

        labels = subject.labels
        # Many probabilities are zero, whose scores differ.
        scores = class_scores(subject.logits).double()
        own = scores.gather(1, labels[:, None])
        # Where several classes score the same, as in a model that says nothing, none of them is recognised.
        ranks = (scores >= own).sum(1) - 1
        # So a picture that is not recognised is taken for another class, equal or not.
        best_others = scores.scatter(1, labels[:, None], -math.inf).argmax(1)
        answered = labels.where(ranks == 0, best_others)
        first, five = int((ranks == 0).sum()), int((ranks < FIVE).sum())
        count, classes = len(labels), scores.shape[1]
        good = first >= self.top1 * count
        many, verb = words.count(count, "picture"), "is" if count == 1 else "are"
        says = (
            f"{first} of {many} {verb} recognised ({first / count:.0%} where {self.top1:.0%} is the least, and guesses "
            f"among {classes:,} classes give {words.percent(1 / classes)})"
        )
        if classes > FIVE:
            good = good and five >= self.top5 * count
            says += f", {five} within the first five ({five / count:.0%} where {self.top5:.0%} is the least)"
        do = _advice(subject, first, classes)
        if moved := exchange(labels.tolist(), answered.tolist(), subject.model.labels):
            # No training makes a model take a class for another, and the other for the first, nearly always.
            good = False
            order = moved.words(subject.model.labels)
            says += f"; labels are in another order: {order}, which makes {moved.right} of {count}"
            do = "put the names in --labels, or those in --labels-from, into the model's order, then check again"
        return Measurement(
            good=good,
            says=says,
            value=first / count,
            do=do,
            table=_worst(subject, scores, ranks, answered),
            drawing=_confusion(subject, answered),
        )


def _advice(subject: Subject, right: int, classes: int) -> str:
    """Advice on a model that recognises too few pictures, by how it fails."""
    from cnnexplain.checks.suite.paired import by_guesses

    if by_guesses(right, len(subject.labels), classes) < UNLIKELY:
        return (
            "it has learnt some of it, more than guesses: see channel-order and normalisation, then train it longer, "
            "or set top1 and top5 to what it reaches on these pictures"
        )
    chances = subject.model.probabilities(subject.logits)
    if chances is not None and float(chances.amax(1).mean()) >= CERTAIN:
        return (
            "it is certain, and no better than guesses: see whether the labels' order is the model's, then "
            "channel-order and normalisation; if these are right, the weights are of another training"
        )
    return (
        "it is no better than guesses, and not certain of anything: see whether its weights were loaded "
        "(untrained-layers) and trained, then channel-order and normalisation, and the labels' order"
    )


def _worst(subject: Subject, scores: Tensor, ranks: Tensor, answered: Tensor) -> EvidenceTable:
    """The pictures whose class is the least likely to the model; those that are recognised are left out."""
    names = subject.model.labels
    chances, labels = subject.model.probabilities(subject.logits), subject.labels

    def chance(place: int, index: int) -> str:
        return "-" if chances is None else f"{float(chances[place, index]):.3f}"

    likely = scores.log_softmax(1).gather(1, labels[:, None])[:, 0]
    rows: list[tuple[str, ...]] = []
    for place in likely.argsort(stable=True).tolist():
        if int(ranks[place]) > 0 and len(rows) < ROWS:
            true, answer = int(labels[place]), int(answered[place])
            rows.append(
                (
                    subject.examples[place].name,
                    names[true],
                    chance(place, true),
                    str(int(ranks[place]) + 1),
                    names[answer],
                    chance(place, answer),
                )
            )
    return EvidenceTable(
        ("picture", "should be", "probability", "place", "taken for", "probability of that"), tuple(rows)
    )


def _confusion(subject: Subject, answered: Tensor) -> Confusion:
    """The confusion of the classes that are mistaken most often; the other classes are counted together."""
    import numpy as np

    from cnnexplain.core.words import count

    names = subject.model.labels
    pairs = list(zip(subject.labels.tolist(), answered.tolist(), strict=True))
    weight: dict[int, tuple[int, int]] = {}
    for true, answer in pairs:
        for index in {true, answer}:
            mistakes, total = weight.get(index, (0, 0))
            weight[index] = (mistakes + (true != answer), total + 1)
    ranked = sorted(weight, key=lambda index: (-weight[index][0], -weight[index][1], index))
    selected = sorted(ranked if len(ranked) <= SHOWN else ranked[: SHOWN - 1])
    place = {label: index for index, label in enumerate(selected)}
    class_names = [names[index] for index in selected]
    if len(selected) < len(ranked):
        class_names.append(f"{len(ranked) - len(selected)} other classes")
    counts = np.zeros((len(class_names), len(class_names)), dtype=np.int64)
    for true, answer in pairs:
        counts[place.get(true, len(selected)), place.get(answer, len(selected))] += 1
    return Confusion(
        f"{count(len(pairs), 'picture')}: what each is, and what it is taken for", tuple(class_names), counts
    )
