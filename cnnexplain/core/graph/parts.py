"""The parts of a graph's blocks in the order of running, and which of them repeat one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnexplain.core.graph.model import ModelGraph
from cnnexplain.core.layer_words import Row, times

LONGEST_PERIOD = 8  # layers that repeat together, outside any block of their own
FEWEST_TIMES = 4  # so often do layers repeat that are folded; blocks twice

Part = tuple[int, int]  # a node and -1, or the first node of a block and the block
Signature = tuple[Any, ...]


class Parts:
    """Which nodes and blocks stand directly within each block of a graph: `of`, with `starts` and `ends` of blocks."""

    def __init__(self, graph: ModelGraph, rows: Mapping[str, Row]) -> None:
        self.graph = graph
        self._rows = rows
        self.ends = [0] * len(graph.groups)  # of each block the place behind its last node
        self.starts = [len(graph.nodes)] * len(graph.groups)
        for place, node in enumerate(graph.nodes):
            group = node.group
            while group >= 0:
                self.starts[group] = min(self.starts[group], place)
                self.ends[group] = max(self.ends[group], place + 1)
                group = graph.groups[group].parent
        self.of: list[list[Part]] = [[] for _ in graph.groups]
        for place, node in enumerate(graph.nodes):
            self.of[node.group].append((place, -1))
        for group in range(1, len(graph.groups)):
            if self.ends[group]:
                self.of[graph.groups[group].parent].append((self.starts[group], group))
        for parts in self.of:
            parts.sort()
        self._before: dict[int, list[int]] = {}
        for source, target in graph.edges:
            self._before.setdefault(target, []).append(source)
        self._signatures: dict[Part, Signature] = {}

    def runs(self, parts: Sequence[Part]) -> Iterator[tuple[Sequence[Part], int, Part]]:
        """Return a block's parts divided into units, how often each repeats, and the first part of the last time."""
        place = 0
        signatures = [self._signature(part) for part in parts]
        while place < len(parts):
            best = (1, 1)
            for period in range(1, min(LONGEST_PERIOD, (len(parts) - place) // 2) + 1):
                repeats = self._repeats(parts, signatures, place, period)
                block = period == 1 and parts[place][1] >= 0
                if repeats >= (2 if block else FEWEST_TIMES) and repeats * period > best[0] * best[1]:
                    best = (period, repeats)
            period, repeats = best
            yield parts[place : place + period], repeats, parts[place + period * (repeats - 1)]
            place += period * repeats

    def _repeats(
        self, parts: Sequence[Part], signatures: Sequence[Signature], place: int, period: int
    ) -> int:
        """How often a unit of so many parts repeats from a place on, each fed like the one before it."""
        repeats, fed = 1, None
        while True:
            start = place + repeats * period
            unit = signatures[start : start + period]
            if unit != signatures[place : place + period]:
                return repeats
            feeds = self._feeds(parts[start][0], self.end(parts[start + period - 1]), parts[place][0])
            if fed is None and not any(kind == "before" for _, kind, _ in feeds):
                return repeats
            if fed is not None and feeds != fed:
                return repeats
            fed = feeds
            repeats += 1

    def _feeds(self, first: int, end: int, start: int) -> set[tuple[int, str, int]]:
        """What leads into a unit from outside: from units before it by how far back, or from outside the run."""
        return {
            (target - first, *(("before", first - source) if source >= start else ("outside", source)))
            for target in range(first, end)
            for source in self._before.get(target, ())
            if source < first
        }

    def _signature(self, part: Part) -> Signature:
        """What is equal for layers and blocks of one structure and the same shapes."""
        if part in self._signatures:
            return self._signatures[part]
        node, group = part
        if group < 0:
            described = self.graph.nodes[node]
            row = self._rows.get(described.name) if described.name else None
            made: Signature = (described.kind, described.shape, described.multiply_adds, window_words(row))
        else:
            first, end = self.starts[group], self.ends[group]
            inner = tuple(
                (source - first, target - first)
                for target in range(first, end)
                for source in self._before.get(target, ())
                if source >= first
            )
            made = self.graph.groups[group].kind, inner, *map(self._signature, self.of[group])
        self._signatures[part] = made
        return made

    def end(self, part: Part) -> int:
        """Return the place behind a part's last node."""
        return part[0] + 1 if part[1] < 0 else self.ends[part[1]]


def window_words(row: Row | None) -> str:
    """Kernel and stride as figures of networks have them: 3×3 /2."""
    window = row and row["window"]
    if not window or not window["kernel"]:
        return ""
    stride: Sequence[int] = window["stride"] or ()
    far = f" /{stride[0] if len(set(stride)) == 1 else times(stride)}" if set(stride) - {1} else ""
    return times(window["kernel"]) + far
