"""From whatever a classifier returns to class scores, chances and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnnexplain.core.explanation import Prediction
from cnnexplain.core.target import Target, TargetSpec
from cnnexplain.errors import ModelError, OptionError


def logits_of(output: Any, pictures: int, model_name: str) -> Tensor:
    """One row of class scores per picture, (N, K) float32, out of what a model returned."""
    logits = _first_tensor(output)
    if logits is not None:
        if logits.ndim == 1 and logits.shape[0] == pictures:
            logits = logits[:, None]
        if logits.ndim == 4 and logits.shape[2:] == (1, 1):
            logits = logits[:, :, 0, 0]
        if logits.ndim == 2 and logits.shape[0] == pictures and logits.shape[1] > 0:
            return logits.float()
    what = f"a {type(output).__name__}" if logits is None else f"a tensor of shape {tuple(logits.shape)}"
    raise ModelError(
        f"{model_name} returns {what}, not one row of class scores per picture",
        "cnnexplain explains classifiers; wrap the model so that it returns (N, classes)",
    )


def class_names(count: int, given: Sequence[str] | None, model_name: str) -> tuple[str, ...]:
    """One name for every class of a model with `count` scores: `given`, or numbers."""
    classes = max(2, count)
    if given is None:
        return ("negative", "positive") if count == 1 else tuple(f"class {index}" for index in range(classes))
    if count == 1 and len(given) == 1:
        given = (f"not {given[0]}", given[0])
    if len(given) != classes:
        raise OptionError(
            f"there are {len(given)} labels, but {model_name} has {classes} classes",
            "give --labels a file with one name for every class, in the model's order",
        )
    return tuple(given)


def class_scores(logits: Tensor) -> Tensor:
    """One score per class (N, K): the logits, or (-s, s) for a model with the single logit s."""
    return torch.cat((-logits, logits), dim=1) if logits.shape[1] == 1 else logits


def targets(spec: TargetSpec, logits: Tensor) -> list[Target]:
    """The classes to explain, one `Target` per rank: the same class for all, or each picture's own best."""
    scores = class_scores(logits)
    if spec.index is not None:
        chosen = [torch.full((len(scores),), spec.index, device=scores.device)]
    else:
        chosen = list(scores.detach().topk(min(spec.top, scores.shape[1]), dim=1).indices.T)
    return [Target(index, scores_at(logits, index)) for index in chosen]


def scores_at(logits: Tensor, index: Tensor) -> Tensor:
    """The score (N,) of one class `index` (N,) per picture."""
    return class_scores(logits).gather(1, index[:, None])[:, 0]


def predictions(
    logits: Tensor, labels: Sequence[str], index: Tensor | None = None
) -> list[tuple[Prediction, ...]]:
    """The classes `index` (N, M) of each picture, in that order; all of them, best first, where None."""
    scores = class_scores(logits.detach()).cpu()
    # One score s stands for the pair (-s, s), whose softmax would be sigmoid(2 s).
    chances = scores.sigmoid() if logits.shape[1] == 1 else scores.softmax(1)
    wanted = scores.argsort(1, descending=True) if index is None else index
    rows = zip(
        wanted.tolist(),
        chances.gather(1, wanted).tolist(),
        scores.gather(1, wanted).tolist(),
        strict=True,
    )
    return [
        tuple(Prediction(one, labels[one], chance, score) for one, chance, score in zip(*row, strict=True))
        for row in rows
    ]


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    for name in ("logits", "out"):
        found = output.get(name) if isinstance(output, dict) else getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor):
        return output[0]
    return None
