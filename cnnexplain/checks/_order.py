"""Whether labels stand in another order than the classes of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 3  # pictures of a class, before its mistakes say where it went
AGREE = 0.8  # of the pictures of a class that were moved, which are all taken for one other
EXPLAINED = 0.9  # of all mistakes, that one exchange of labels has to explain
SHOWN = 6  # labels in a sentence


@dataclass(frozen=True)
class Exchange:
    """Labels that mean other classes than they say."""

    meant: dict[int, int]  # by the class of the label, the class that its pictures are taken for
    right: int  # pictures that would be recognised
    order: str  # what makes such an exchange, in words; nothing where it is no usual one

    def words(self, names: Sequence[str]) -> str:
        """Which labels mean which classes."""
        pairs = [f"{names[said]!r} means {names[meant]!r}" for said, meant in sorted(self.meant.items())]
        more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        return self.order or ", ".join(pairs[:SHOWN]) + more


def exchange(labels: Sequence[int], taken: Sequence[int], names: Sequence[str]) -> Exchange | None:
    """The one exchange of labels that explains nearly all mistakes; None where there is none.

    `labels` and `taken` are what each picture should be and what it is taken for. A class has moved if nearly all of
    three pictures and more are taken for one other class. No two classes may move to the same, or to one that stayed.
    """
    where: dict[int, Counter[int]] = {}
    for label, other in zip(labels, taken, strict=True):
        where.setdefault(label, Counter())[other] += 1
    most = {label: found.most_common(1)[0] for label, found in where.items()}
    meant = {
        label: other
        for label, (other, count) in most.items()
        if other != label and where[label].total() >= FEWEST and count >= AGREE * where[label].total()
    }
    stayed = {label for label in where if label not in meant and where[label][label]}
    targets = list(meant.values())
    if not meant or len(set(targets)) < len(targets) or stayed & set(targets):
        return None
    mistakes = sum(label != other for label, other in zip(labels, taken, strict=True))
    explained = sum(where[label][other] for label, other in meant.items())
    if explained < EXPLAINED * mistakes:
        return None
    right = sum(meant.get(label, label) == other for label, other in zip(labels, taken, strict=True))
    return Exchange(meant, right, _usual(meant, names))


def _usual(meant: dict[int, int], names: Sequence[str]) -> str:
    """What usually makes such an exchange."""
    if len(meant) < 2:
        return ""
    steps = {other - label for label, other in meant.items()}
    if len(steps) == 1:
        (step,) = steps
        return f"every label is {abs(step)} too {'low' if step > 0 else 'high'}, as with a class for the background"
    count = len(names)
    reverse = [count - 1 - place for place in range(count)]
    text, name = (
        sorted(range(count), key=str),
        sorted(range(count), key=lambda place: names[place].casefold()),
    )
    orders = {
        "the labels are in reverse order": reverse,
        "the labels are numbered by the order of 0, 1, 10, 11, 2, as texts are sorted": text,
        "the model's classes are in the order of 0, 1, 10, 11, 2, as texts are sorted": _inverse(text),
        "the labels are numbered in alphabetical order, and the model's classes are not": name,
        "the model's classes are in alphabetical order, and --labels are not": _inverse(name),
    }
    fits = (words for words, order in orders.items() if all(order[a] == b for a, b in meant.items()))
    return next(fits, "")


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=lambda place: order[place])
