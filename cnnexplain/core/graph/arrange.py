"""The rows of a block's drawing: what stands in which, in which order, and which lines lead from one to the next.

Sugiyama, Tagawa and Toda 1981 (Methods for Visual Understanding of Hierarchical System Structures): every item stands
in the row behind the last of those that lead to it, a line that passes a row has a place of its own there, and rows are
sorted by the mean place of their neighbours.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from cnnexplain.core.graph.fold import FoldedGraph

SWEEPS = 8
ITEM, ENTERS, LEAVES, PASSES = "item", "enters", "leaves", "passes"


@dataclass(frozen=True)
class Element:
    """What has a place in a row: an item, or the line of what the node `source` made.

    A line enters the block from outside, leaves it, or passes a row within it.
    """

    kind: str
    item: int = -1
    source: int = -1


Wire = tuple[Element, Element, int]  # between any two rows, with its source
Wires = dict[Wire, None]
Line = tuple[int, int, int]  # between neighbouring rows


@dataclass
class Arrangement:
    """A block's elements in rows from top to bottom, and the lines between neighbouring rows, by places in `elements`.

    With each line the node that made what it stands for.
    """

    elements: list[Element] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @cached_property
    def ports(self) -> dict[tuple[str, int], int]:
        """The places of those elements where lines enter and leave, by that and the line's source."""
        return {
            (element.kind, element.source): place
            for place, element in enumerate(self.elements)
            if element.kind in (ENTERS, LEAVES)
        }


def arranged(graph: FoldedGraph) -> dict[int, Arrangement]:
    """The rows of every block, by its item."""
    wires: dict[int, Wires] = {}
    for source, target in graph.edges:
        _route(graph, source, target, wires)
    return {
        place: _rows([Element(ITEM, child) for child in item.children], list(wires.get(place, ())))
        for place, item in enumerate(graph.items)
        if item.children
    }


def _route(graph: FoldedGraph, source: int, target: int, wires: dict[int, Wires]) -> None:
    """Lead an edge out of the blocks around its source and into those around its target."""
    out, into = graph.within(source), graph.within(target)
    # The first items that only one of them is in.
    apart = next(place for place, (a, b) in enumerate(zip(out, into, strict=False)) if a != b)
    for block, item in pairwise(out[apart:]):
        wires.setdefault(block, {})[Element(ITEM, item), Element(LEAVES, source=source), source] = None
    for block, item in pairwise(into[apart:]):
        wires.setdefault(block, {})[Element(ENTERS, source=source), Element(ITEM, item), source] = None
    start, end = Element(ITEM, out[apart]), Element(ITEM, into[apart])
    wires.setdefault(out[apart - 1], {})[start, end, source] = None


def _rows(items: Sequence[Element], wires: Sequence[Wire]) -> Arrangement:
    """Give every element its row, a place in every row that it passes to every line, and sort the rows."""
    elements = list(dict.fromkeys((*items, *(end for wire in wires for end in wire[:2]))))
    places = {element: place for place, element in enumerate(elements)}
    before: dict[int, list[int]] = {}
    for start, end, _ in wires:
        before.setdefault(places[end], []).append(places[start])
    row_of = [0 if element.kind == ENTERS else 1 for element in elements]
    for place in range(len(items)):  # in the order of running
        row_of[place] = max((row_of[other] + 1 for other in before.get(place, ())), default=1)
    last = max(row_of) + 1
    row_of = [last if element.kind == LEAVES else row for element, row in zip(elements, row_of, strict=True)]
    lines: dict[Line, None] = {}
    passing: dict[tuple[int, int, int], int] = {}  # of a line's start, its source and a row its element there
    for start, end, source in wires:
        place = places[start]
        for row in range(row_of[place] + 1, row_of[places[end]]):
            key = places[start], source, row
            if key not in passing:
                passing[key] = len(elements)
                elements.append(Element(PASSES, source=source))
                row_of.append(row)
            lines[place, passing[key], source] = None
            place = passing[key]
        lines[place, places[end], source] = None
    rows: list[list[int]] = [[] for _ in range(last + 1)]
    for place, row in enumerate(row_of):
        rows[row].append(place)
    rows = [row for row in rows if row]
    return Arrangement(elements, _sorted(rows, list(lines)), list(lines))


def _sorted(rows: list[list[int]], lines: Sequence[Line]) -> list[list[int]]:
    """Sort rows by the mean place of what their elements are joined to, from above and from below in turns."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for start, end, _ in lines:
        above.setdefault(end, []).append(start)
        below.setdefault(start, []).append(end)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        joined = below if sweep % 2 else above
        order: dict[int, float] = {}
        for row in reversed(rows) if sweep % 2 else rows:
            middle = {
                place: _mean(order[other] for other in joined[place]) if place in joined else float(at)
                for at, place in enumerate(row)
            }
            row.sort(key=middle.__getitem__)
            order.update((place, at) for at, place in enumerate(row))
        if (crossings := _crossings(rows, below)) < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: Sequence[Sequence[int]], below: dict[int, list[int]]) -> int:
    """How often lines cross between neighbouring rows: the inversions among their lower ends."""
    crossings = 0
    for upper, lower in pairwise(rows):
        order = {place: at for at, place in enumerate(lower)}
        met: list[int] = []
        for place in upper:
            ends = sorted(order[end] for end in below.get(place, ()))
            crossings += sum(len(met) - bisect_right(met, end) for end in ends)
            for end in ends:
                insort(met, end)
    return crossings


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
