"""The verdicts of a checked model as the page shows them: failures before passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.report.pages.figures import Figure, FoldedTable, Link
from cnnexplain.report.pages.words import duration, href, words

# The order on the page: status, the word for it, and how the group is called.
GROUPS = (("fail", "failed"), ("warn", "warned"), ("skipped", "skipped"), ("pass", "passed"))
LONG_TABLE = 12  # rows; a longer one is folded away


@dataclass(frozen=True)
class VerdictCard:
    """The verdict of a check as the page shows it; `why`, `do`, `figure` and `table` may be empty."""

    anchor: str
    id: str
    title: str
    status: str
    word: str  # of its status: colours are for those who see them
    says: str
    do: str
    why: str
    facts: tuple[tuple[str, str], ...]
    figure: Figure | None
    table: FoldedTable | None


@dataclass(frozen=True)
class VerdictGroup:
    """The verdicts of one status."""

    status: str
    word: str
    all: tuple[VerdictCard, ...]

    @property
    def folded(self) -> bool:
        """Whether a line each is enough until a reader asks for more."""
        return self.status in ("pass", "skipped")


def groups(records: Sequence[Mapping[str, Any]]) -> tuple[VerdictGroup, ...]:
    """The verdicts of a checked model by status, what failed first; none where no model was checked."""
    entries = [entry for record in records for entry in record.get("checks", ())]
    status_groups = []
    for status, word in GROUPS:
        cards = tuple(_card(entry, word) for entry in entries if entry["status"] == status)
        if cards:
            status_groups.append(VerdictGroup(status, word, cards))
    return tuple(status_groups)


def _card(entry: Mapping[str, Any], word: str) -> VerdictCard:
    table = entry.get("table")
    return VerdictCard(
        anchor=f"check-{entry['id']}",
        id=entry["id"],
        title=entry["title"],
        status=entry["status"],
        word=word,
        says=entry["says"],
        do=entry.get("do", ""),
        why=entry.get("why", ""),
        facts=tuple(_facts(entry)),
        figure=_figure(entry) if entry.get("picture") else None,
        table=_table(table) if table and table["rows"] else None,
    )


def _facts(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if entry["value"] is not None:
        yield "measured", words(entry["value"])
    if entry["limits"]:
        yield "limits", words({name.replace("_", "-"): limit for name, limit in entry["limits"].items()})
    yield "level", entry["level"]
    yield "took", duration(entry["seconds"])


def _figure(entry: Mapping[str, Any]) -> Figure:
    shows = entry.get("shows") or entry["title"]
    path = href(entry["picture"])
    return Figure(
        src=path,
        alt=f"{shows}: {entry['says']}",
        title=shows,
        subject="",
        links=(Link("picture", path),),
        wide=True,
    )


def _table(table: Mapping[str, Any]) -> FoldedTable:
    rows = tuple(tuple(row) for row in table["rows"])
    row_count = f"{len(rows):,} row" + "s" * (len(rows) != 1)
    return FoldedTable(f"The evidence: {row_count}", tuple(table["head"]), rows, len(rows) > LONG_TABLE)
