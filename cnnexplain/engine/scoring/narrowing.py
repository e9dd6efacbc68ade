"""Which of several tensors that a model returns has the class scores: what tells it, the surest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cnnexplain.engine.scoring.answers import Leaf
from cnnexplain.engine.scoring.ending_rules import probabilities
from cnnexplain.engine.scoring.endings import Endings

Narrowing = tuple[Callable[[list[Leaf]], list[Leaf]], str]


def evidence(endings: Endings) -> Iterator[Narrowing]:
    """What tells class scores from others, the surest first, and how that is told."""
    yield _different, "the others are the same tensor"
    yield _without_probabilities, "another one is its softmax or sigmoid"

    def linear(one: Leaf) -> bool:
        return endings.linear.get(one.tensor) is not None

    yield lambda found: _not_used_further(found, linear), "another one goes into it"
    yield lambda found: list(filter(linear, found)), "the only one that a linear layer gives back"
    yield lambda found: [one for one in found if "aux" not in one.name.casefold()], "the others are auxiliary"
    yield lambda found: _deepest(found, endings), "the others come from layers before it"


def _different(found: list[Leaf]) -> list[Leaf]:
    return list({id(one.tensor): one for one in reversed(found)}.values())[::-1]


def made(values: Tensor, scores: Tensor) -> str:
    """Which operation makes values of scores; empty where none does."""
    if values.shape != scores.shape or torch.equal(values, scores):
        return ""
    for operation in ("softmax", "sigmoid", "log_softmax", "logsigmoid"):
        made = probabilities(scores, (operation,), logarithms=True)
        if torch.allclose(values, made, rtol=1e-3, atol=1e-6):
            return operation
    return ""


def _without_probabilities(found: list[Leaf]) -> list[Leaf]:
    """Without what is the softmax or sigmoid, or a logarithm of them, of another one."""
    values = [one.scores for one in found]
    return [
        leaf
        for leaf, one in zip(found, values, strict=True)
        if not any(one is not None and other is not None and made(one, other) for other in values)
    ]


def _not_used_further(found: list[Leaf], linear: Callable[[Leaf], bool]) -> list[Leaf]:
    """Without what goes into a linear layer that gives back another one, as embeddings do."""
    last = list(filter(linear, found))
    return [one for one in found if not any(_depends(other.tensor, one.tensor) for other in last)]


def _deepest(found: list[Leaf], endings: Endings) -> list[Leaf]:
    """Of scores for the same classes the one from the last map, where the maps of the others lead to that one."""
    if len({one.tensor.shape for one in found}) > 1:
        return found
    maps, places = endings.maps, range(len(endings.maps))
    last = [next((one for one in reversed(places) if _depends(leaf.tensor, maps[one])), -1) for leaf in found]
    deepest = max(last)
    leads = all(place >= 0 and (place == deepest or _depends(maps[deepest], maps[place])) for place in last)
    return [found[last.index(deepest)]] if leads and last.count(deepest) == 1 else found


def _depends(later: Tensor, earlier: Tensor) -> bool:
    """Whether autograd knows that one tensor was computed from another."""
    if later is earlier or not later.requires_grad or not earlier.requires_grad:
        return False
    (found,) = torch.autograd.grad(later.sum(), earlier, retain_graph=True, allow_unused=True)
    return found is not None
