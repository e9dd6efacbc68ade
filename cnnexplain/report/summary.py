"""The table of a model's layers on the page: a tree of rows that can be folded, and sorted by a small script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnexplain.core import layer_words
from cnnexplain.core.layer_words import COLUMNS, NUMBERS, Row, TableColumn, scaled, times, totals
from cnnexplain.report.pages.figures import Figure, Link
from cnnexplain.report.pages.words import href

DEEPEST = 12  # levels that are told apart; names say the rest


@dataclass(frozen=True)
class TableCell:
    """One cell: its text, the number that it is sorted by, and the length of its bar."""

    key: str
    text: str
    value: str | None = None  # empty for a cell without a number in a column that has numbers
    share: float | None = None
    number: bool = False


@dataclass(frozen=True)
class Node:
    """A row and those inside its block. `open`: whether they are shown at first."""

    cells: tuple[TableCell, ...]
    level: int
    block: str  # of its name, what the block around it is called
    last: str  # and the rest
    default_of: str
    open: bool
    leaf: bool
    anchor: str
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Layers:
    """The whole table; `tiles` are its most important totals."""

    head: tuple[TableColumn, ...]
    numbers: tuple[str, ...]  # the keys of the columns that hold numbers
    nodes: tuple[Node, ...]
    facts: tuple[tuple[str, str], ...]
    tiles: tuple[tuple[str, str], ...]
    problem: str


def layers(table: Mapping[str, Any]) -> Layers:
    """The table of a record's `summary`."""
    rows = table["rows"][1:]
    longest = max((row["share"] or 0 for row in rows), default=0) or 1
    roots: list[Node] = []
    by_name: dict[str, Node] = {}
    for place, row in enumerate(rows, 1):
        block, _, last = row["name"].rpartition(".")
        level = min(row["depth"], DEEPEST)
        node = Node(
            cells=tuple(_cell(column, row, longest) for column in COLUMNS[1:]),
            level=level,
            block=f"{block}." if block else "",
            last=last,
            default_of=", ".join(row["default_of"]),
            open=row["depth"] < table["shown_depth"],
            leaf=row["leaf"],
            anchor=anchor(place),
        )
        parent = by_name.get(block)
        (roots if parent is None else parent.children).append(node)
        # Deeper than DEEPEST rows are brothers: pages, too, have an end to how deep they nest.
        by_name[row["name"]] = node if level < DEEPEST or parent is None else parent
    return Layers(
        COLUMNS, NUMBERS, tuple(roots), tuple(totals(table)), tuple(_tiles(table)), table["problem"] or ""
    )


def anchor(place: int) -> str:
    """Return what leads to the row of a layer, the `place` of it counted from the model itself."""
    return f"layer-{place}"


def stages(record: Mapping[str, Any]) -> Figure:
    """The picture of the stages, with all its sizes as its alternative text."""
    rows = layer_words.stages(record["summary"]["rows"])
    sizes = ", ".join(f"{row['name']} {times(row['map'])}" for row in rows)
    return Figure(
        src=href(record["overview"]),
        alt=f"The stages of the model as boxes, resolution against channels: {sizes}",
        title="Stages",
        subject="resolution against channels",
        joint=": ",
        wide=True,
        links=(Link("picture", href(record["overview"])),),
    )


def _cell(column: TableColumn, row: Row, longest: float) -> TableCell:
    value = column.value(row) if column.value else None
    share = row["share"] / longest if column.key == "share" and row["share"] else None
    sorted_by = None if column.value is None else "" if value is None else f"{value:g}"
    return TableCell(column.key, column.text(row), sorted_by, share, column.key in NUMBERS)


def _tiles(table: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    total = table["totals"]
    tiles = [(scaled(total["parameters"]), "parameters")]
    if total["multiply_adds"] is not None:
        tiles.append((scaled(total["multiply_adds"]), "multiply-adds for one picture"))
        tiles.append((scaled(total["activation_bytes"], "B"), "of activations for one picture"))
    number, noun = layer_words.layers_and_blocks(len(table["rows"]) - 1).split(" ", 1)
    tiles.append((number, noun))
    return tiles
