"""A graph folded for a drawing: blocks in blocks, and of blocks that repeat one after the other the first alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cnnexplain.core.graph.model import INPUT, OUTPUT, GraphNode, ModelGraph
from cnnexplain.core.graph.parts import Part, Parts, window_words
from cnnexplain.core.layer_words import Row, field_words, scaled, times

MOST_SHOWN = 60  # boxes that are open at first: so many fit a page

Kinds = tuple[object, ...]


@dataclass
class GraphItem:
    """What a drawing shows as a box: a node, or a block, which can be opened to show the items in it."""

    kind: str
    name: str  # of the layer; of blocks that repeat the first one's
    first: int  # the nodes that it stands for, of the first of those that repeat
    end: int
    children: list[int] = field(default_factory=list)
    parent: int = -1
    run: int = 1  # which run of the layer or block it is
    times: int = 1
    last: str = ""  # the name of the last of those that repeat
    row: str | None = None  # the layer whose row of the table says more
    words: str = ""  # kernel and stride
    facts: str = ""  # shape, multiply-adds, receptive field, dead units
    dead: int = 0  # filters with next to no weight, of all that repeat
    multiply_adds: int = 0  # of all that repeat
    sort: str = "other"  # what its colour depends on

    @property
    def is_function(self) -> bool:
        """Whether it is no layer."""
        return self.row is None and not self.children


@dataclass
class FoldedGraph:
    """The items of a graph, the model itself first, and which nodes lead to which once repeats are left out."""

    items: list[GraphItem]
    edges: list[tuple[int, int]]  # between nodes
    place: dict[int, int]  # of each node that is left its item

    def within(self, node: int) -> list[int]:
        """Return the items that a node is in, the outermost first, its own last."""
        way = [self.place[node]]
        while (parent := self.items[way[-1]].parent) >= 0:
            way.append(parent)
        return way[::-1]

    def opened(self, most: int = MOST_SHOWN) -> set[int]:
        """Return the blocks to open at first: level by level, then the first of each kind, while it fits a page."""
        opened = {0}
        shown = len(self.items[0].children)
        level = [0]
        while level := [child for item in level for child in self.items[item].children if self._opens(child)]:
            more = sum(len(self.items[item].children) for item in level)
            if shown + more > most:
                break
            opened.update(level)
            shown += more
        kinds = {self._kinds(item) for item in opened}
        for place, item in enumerate(self.items):
            openable = self._opens(place) and place not in opened and item.parent in opened
            if openable and shown + len(item.children) <= most and self._kinds(place) not in kinds:
                opened.add(place)
                shown += len(item.children)
                kinds.add(self._kinds(place))
        return opened

    def _opens(self, place: int) -> bool:
        """Whether a block is worth opening: one without multiply-adds, such as a norm with its rectifier, is not."""
        return bool(self.items[place].children) and self.items[place].multiply_adds > 0

    def _kinds(self, place: int) -> Kinds:
        item = self.items[place]
        return item.kind, *(self._kinds(child) for child in item.children)


def folded(graph: ModelGraph, rows: Sequence[Row]) -> FoldedGraph:
    """Fold a graph; `rows` are those of the table of layers, the model itself first."""
    return _Folding(graph, rows).result()


class _Folding:
    """The work of `folded`."""

    def __init__(self, graph: ModelGraph, rows: Sequence[Row]) -> None:
        self.graph = graph
        self.rows = {row["name"]: row for row in rows}
        self.items: list[GraphItem] = []
        self.parts = Parts(graph, self.rows)
        # Of each node the repeats that it is in, with which of them, from the outermost on, as far as they were seen;
        # and of one that is not the first the node that stands for it.
        self.trails: dict[int, list[tuple[int, int]]] = {place: [] for place in range(len(graph.nodes))}
        self.stands_for: dict[int, int] = {}
        self.repeats = 0

    def result(self) -> FoldedGraph:
        """Return the whole."""
        graph = self.graph
        self.items.append(GraphItem("", "", 0, len(graph.nodes), row=""))
        self._fill(0, self.parts.of[0])
        place = {
            node: at for at, item in enumerate(self.items) if not item.children for node in (item.first,)
        }
        for item_place, item in enumerate(self.items):
            if not item.children:
                place.update(dict.fromkeys(range(item.first, item.end), item_place))
        edges: dict[tuple[int, int], None] = {}
        for source, target in graph.edges:
            (trail, a), (other, b) = self._whole_trail(source), self._whole_trail(target)
            differing = next(((x, y) for x, y in zip(trail, other, strict=False) if x != y), None)
            repeats = differing is not None and differing[0][0] == differing[1][0]
            if not repeats and place[a] != place[b]:
                edges[self.items[place[a]].first, self.items[place[b]].first] = None
        return FoldedGraph(self.items, sorted(edges), place)

    def _whole_trail(self, node: int) -> tuple[list[tuple[int, int]], int]:
        trail = list(self.trails[node])
        while node in self.stands_for:
            node = self.stands_for[node]
            trail += self.trails[node][len(trail) :]
        return trail, node

    def _fill(self, parent: int, parts: Sequence[Part]) -> None:
        """Add the items of a block's parts, of those that repeat one after the other the first."""
        for unit, repeats, last in self.parts.runs(parts):
            if repeats == 1:
                for part in unit:
                    self._add(parent, part)
                continue
            first, end = unit[0][0], self.parts.end(unit[-1])
            for node in range(first, first + repeats * (end - first)):
                which = (node - first) // (end - first)
                self.trails[node].append((self.repeats, which))
                if which:
                    self.stands_for[node] = node - which * (end - first)
            self.repeats += 1
            if len(unit) == 1:
                place = self._add(parent, unit[0], repeats)
            else:
                place = self._append(parent, GraphItem("repeated", "", first, end, times=repeats, row=None))
                for part in unit:
                    self._add(place, part)
            self.items[place].last = self._name(last)
            self._describe(self.items[place], end - 1)
            if len(unit) > 1:
                self.items[place].row = self.items[self.items[place].children[0]].row

    def _name(self, part: Part) -> str:
        node, group = part
        return self.graph.nodes[node].name if group < 0 else self.graph.groups[group].name

    def _append(self, parent: int, item: GraphItem) -> int:
        item.parent = parent
        self.items.append(item)
        self.items[parent].children.append(len(self.items) - 1)
        return len(self.items) - 1

    def _add(self, parent: int, part: Part, repeats: int = 1) -> int:
        node, group = part
        while group >= 0 and len(self.parts.of[group]) == 1:  # a block around a single layer is that layer
            within = self.parts.of[group][0]
            if within[1] < 0 and not self.graph.nodes[within[0]].name:
                break  # a block around a single function is called like the block
            node, group = within
        if group < 0:
            described = self.graph.nodes[node]
            item = GraphItem(
                described.kind, described.name, node, node + 1, times=repeats, row=described.name or None
            )
            item.run = described.run
            self._describe(item, node)
            return self._append(parent, item)
        block = self.graph.groups[group]
        end = self.parts.ends[group]
        item = GraphItem(block.kind, block.name, self.parts.starts[group], end, times=repeats, row=block.name)
        item.run = block.run
        place = self._append(parent, item)
        if len(self.parts.of[group]) > 1:
            self._fill(place, self.parts.of[group])
        self._describe(item, end - 1)
        return place

    def _describe(self, item: GraphItem, last: int) -> None:
        """Say what is written on an item, of which `last` is the last node."""
        node = self.graph.nodes[last]
        spent = (
            sum(self.graph.nodes[place].multiply_adds for place in range(item.first, item.end)) * item.times
        )
        row = self.rows.get(item.row) if item.row else None
        end = self.rows.get(item.last) if item.last else row  # of those that repeat the last
        shape, seen = node.shape, node.field
        if end is not None and end["runs"] == 1 and end["outputs"]:
            shape, seen = end["outputs"][0], end["receptive_field"]
        facts = [times(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)]
        item.multiply_adds = spent
        facts += [scaled(spent)] if spent else []
        if seen is not None:
            facts.append("sees all" if None in seen else f"sees {field_words(seen)}")
        alike = range(item.first, item.first + item.times * (item.end - item.first))
        names = {self.graph.nodes[place].name for place in alike}
        item.dead = sum(self.rows[name].get("dead") or 0 for name in names if name in self.rows)
        facts += [f"{item.dead} dead"] if item.dead else []
        item.facts = " · ".join(facts)
        item.words = "" if item.children else window_words(row)
        item.sort = "block" if item.children and spent else _sort(item, node)


# Colours by the first of these that is part of a layer's class or of a function's name.
_SORTS = (
    ("norm", "norm"), ("conv", "weights"), ("linear", "weights"), ("attention", "weights"), ("lstm", "weights"),
    ("gru", "weights"), ("bilinear", "weights"), ("pool", "pool"), ("upsample", "pool"), ("interpolate", "pool"),
    ("relu", "active"), ("elu", "active"), ("silu", "active"), ("swish", "active"), ("sigmoid", "active"),
    ("tanh", "active"), ("softmax", "active"), ("add", "joins"), ("cat", "joins"), ("stack", "joins"),
    ("mul", "joins"), ("write", "joins"),
)  # fmt: skip


def _sort(item: GraphItem, node: GraphNode) -> str:
    if node.kind in (INPUT, OUTPUT) and not node.name:
        return "io"
    kind = item.kind.lower()
    return next((sort for part, sort in _SORTS if part in kind), "other")
