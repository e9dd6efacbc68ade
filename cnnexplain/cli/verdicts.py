"""Checks and their verdicts on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cnnexplain.cli.table import Signs, paper
from cnnexplain.cli.text import printable
from cnnexplain.core.params import declared
from cnnexplain.core.words import listed

if TYPE_CHECKING:
    from cnnexplain.core.verdict import Status, Verdict
    from cnnexplain.runner.checking.thresholds import Chosen

# The word and the look of each status, in the order in which they are counted.
WORDS: dict[Status, tuple[str, str]] = {
    "fail": ("failed", "bold red"),
    "warn": ("warned", "bold yellow"),
    "skipped": ("skipped", "dim"),
    "pass": ("passed", "green"),
}
SENTENCE = 36  # letters that a sentence needs beside the other columns; where there are fewer it stands below
WORD = max(len(word) for word, _ in WORDS.values())
INDENT = 4


def drawn(
    verdicts: Sequence[Verdict], width: int | None, *, style: bool, encoding: str, counts: bool = True
) -> list[str]:
    """The verdicts in lines of at most `width` characters; None where nothing limits them, as in a pipe."""
    rows = [_row(verdict) for verdict in verdicts]
    parts: list[RenderableType] = [_table(rows, width)]
    if counts:
        parts += ["", _counts(verdicts)]
    return _lines(parts, width, style=style, encoding=encoding)


def listing(taken: Sequence[Chosen], width: int | None, *, style: bool, encoding: str) -> list[str]:
    """All checks: id, level and meaning, and below it why it matters, what it needs, its limits with their reasons."""
    parts: list[RenderableType] = []
    for entry in taken:
        level = Text(entry.level, "red" if entry.level == "error" else "yellow")
        head = Text.assemble((printable(entry.id), "bold"), "  ", level, "  ", printable(entry.title))
        parts += [head, Padding(Text(printable(entry.check.why), "dim"), (0, 0, 0, INDENT))]
        if entry.check.needs:
            parts.append(Padding(Text(f"needs {listed(entry.check.needs)}"), (0, 0, 0, INDENT)))
        for field in declared(type(entry.check)):
            name, value = field.name.replace("_", "-"), entry.limits[field.name]
            limit = Text.assemble((f"{name} = {value}", "cyan"), f"  {printable(field.param.help)}")
            parts.append(Padding(limit, (0, 0, 0, INDENT)))
        parts.append("")
    return _lines(parts[:-1], width, style=style, encoding=encoding)


def _row(verdict: Verdict) -> tuple[Text, Text, Text]:
    word, look = WORDS[verdict.status]
    says = Text(printable(verdict.says), "dim" if verdict.status == "skipped" else "")
    if verdict.do and verdict.status in ("fail", "warn"):
        says.append(f"\n→ {printable(verdict.do)}", "cyan")
    return (
        Text(word, look),
        Text(printable(verdict.check), "bold" if verdict.status in ("fail", "warn") else ""),
        says,
    )


def _table(rows: Sequence[tuple[Text, Text, Text]], width: int | None) -> Table:
    """The table of verdicts: the sentence beside the check where there is room for it, or else below."""
    longest = max((name.cell_len for _, name, _ in rows), default=0)
    beside = width is None or width - WORD - longest - 4 >= SENTENCE
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=beside, overflow="fold")
    if not beside:
        for word, name, says in rows:
            table.add_row(Text.assemble(word, "  ", name))
            table.add_row(Padding(says, (0, 0, 0, INDENT)))
        return table
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _counts(verdicts: Sequence[Verdict]) -> Text:
    many = Counter(verdict.status for verdict in verdicts)
    parts = [(f"{many[status]} {word}", look) for status, (word, look) in WORDS.items() if many[status]]
    total = f"{len(verdicts)} check" + "s" * (len(verdicts) != 1)
    return Text.assemble(f"{total}: ", *(piece for part in parts for piece in (part, ", ")))[:-2]


def _lines(parts: Sequence[RenderableType], width: int | None, *, style: bool, encoding: str) -> list[str]:
    signs, console = Signs(encoding), paper(width, style=style)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=False)
    return [signs.fit(line.rstrip()) for line in captured.get().splitlines()]
