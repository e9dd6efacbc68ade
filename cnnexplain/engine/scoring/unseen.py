"""Whether a model returns probabilities that no operation was seen to make, told by its answers to several inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnexplain.core.choice import Choice
from cnnexplain.core.words import listed
from cnnexplain.engine.scoring.answers import at, read
from cnnexplain.engine.scoring.heads import SUM, Head, between

BETWEEN = "its scores lie between 0 and 1, as probabilities do"
SUMMED = "its scores add up to 1, as probabilities do"
BOUNDED = "however strong its input is, its scores lie between 0 and 1 and come up to the end of that"
AS_THEY_ARE = "--activation none takes them as they are"
SATURATED = 1e-4  # how near to 0 or 1 the probabilities of strong inputs come


def noise(blank: Tensor) -> Iterator[Tensor]:
    """A few inputs (1, C, H, W) that have little in common, the same at all times."""
    generator = torch.Generator().manual_seed(0)
    for size in (1.0, 30.0, -30.0):
        yield blank + (size * torch.randn(blank.shape, generator=generator)).to(blank)


def strong(blank: Tensor) -> Iterator[Tensor]:
    """Inputs (1, C, H, W) that are stronger by and by, for which scores without a bound leave 0 to 1."""
    pattern = torch.randn(blank.shape, generator=torch.Generator().manual_seed(1)).to(blank)
    for size in (10.0, 100.0, 1e3, 1e4):
        for direction in (pattern, torch.ones_like(blank)):
            yield blank + size * direction
            yield blank - size * direction


def probed(head: Head, outputs: Sequence[Any], stronger: Callable[[], Iterable[Any]]) -> Head:
    """The head, completed by whether the model returns probabilities, which answers to several pictures tell.

    `stronger` gives its answers to strong inputs. Scores that lie between 0 and 1 are probabilities for sure where they
    stay there and come up to 0 or 1; where they stay and do not, as behind a layer norm, it is only said.
    """
    head = dataclasses.replace(head, unsure=False)
    values = _rows(head, outputs)
    if not values or not _all_between(values):
        return head
    remark = (
        f": {listed(head.mixed)} was seen, and what follows it mixes what it made"
        if head.mixed
        else ", and no softmax or sigmoid was seen that made them"
    )
    if all(rows is not None and rows.shape[1] > 1 and _adds_up(rows) for rows in values):
        remark = remark if head.mixed else ", and no softmax was seen that made them"
        reason = doubt = f"{SUMMED}{remark}"
        head = dataclasses.replace(head, logarithm=True, doubts=(doubt,))
    else:
        far = _rows(head, stronger())
        if far and not _all_between(far):
            return head
        sure = _saturates(values, far)
        doubt = f"{BOUNDED if sure else BETWEEN}{remark}"
        reason = f"{doubt}; {AS_THEY_ARE}"
        head = dataclasses.replace(head, log_odds=sure, doubts=(doubt,))
    choice = Choice("scores", head.explained or "what the model returns", reason)
    return dataclasses.replace(head, choices=(*head.choices, choice))


def _rows(head: Head, outputs: Iterable[Any]) -> list[Tensor | None]:
    rows = [read(at(output, head.path), 1) for output in outputs]
    # Noise may be too much for exp() and the like, which says nothing of pictures.
    return [row for row in rows if row is None or bool(row.isfinite().all())]


def _all_between(values: Sequence[Tensor | None]) -> bool:
    return all(row is not None and between(row) for row in values)


def _saturates(values: Sequence[Tensor | None], far: Sequence[Tensor | None]) -> bool:
    """Whether a score that lies inside comes up to 0 or 1 for strong inputs; one that is always 0 does not."""
    if not values or not far:
        return False
    usual, strongest = (torch.stack([row for row in rows if row is not None]) for rows in (values, far))
    usual_ends, ends = ((rows < SATURATED) | (rows > 1 - SATURATED) for rows in (usual, strongest))
    return bool((ends.any(0) & ~usual_ends.all(0)).any())


def _adds_up(values: Tensor) -> bool:
    return bool(((values.sum(1) - 1).abs() <= SUM).all())
