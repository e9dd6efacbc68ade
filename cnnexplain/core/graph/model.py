"""The graph of one picture's way through a model, as plain data: nodes, edges, and the blocks around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_NODES, MOST_EDGES = 5_000, 40_000  # a larger graph is not recorded
INPUT, OUTPUT = "input", "output"  # the kinds of the first node and of the last


@dataclass(frozen=True)
class GraphNode:
    """One run of a layer that holds no others, one call of a function between layers, the input or the output.

    `group` is the innermost block that was running, as a place in `ModelGraph.groups`.
    """

    kind: str  # the layer's class, or what the function is called
    name: str  # of the layer; empty for what is none
    run: int  # which run of the module it is, counted from 1; 0 for what is none
    shape: tuple[int, ...]  # of the first tensor that came out
    multiply_adds: int
    group: int
    field: tuple[int | None, int | None] | None = None  # receptive field, rows and columns


@dataclass(frozen=True)
class GraphGroup:
    """One run of a block. Its nodes stand side by side in the order of running."""

    kind: str
    name: str
    run: int
    parent: int  # the block around it; -1 for the model itself, the first of all


@dataclass(frozen=True)
class ModelGraph:
    """What ran, in order, and which tensors went where. Every edge leads from a node to a later one."""

    nodes: tuple[GraphNode, ...]
    groups: tuple[GraphGroup, ...]
    edges: tuple[tuple[int, int], ...]

    def record(self) -> dict[str, Any]:
        """Return the graph as JSON holds it; `graph_of` reads it back."""
        return {
            "nodes": [dict(vars(node)) for node in self.nodes],
            "groups": [dict(vars(group)) for group in self.groups],
            "edges": [list(edge) for edge in self.edges],
        }


def graph_of(record: Mapping[str, Any]) -> ModelGraph:
    """Read a graph out of a record.

    Raises:
        LookupError, TypeError, ValueError: The record holds no graph, as when somebody edited it.
    """
    groups = tuple(GraphGroup(**group) for group in record["groups"])
    nodes = tuple(
        GraphNode(**{**node, "shape": tuple(node["shape"]), "field": node["field"] and tuple(node["field"])})
        for node in record["nodes"]
    )
    edges = tuple((int(source), int(target)) for source, target in record["edges"])
    if any(not 0 <= source < target < len(nodes) for source, target in edges):
        raise ValueError("an edge of the graph does not lead to a later node")
    if any(not -1 <= group.parent < place for place, group in enumerate(groups)):
        raise ValueError("a block of the graph is in none before it")
    if any(not 0 <= node.group < len(groups) for node in nodes):
        raise ValueError("a node of the graph is in no block")
    return ModelGraph(nodes, groups, edges)
