"""The graph of a model on the page: drawn as it is folded at first, with the data for a script that opens blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cnnexplain.core.graph import across, place, svg
from cnnexplain.core.graph.arrange import ENTERS, ITEM, LEAVES, PASSES, Arrangement, arranged
from cnnexplain.core.graph.fold import FoldedGraph, GraphItem, folded
from cnnexplain.core.graph.model import graph_of
from cnnexplain.core.words import printable
from cnnexplain.report.pages.figures import Link
from cnnexplain.report.pages.words import href
from cnnexplain.report.summary import anchor

KINDS = (ITEM, ENTERS, LEAVES, PASSES)
WORDS = (
    "what ran, from the input down. A block with ▸ opens and ▾ closes; a layer leads to its row in the table. "
    "Shape, multiply-adds, receptive field and dead units (filters with next to no weight) stand on each; ×3 stands "
    "for three alike, one after the other."
)
SIZES = {
    "layer": place.LAYER, "function": place.FUNCTION, "line": across.LINE, "across": across.ACROSS, "down": place.DOWN,
    "padding": place.PADDING, "header": place.HEADER, "gutter": place.GUTTER, "tall": place.TALL,
    "aspect": place.ASPECT, "lower": place.LOWER, "sweeps": across.SWEEPS,
}  # fmt: skip
LETTERS = {
    "title": svg.TITLE, "text": svg.TEXT, "wide": svg.WIDE, "bold": svg.BOLD, "inset": svg.INSET, "sign": svg.SIGN,
    "apart": svg.APART,
}  # fmt: skip


@dataclass(frozen=True)
class GraphView:
    """A graph as the page has it: a drawing, the data to draw it otherwise, and files to take along."""

    svg: Markup
    data: Markup
    words: str
    links: tuple[Link, ...]


def graph_view(record: Mapping[str, Any]) -> GraphView | None:
    """Return the graph of a summary's record; None where it has none, as from an earlier version."""
    table = record["summary"]
    if not table.get("graph"):
        return None
    graph = folded(graph_of(table["graph"]), table["rows"])
    arrangements = arranged(graph)
    opened = graph.opened()
    anchors = {row["name"]: anchor(at) for at, row in enumerate(table["rows"]) if at}
    data = {
        "items": [_item(graph, item, anchors) for item in graph.items],
        "blocks": [_block(item, arrangement) for item, arrangement in arrangements.items()],
        "opened": sorted(opened),
        "kinds": KINDS,
        "sizes": SIZES,
        "letters": LETTERS,
    }
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    drawing = svg.on_page(graph, place.placed(graph, arrangements, opened), anchors)
    links = (Link(path.rpartition(".")[2].upper(), href(path)) for path in _of_graph(record))
    return GraphView(Markup(drawing), Markup(text), WORDS, tuple(links))  # noqa: S704 - escaped where they are made


def _of_graph(record: Mapping[str, Any]) -> list[str]:
    """The files of the graph: summary.svg; those of the stages have one more part in their names."""
    return [path for path in record.get("drawings", ()) if path.count(".") == 1]


def _item(graph: FoldedGraph, item: GraphItem, anchors: Mapping[str, str]) -> dict[str, Any]:
    whole, short = map(printable, svg.names_of(graph, item))
    kind = printable(item.kind)
    return {
        "kind": kind,
        "rest": svg.title_of(item).removeprefix(kind),
        "whole": whole,
        "short": short,
        "facts": item.facts,
        "about": svg.about(item),
        "sort": item.sort,
        "anchor": anchors.get(item.row, "") if item.row else "",
        "times": item.times,
        "function": item.is_function,
        "block": bool(item.children),
        "dead": item.dead,
    }


def _block(item: int, arrangement: Arrangement) -> list[Any]:
    elements = [[KINDS.index(element.kind), element.item, element.source] for element in arrangement.elements]
    return [item, elements, arrangement.rows, arrangement.lines]
