"""The table of a model's layers on the terminal."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cnnexplain.cli.text import printable
from cnnexplain.core.layer_words import NUMBERS, Row, TableColumn, default_of, layers_and_blocks, totals, used
from cnnexplain.core.words import listed

if TYPE_CHECKING:
    from cnnexplain.core.results.summary import LayerTable

# What goes first where there is not room for all; a layer's name, shape, parameters and multiply-adds stay.
LESS_IMPORTANT = (
    "padding", "groups", "stride", "total_stride", "default", "memory", "kernel", "kind", "field", "share",
)  # fmt: skip
BAR = 10  # letters
BETWEEN = 2  # columns
EIGHTHS = " ▏▎▍▌▋▊▉█"
DEFAULT = "default of"
UNLIMITED = 10_000


def drawn(table: LayerTable, width: int | None, *, style: bool, encoding: str) -> list[str]:
    """The table in lines of at most `width` characters; None where nothing limits them, as in a pipe."""
    plain = table.record()
    names = {row.name for row in table.shown()}
    rows = [row for row in plain["rows"] if row["name"] in names and row["name"]]
    signs = Signs(encoding)
    console = paper(width, style=style)
    columns = _fitting(rows, console.width)
    layers = _layers(rows, columns, signs)
    missing = [column.heading for column in used(rows) if column.key not in columns]
    wider: list[Text | str] = (
        ["", Text(f"no room for {listed(missing)}: a wider terminal or a pipe has it", "dim")]
        if missing
        else []
    )
    with console.capture() as captured:
        title = Text(printable(f"{plain['rows'][0]['kind']}, {_levels(table, rows, plain['rows'])}"), "bold")
        console.print(Group(title, "", layers, *wider, "", _totals(plain)), soft_wrap=width is None)
    return [signs.fit(line.rstrip()) for line in captured.get().splitlines()]


def paper(width: int | None, *, style: bool) -> Console:
    """The console that a table is drawn on, `width` characters wide; None where nothing limits it."""
    return Console(
        file=io.StringIO(),
        width=width or UNLIMITED,
        force_terminal=style,
        color_system="standard" if style else None,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _fitting(rows: Sequence[Row], width: int) -> list[str]:
    """The columns for which there is room: the least important go first, and come back where they are narrow."""
    # Measured here, since rich takes as long over it as the model takes over a picture.
    widths = {
        column.key: max(map(cell_len, (column.heading, *(printable(column.text(row)) for row in rows))))
        for column in used(rows)
    }
    widths["layer"] = max(
        (2 * (row["depth"] - 1) + cell_len(printable(row["name"])) for row in rows), default=5
    )
    if "share" in widths:
        widths["share"] += BETWEEN + BAR
    if any(row["default_of"] for row in rows):
        widths["default"] = max(len(DEFAULT), *(len(default_of(row)) for row in rows))

    def fit(keys: Collection[str]) -> bool:
        return sum(widths[key] + BETWEEN for key in keys) - BETWEEN <= width

    columns = list(widths)
    gone = []
    for less in LESS_IMPORTANT:
        if not fit(columns) and less in columns:
            columns.remove(less)
            gone.append(less)
    for more in reversed(gone):
        if fit([*columns, more]):
            columns.append(more)
    return columns


class Signs:
    """The characters that an encoding can show: bars of blocks, or of plain letters."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.rich = "utf" in encoding.lower()

    def bar(self, share: float) -> str:
        """A bar whose length is `share` of the longest."""
        if not self.rich:
            return "#" * round(share * BAR)
        whole, eighths = divmod(max(1, round(share * BAR * 8)) if share else 0, 8)
        return EIGHTHS[-1] * whole + (EIGHTHS[eighths] if eighths else "")

    def fit(self, line: str) -> str:
        """The line with plain letters for those that the encoding lacks."""
        if self.rich:
            return line
        plain = line.translate(
            {ord("×"): "x", ord("–"): "-", ord("─"): "-", ord("…"): "...", ord("−"): "-", ord("→"): "->"}
        )
        return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)


def _levels(table: LayerTable, rows: Sequence[Row], every: Sequence[Row]) -> str:
    layers = len(every) - 1
    if len(rows) == layers:
        return ("all " if layers > 1 else "") + layers_and_blocks(layers)
    return f"{len(rows):,} of {layers_and_blocks(layers)}; --depth {table.depth} shows all"


def _layers(rows: Sequence[Row], columns: Sequence[str], signs: Signs) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if signs.rich else box.ASCII2,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    shown = [column for column in used(rows) if column.key in columns]
    for column in shown:
        right = column.key in NUMBERS
        table.add_column(
            column.heading,
            justify="right" if right else "left",
            no_wrap=column.key != "layer",
            overflow="fold",
            header_style="bold",
        )
        if column.key == "share":
            table.add_column("", no_wrap=True)
    if "default" in columns:
        table.add_column(DEFAULT, no_wrap=True, header_style="bold")
    longest = max((row["share"] or 0 for row in rows), default=0)
    for row in rows:
        table.add_row(*_cells(row, shown, signs, longest), *([_default(row)] if "default" in columns else []))
    return table


def _cells(row: Row, columns: Sequence[TableColumn], signs: Signs, longest: float) -> Iterator[Text]:
    for column in columns:
        if column.key == "layer":
            yield _name(row)
            continue
        quiet = column.key in ("kind", "memory", "padding", "stride")
        yield Text(printable(column.text(row)), "dim" if quiet else "")
        if column.key == "share":
            yield Text(signs.bar((row["share"] or 0) / longest if longest else 0), "cyan")


def _name(row: Row) -> Text:
    """The full name, which --layer takes; the part that the surrounding block shares is dim."""
    block, dot, last = row["name"].rpartition(".")
    style = "bold green" if row["default_of"] else "" if row["leaf"] else "bold"
    return Text.assemble("  " * (row["depth"] - 1), (printable(block) + dot, "dim"), (printable(last), style))


def _default(row: Row) -> Text:
    return Text(default_of(row), "green")


def _totals(plain: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, sentence in totals(plain):
        table.add_row(name, Text(printable(sentence)))
    return table
