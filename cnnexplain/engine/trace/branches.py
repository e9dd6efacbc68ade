"""Parallel branches of a network: the maps at their ends, which only together lead to the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

MOST_ENDS = 8  # branches that are explained side by side

# A node and which of its outputs. The node itself, not its `id`: before torch 2.14 Python is given another object for a
# node whose last one was let go.
Edge = tuple[Any, int]


def ends(
    candidates: Sequence[int],
    sizes: Sequence[tuple[int, ...]],
    outputs: list[Tensor],
    logits: Tensor,
    picture: Tensor,
) -> tuple[tuple[int, ...], bool]:
    """The layers that together cut the way from the picture to the scores. Read off autograd's graph, without a pass.

    Args:
        candidates: Places in `outputs`, the last first.
        sizes: How large the map of each layer is.
        outputs: What each layer gave back.
        logits: The scores, attached to the graph.
        picture: The leaf that the way begins at.

    Returns:
        Those of the candidates, in order, of which each is the last on what the later ones leave open; the last alone
        where they are too many to look at. And whether they cut the way: with their outputs detached, the scores would
        need no gradient.
    """
    cuts = [candidates[0]]
    cut = True
    left = list(candidates[1:])
    while (edges := _past(logits, [outputs[end] for end in cuts], picture)) is not None:
        following = next((place for place in left if _edge(outputs[place]) in edges), None)
        if following is None:
            cut = False
            break
        left.remove(following)
        cuts.append(following)
    # Of a map and what was made of it, summed: all passes through the first.
    for end in tuple(cuts) if cut else ():
        others = [other for other in cuts if other != end]
        as_large = any(sizes[other] == sizes[end] for other in others)
        if as_large and _past(logits, [outputs[other] for other in others], picture) is None:
            cuts = others
    return (tuple(sorted(cuts)), cut) if len(cuts) <= MOST_ENDS else ((candidates[0],), False)


def _edge(output: Tensor) -> Edge:
    """Where a tensor stands in autograd's graph."""
    return output.grad_fn, output.output_nr


def leads(output: Tensor, logits: Tensor, without: Sequence[Tensor]) -> bool:
    """Whether the scores depend on `output` by a way that passes none of the tensors `without`."""
    return _edge(output) in _walked(logits, without)[0]


def _past(logits: Tensor, cuts: Sequence[Tensor], picture: Tensor) -> set[Edge] | None:
    """The edges of autograd's graph on which the scores can be reached without passing the tensors `cuts`.

    None where the picture is not among what is reached so: then the scores depend on it through `cuts` only.
    """
    edges, nodes = _walked(logits, cuts)
    return edges if any(getattr(node, "variable", None) is picture for node in nodes) else None


def _walked(logits: Tensor, cuts: Sequence[Tensor]) -> tuple[set[Edge], set[Any]]:
    """All edges and nodes of autograd's graph on the way back from the scores that do not lie behind `cuts`."""
    closed = {_edge(cut) for cut in cuts}
    edges: set[Edge] = set()
    nodes: set[Any] = set()
    waiting: list[Edge] = [_edge(logits)]
    while waiting:
        node, _ = edge = waiting.pop()
        if node is None or edge in closed:
            continue
        edges.add(edge)
        if node not in nodes:
            nodes.add(node)
            waiting.extend(node.next_functions)
    return edges, nodes
