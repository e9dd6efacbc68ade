"""Whether labels stand in another order than the classes of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cnnexplain.checks.suite.paired import by_guesses
from cnnexplain.core.words import abbreviated

FEWEST = 3  # pictures of a class, before its mistakes say where it went
CLEAR = 0.6  # of the pictures of each class that is exchanged, which are all taken for one other
AGREE = 0.8  # the same where no class takes the first one's place, as that may be usual confusion too
MOST = 2 / 3  # of the classes, that a usual order has to move where their pictures went
MANY = 5  # classes: of so many a usual order is believed though the model knows less than `CLEAR` of them
UNLIKELY = 0.02  # that a model which cannot tell two classes apart exchanges so many pictures by accident
SHOWN = 6  # labels in a sentence

Where = Mapping[int, Counter[int]]  # by the class of the label, what its pictures are taken for


@dataclass(frozen=True)
class Exchange:
    """Labels that mean other classes than they say."""

    meant: dict[int, int]  # by the class of the label, the class that its pictures are taken for
    right: int  # pictures that would be recognised
    order: str  # what makes such an exchange, in words; nothing where it is no usual one

    def words(self, names: Sequence[str]) -> str:
        """Which labels mean which classes."""
        pairs = (f"{names[label]!r} means {names[other]!r}" for label, other in sorted(self.meant.items()))
        return self.order or abbreviated(pairs, SHOWN)


def exchange(labels: Sequence[int], answered: Sequence[int], names: Sequence[str]) -> Exchange | None:
    """The exchange of labels that makes the most pictures right; None where the pictures show none.

    `labels` and `answered` are what each picture should be and what it is taken for. An exchange is a usual order of
    all labels, or classes that go round in a circle, each with a clear majority of its pictures, or most of the classes
    gone to others without pictures. Whatever else the model mistakes does not count. Of the pictures that such an
    exchange makes right or wrong so many must become right as a model that only confuses these classes, for which
    either is as likely, makes right in one of fifty cases at most.
    """
    where: dict[int, Counter[int]] = {}
    for label, answer in zip(labels, answered, strict=True):
        where.setdefault(label, Counter())[answer] += 1
    frequent = {label: counts for label, counts in where.items() if counts.total() >= FEWEST}
    candidates = [
        Exchange(meant, _right(meant, where), order)
        for order, meant in (
            *_usual(frequent, names),
            ("", _circles(frequent)),
            ("", _departed(frequent, where)),
        )
        if meant
    ]
    return max(candidates, key=lambda candidate: candidate.right, default=None)


def _right(meant: Mapping[int, int], where: Where) -> int:
    return sum(counts[meant.get(label, label)] for label, counts in where.items())


def _is_shown(meant: Mapping[int, int], where: Where, share: float) -> bool:
    """Whether `share` of the pictures of these classes went where `meant` says, and that by no accident."""
    gained = sum(where[label][other] for label, other in meant.items())
    lost = sum(where[label][label] for label in meant)
    total = sum(where[label].total() for label in meant)
    return gained >= share * total and by_guesses(gained, gained + lost, 2) <= UNLIKELY


def _majorities(where: Where, share: float) -> dict[int, int]:
    """The classes of whose pictures such a share is taken for one other class, and for which."""
    most = {label: counts.most_common(1)[0] for label, counts in where.items()}
    return {
        label: other
        for label, (other, count) in most.items()
        if other != label and count >= share * where[label].total()
    }


def _circles(where: Where) -> dict[int, int]:
    """Classes that took each other's places: two of them, three in a circle, or more."""
    meant = _majorities(where, CLEAR)
    circles: dict[int, int] = {}
    for start in meant:
        circle, label = {start: meant[start]}, meant[start]
        while label in meant and label not in circle:
            circle[label] = meant[label]
            label = meant[label]
        if label == start and start not in circles and _is_shown(circle, where, CLEAR):
            circles |= circle
    return circles


def _departed(frequent: Where, where: Where) -> dict[int, int]:
    """Most of the classes, gone each to another one; no two to the same, nor to one that stayed."""
    meant = _majorities(frequent, AGREE)
    targets = list(meant.values())
    stayed = {label for label, counts in where.items() if label not in meant and counts[label]}
    unique = len(set(targets)) == len(targets) and not stayed & set(targets)
    enough = len(meant) >= FEWEST and 2 * len(meant) >= len(frequent)
    return meant if unique and enough and _is_shown(meant, frequent, CLEAR) else {}


def _usual(where: Where, names: Sequence[str]) -> Iterator[tuple[str, dict[int, int]]]:
    """The usual orders of labels that the pictures show, in words and as what they move."""
    for description, order in _orders(where, names):
        meant = {label: order[label] for label in where if order[label] != label}
        fit = sum(where[label].most_common(1)[0][0] == other for label, other in meant.items())
        share = CLEAR if len(meant) < MANY else 0
        if len(meant) > 1 and fit >= MOST * len(meant) and _is_shown(meant, where, share):
            yield description, meant


def _orders(where: Where, names: Sequence[str]) -> Iterator[tuple[str, Sequence[int]]]:
    """What usually makes an exchange, and for every label the class that it means then."""
    count = len(names)
    places = range(count)
    steps = Counter((counts.most_common(1)[0][0] - label) % count for label, counts in where.items())
    step = steps.most_common(1)[0][0] if steps else 0
    if step and count > 2:
        order = [(place + step) % count for place in places]
        by = step if 2 * step <= count else step - count
        description = f"every label is {abs(by)} too {'low' if by > 0 else 'high'}"
        round_the_end = any(
            where[label].most_common(1)[0][0] == order[label]
            for label in where
            if not 0 <= label + by < count
        )
        end = ", and the classes at one end stand for those at the other"
        yield description + (end if round_the_end else ", as with a class for the background"), order
    text = sorted(places, key=str)
    name = sorted(places, key=lambda place: names[place].casefold())
    yield "the labels are in reverse order", places[::-1]
    yield "the labels are numbered by the order of 0, 1, 10, 11, 2, as texts are sorted", text
    yield "the model's classes are in the order of 0, 1, 10, 11, 2, as texts are sorted", _inverse(text)
    yield "the labels are numbered in alphabetical order, and the model's classes are not", name
    yield "the model's classes are in alphabetical order, and --labels are not", _inverse(name)


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=lambda place: order[place])
