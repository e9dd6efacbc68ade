"""Whether pictures answer better one way than another, or whether there are too few of them to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from cnnexplain.core import words
from cnnexplain.core.verdict import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexplain.checks.suite.subject import Subject

EXACT = 12  # up to so many pictures every pattern of signs is counted
FLOOR = 1e-4  # less likely is all the same: no single picture outweighs all others
SAME = 0.1  # a mean difference of log-probabilities below it is none: a tenth of the probability
Outcome = Literal["better", "worse", "same", "cannot tell"]


def likely(differences: Tensor) -> float:
    """How likely so large a mean (N,) is where each difference might as well have had the other sign.

    Fisher's paired randomisation test, one-sided: exact for few, by the normal distribution for many. It supposes
    nothing of how the differences are distributed, and of N pictures it is never below 1 in 2^N.
    """
    values = differences.double()
    count, total = len(values), float(values.sum())
    if not count or not bool(values.any()):
        return 1.0
    if count > EXACT:
        return 0.5 * math.erfc(total / math.sqrt(2 * float(values.square().sum())))
    patterns = torch.arange(2**count)[:, None] >> torch.arange(count) & 1
    sums = (2 * patterns - 1).double() @ values
    return float((sums >= total - 1e-9 * float(values.abs().sum())).double().mean())


def require_enough(count: int, chance: float, noun: str = "picture", plural: str | None = None) -> None:
    """Raise `Skipped` where so few pictures could not show anything, whatever they showed."""
    fewest = math.ceil(-math.log2(chance))
    if count < fewest:
        raise Skipped(f"cannot tell: {words.count(count, noun, plural)}, and it takes {fewest} at least")


def by_guesses(right: int, count: int, classes: int) -> float:
    """How likely guesses among so many classes are right for so many of `count` pictures, or for more."""
    # The binomial tail from below, in whose sum nothing is lost: the head is near one where the tail is small.
    head = sum(
        math.exp(
            math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
            + (count - hits) * math.log1p(-1 / classes) - hits * math.log(classes)
        )
        for hits in range(right)
    )  # fmt: skip
    return max(0.0, 1 - head)


def require_seeing(performances: Sequence[Performance], chance: float) -> None:
    """Raise `Skipped` where a model recognises no more than guesses would, however it is fed."""
    if performances[0].labels is None:
        return
    best = max(performances, key=lambda performance: performance.value)
    count, classes = best.chances.shape
    if by_guesses(round(best.value * count), count, classes) > chance:
        raise Skipped(
            f"cannot tell: {best.words} pictures are recognised at best, no more than guesses among {classes:,} "
            f"classes would be ({words.percent(1 / classes)}): see expected-labels"
        )


@dataclass(frozen=True, eq=False)
class Performance:
    """How good the answers are that a model gives, fed in one way: to each picture, and on the whole."""

    chances: Tensor  # (N, classes), the probability of every class; nought where the logits are not finite
    labels: Tensor | None  # (N,); where None, certainty stands for being right

    @cached_property
    def best(self) -> Tensor:
        """The class that each picture is taken for (N,)."""
        return self.chances.argmax(1)

    @cached_property
    def each(self) -> Tensor:
        """The probability (N,) of the class that it should be, or else of the best one."""
        if self.labels is None:
            return self.chances.amax(1)
        return self.chances.gather(1, self.labels[:, None])[:, 0]

    @cached_property
    def value(self) -> float:
        """The share of the pictures that are recognised, or else the mean certainty."""
        values = self.each if self.labels is None else (self.best == self.labels).float()
        return float(values.mean())

    @property
    def words(self) -> str:
        """Their value, for people."""
        if self.labels is None:
            return f"{self.value:.2f}"
        return f"{int((self.best == self.labels).sum())} of {len(self.labels)}"

    @property
    def guesses(self) -> str:
        """What guesses would reach, to stand behind `words`; empty where it is not known what is right."""
        if self.labels is None:
            return ""
        classes = self.chances.shape[1]
        return f" (guesses among {classes:,} classes give {words.percent(1 / classes)})"

    def gains(self, other: Performance) -> Tensor:
        """What another way adds to the log-probability of each picture (N,)."""
        return other.each.clamp_min(FLOOR).log() - self.each.clamp_min(FLOOR).log()

    def against(self, other: Performance, gain: float, chance: float) -> Outcome:
        """How another way of feeding the model does."""
        gains, improvement = self.gains(other), other.value - self.value
        if improvement >= gain and likely(gains) <= chance:
            return "better"
        if likely(-gains) <= chance:
            return "worse"
        # That a model is no more certain another way says nothing of whether it is right.
        if self.labels is not None and improvement < gain and likely(SAME - gains) <= chance:
            return "same"
        return "cannot tell"


def answers(subject: Subject, logits: Tensor, places: Tensor | None = None) -> Performance:
    """The answers behind logits of all pictures, or of those at the places `places`."""
    labels = subject.labels if subject.labelled else None
    if labels is not None and places is not None:
        labels = labels[places]
    return Performance(subject.chances_of(logits).nan_to_num(0), labels)


def measured_by(subject: Subject) -> str:
    """What `Performance.value` is, in words."""
    return "pictures recognised" if subject.labelled else "mean certainty"
