"""Parallel branches of a network: the maps at their ends, which only together lead to the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

MOST_ENDS = 8  # branches that are explained side by side


def ends(
    candidates: Sequence[int],
    sizes: Sequence[tuple[int, ...]],
    outputs: list[Tensor],
    logits: Tensor,
    picture: Tensor,
) -> tuple[tuple[int, ...], bool]:
    """Of `candidates`, the last first, those that together cut the way from the picture to the scores; in order.

    They are places in `outputs`, the maps of all layers, which are as large as `sizes` says. Each is the last on what
    the later ones leave open. Also whether they cut it; where they are too many to look at, the last alone is given.
    The scores have no other way where, with the maps detached, they would need no gradient: that is read off
    autograd's graph, without another pass.
    """
    found = [candidates[0]]
    cut = True
    left = list(candidates[1:])
    while (edges := _past(logits, [outputs[end] for end in found], picture)) is not None:
        following = next((place for place in left if _edge(outputs[place]) in edges), None)
        if following is None:
            cut = False
            break
        left.remove(following)
        found.append(following)
    # Of a map and what was made of it, summed: all passes through the first.
    for end in tuple(found) if cut else ():
        others = [one for one in found if one != end]
        as_large = any(sizes[one] == sizes[end] for one in others)
        if as_large and _past(logits, [outputs[one] for one in others], picture) is None:
            found = others
    return (tuple(sorted(found)), cut) if len(found) <= MOST_ENDS else ((candidates[0],), False)


def _edge(output: Tensor) -> tuple[int, int]:
    """Where a tensor stands in autograd's graph."""
    return id(output.grad_fn), output.output_nr


def leads(output: Tensor, logits: Tensor, without: Sequence[Tensor]) -> bool:
    """Whether the scores depend on `output` also by a way that passes none of the tensors `without`."""
    return _edge(output) in _walked(logits, without)[0]


def _past(logits: Tensor, cuts: Sequence[Tensor], picture: Tensor) -> set[tuple[int, int]] | None:
    """The edges of autograd's graph on which the scores can be reached without passing the tensors `cuts`.

    None where the picture is not among what is reached so: then the scores depend on it through `cuts` only.
    """
    edges, nodes = _walked(logits, cuts)
    return edges if any(getattr(node, "variable", None) is picture for node in nodes) else None


def _walked(logits: Tensor, cuts: Sequence[Tensor]) -> tuple[set[tuple[int, int]], list[Any]]:
    """All edges and nodes of autograd's graph on the way back from the scores that do not lie behind `cuts`."""
    closed = {_edge(cut) for cut in cuts}
    seen: set[tuple[int, int]] = set()
    visited: dict[int, Any] = {}  # held, so that no other node gets its identity
    waiting: list[tuple[Any, int]] = [(logits.grad_fn, logits.output_nr)]
    while waiting:
        node, number = waiting.pop()
        if node is None or (id(node), number) in closed:
            continue
        seen.add((id(node), number))
        if id(node) not in visited:
            visited[id(node)] = node
            waiting.extend(node.next_functions)
    return seen, list(visited.values())
