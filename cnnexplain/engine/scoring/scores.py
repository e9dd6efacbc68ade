"""From class scores to probabilities, predictions and the classes that are explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnexplain.core.prediction import Prediction
from cnnexplain.core.target import Target, TargetSpec
from cnnexplain.core.words import capped, class_name
from cnnexplain.engine.scoring.ending_rules import PER_CLASS, probabilities
from cnnexplain.engine.scoring.heads import Head
from cnnexplain.errors import ModelError, OptionError


@dataclass(frozen=True)
class Scoring:
    """How probabilities are made of scores.

    `operations`: their names, in order (see `ending_rules.probabilities`); none where there are no probabilities.
    """

    operations: tuple[str, ...]
    explained: str = ""  # what the scores are, in words; empty where they are what the model returns
    usual: bool = True  # whether nobody, neither user nor model, said so

    @property
    def words(self) -> str:
        """The scores and the activation in words; empty where both are as usual."""
        return "" if self.usual else ", ".join(filter(None, (self.explained, self.activation)))

    @property
    def activation(self) -> str:
        """The last activation by name: softmax, sigmoid or none."""
        if not self.operations:
            return "none"
        return "sigmoid" if self.operations[-1] in PER_CLASS else "softmax"


def scoring(head: Head, count: int, activation: str) -> Scoring:
    """How a model with so many scores makes probabilities, where `activation` is auto, softmax, sigmoid or none."""
    if activation == "none":
        return Scoring((), head.explained, usual=False)
    usual: tuple[str, ...] = ("sigmoid",) if count == 1 else ("softmax",)
    operations = usual if activation == "auto" else (activation,)
    if activation == "auto" and head.operations:
        operations = head.operations
    if count == 1 and operations[-1] not in PER_CLASS:
        operations = usual  # of a single score a softmax makes 1
    return Scoring(operations, head.explained, usual=operations == usual and not head.explained)


def chances(logits: Tensor, scoring: Scoring) -> Tensor | None:
    """The probability of every class (N, classes), two where there is one logit; None where there are none."""
    if not scoring.operations:
        return None
    if logits.shape[1] > 1:
        return probabilities(logits, scoring.operations)
    if len(scoring.operations) == 1:
        return class_scores(logits).sigmoid()  # and not 1 - p, which loses what is nearly 0
    positive = probabilities(logits, scoring.operations)
    return torch.cat((1 - positive, positive), 1)


def class_names(count: int, labels: Sequence[str] | None, model_name: str) -> tuple[str, ...]:
    """One name for every class of a model with `count` scores: its `labels`, or numbers where it has none.

    Raises:
        OptionError: There is another number of labels than of classes.
    """
    classes = max(2, count)
    if labels is None:
        return ("negative", "positive") if count == 1 else tuple(map(class_name, range(classes)))
    if count == 1 and len(labels) == 1:
        labels = (f"not {labels[0]}", labels[0])
    if len(labels) != classes:
        raise OptionError(
            f"there are {len(labels)} labels, but {model_name} has {classes} classes",
            "give --labels a file with one name for every class, in the model's order",
        )
    return tuple(map(capped, labels))  # a name of megabytes would be in every record, page and picture


def class_scores(logits: Tensor) -> Tensor:
    """One score per class (N, K): the logits, or (-s, s) for a model with the single logit s."""
    return torch.cat((-logits, logits), dim=1) if logits.shape[1] == 1 else logits


def counted(logits: Tensor, count: int, model_name: str) -> Tensor:
    """The scores (N, K) as they are. Raises `ModelError` where K is not `count`."""
    if logits.shape[1] != count:
        raise ModelError(
            f"{model_name} gives {count} scores at one time and {logits.shape[1]} at another",
            "look for what makes the number of classes depend on the pictures, or on how many there are",
        )
    return logits


def targets(
    spec: TargetSpec, logits: Tensor, scoring: Scoring, expected: Tensor | None = None
) -> list[Target]:
    """The classes to explain, one `Target` per rank: the same class for all, or each picture's own best.

    With `spec.above` a rank has the index -1 for pictures of which fewer classes are likely enough. There is always one
    rank. `expected` (N,) is the class that each picture should be, or -1: beside the best ones it is explained as well,
    in a rank of its own, where it is none of them. Raises `OptionError` where `spec.above` has no probabilities to look
    at.
    """
    scores = class_scores(logits)
    if spec.index is not None:
        chosen = [torch.full((len(scores),), spec.index, device=scores.device)]
    elif spec.above is not None:
        likelihoods = chances(logits.detach(), scoring)
        if likelihoods is None:
            raise OptionError("there are no probabilities to be above", "give --target top3")
        best = likelihoods.sort(dim=1, descending=True, stable=True)
        likely = best.values > spec.above
        indices = best.indices.where(likely, -1)[:, : max(1, int(likely.sum(1).max()))]
        chosen = list(indices.T)
    else:
        highest = scores.detach().topk(min(spec.top, scores.shape[1]), dim=1).indices
        chosen = list(highest.T)
        if expected is not None:
            expected = expected.to(highest.device)
            missed = expected.where((highest != expected[:, None]).all(1), -1)
            chosen += [missed] if bool((missed >= 0).any()) else []
    return [Target(index, scores_at(logits, index)) for index in chosen]


def scores_at(logits: Tensor, index: Tensor) -> Tensor:
    """The score (N,) of one class `index` (N,) per picture; of class 0 where the index is -1, which stands for none."""
    return class_scores(logits).gather(1, index.clamp(min=0)[:, None])[:, 0]


def score_of(logits: Tensor, target: Target, rows: Tensor) -> Tensor:
    """The score (n,) of a target, of class scores (n, K) for variants of the images `rows` (n,) of its batch."""
    if target.weights is None:
        return scores_at(logits, target.index[rows])
    return (class_scores(logits) * target.weights[rows]).sum(1)


def mixture(logits: Tensor, targets: Sequence[Target], seed: int) -> Target | None:
    """A random mixture of the scores of all classes but those of the targets, as a randomised classifier gives it.

    Of one linear layer it is another such layer. The weights add up to 0, and are the same for every image but for the
    classes left out. Where fewer than two are left of an image all are 0; None where there are no three classes.
    """
    scores = class_scores(logits)
    if scores.shape[1] < 3:
        return None
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(scores.shape[1], generator=generator).to(scores)
    others = torch.ones_like(scores)
    for target in targets:
        own = (target.index >= 0).to(scores)[:, None]
        others.scatter_add_(1, target.index.clamp(min=0)[:, None], -own)
    others = others.clamp(min=0)
    mean = (drawn * others).sum(1, keepdim=True) / others.sum(1, keepdim=True).clamp(min=1)
    weights = ((drawn - mean) * others).detach()
    return Target(targets[0].index, (scores * weights).sum(1), weights)


def predictions(
    logits: Tensor, labels: Sequence[str], scoring: Scoring, index: Tensor | None = None
) -> list[tuple[Prediction, ...]]:
    """The classes `index` (N, M) of each picture, in that order; all of them, best first, where None."""
    logits = logits.detach().cpu()
    scores, likelihoods = class_scores(logits), chances(logits, scoring)
    classes = scores.argsort(1, descending=True) if index is None else index.clamp(min=0)
    none = [[None] * classes.shape[1]] * len(classes)
    likely = none if likelihoods is None else likelihoods.gather(1, classes).tolist()
    rows = zip(classes.tolist(), likely, scores.gather(1, classes).tolist(), strict=True)
    return [
        tuple(Prediction(k, labels[k], chance, score) for k, chance, score in zip(*row, strict=True))
        for row in rows
    ]
