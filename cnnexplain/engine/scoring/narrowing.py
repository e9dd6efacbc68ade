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
    """Ways to tell class scores from other tensors, the surest first, each with its reason in words."""
    yield _different, "the others are the same tensor"
    yield _without_probabilities, "another one is its softmax or sigmoid"

    def linear(leaf: Leaf) -> bool:
        return endings.linear.get(leaf.tensor) is not None

    yield lambda leaves: _not_used_further(leaves, linear), "another one goes into it"
    yield lambda leaves: list(filter(linear, leaves)), "the only one that a linear layer gives back"
    yield (
        lambda leaves: [leaf for leaf in leaves if "aux" not in leaf.name.casefold()],
        "the others are auxiliary",
    )
    yield lambda leaves: _deepest(leaves, endings), "the others come from layers before it"


def _different(leaves: list[Leaf]) -> list[Leaf]:
    return list({id(leaf.tensor): leaf for leaf in reversed(leaves)}.values())[::-1]


def making_operation(values: Tensor, scores: Tensor) -> str:
    """The operation that makes `values` of `scores`, such as softmax; empty where none does."""
    if values.shape != scores.shape or torch.equal(values, scores):
        return ""
    for operation in ("softmax", "sigmoid", "log_softmax", "logsigmoid"):
        expected = probabilities(scores, (operation,), logarithms=True)
        if torch.allclose(values, expected, rtol=1e-3, atol=1e-6):
            return operation
    return ""


def _without_probabilities(leaves: list[Leaf]) -> list[Leaf]:
    """Without what is the softmax or sigmoid, or a logarithm of them, of another one."""
    scores = [leaf.scores for leaf in leaves]
    return [
        leaf
        for leaf, values in zip(leaves, scores, strict=True)
        if not any(
            values is not None and other is not None and making_operation(values, other) for other in scores
        )
    ]


def _not_used_further(leaves: list[Leaf], linear: Callable[[Leaf], bool]) -> list[Leaf]:
    """Without what goes into a linear layer that gives back another one, as embeddings do."""
    last = list(filter(linear, leaves))
    return [leaf for leaf in leaves if not any(_depends(other.tensor, leaf.tensor) for other in last)]


def _deepest(leaves: list[Leaf], endings: Endings) -> list[Leaf]:
    """Of scores for the same classes the one from the last map, where the maps of the others lead to that one."""
    if len({leaf.tensor.shape for leaf in leaves}) > 1:
        return leaves
    maps, places = endings.maps, range(len(endings.maps))
    last = [
        next((end for end in reversed(places) if _depends(leaf.tensor, maps[end])), -1) for leaf in leaves
    ]
    deepest = max(last)
    leads = all(place >= 0 and (place == deepest or _depends(maps[deepest], maps[place])) for place in last)
    return [leaves[last.index(deepest)]] if leads and last.count(deepest) == 1 else leaves


def _depends(later: Tensor, earlier: Tensor) -> bool:
    """Whether autograd knows that one tensor was computed from another."""
    if later is earlier or not later.requires_grad or not earlier.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(later.sum(), earlier, retain_graph=True, allow_unused=True)
    return gradient is not None
