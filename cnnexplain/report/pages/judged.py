"""What the page shows of a check: the verdicts, what is wrong before what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.report.pages.figures import Figure, Link, Table
from cnnexplain.report.pages.words import duration, href, words

# The order on the page: status, the word for it, and how the group is called.
GROUPS = (("fail", "failed"), ("warn", "warned"), ("skipped", "skipped"), ("pass", "passed"))
LONG_TABLE = 12  # rows; a longer one is folded away


@dataclass(frozen=True)
class Judged:
    """One verdict."""

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
    table: Table | None


@dataclass(frozen=True)
class Group:
    """The verdicts of one status."""

    status: str
    word: str
    all: tuple[Judged, ...]

    @property
    def folded(self) -> bool:
        """Whether a line each is enough until a reader asks for more."""
        return self.status in ("pass", "skipped")


def groups(records: Sequence[Mapping[str, Any]]) -> tuple[Group, ...]:
    """The verdicts of a checked model by status, what failed first; none where no model was checked."""
    every = [one for record in records for one in record.get("checks", ())]
    found = []
    for status, word in GROUPS:
        some = tuple(_judged(one, word) for one in every if one["status"] == status)
        if some:
            found.append(Group(status, word, some))
    return tuple(found)


def _judged(one: Mapping[str, Any], word: str) -> Judged:
    table = one.get("table")
    return Judged(
        anchor=f"check-{one['id']}",
        id=one["id"],
        title=one["title"],
        status=one["status"],
        word=word,
        says=one["says"],
        do=one.get("do", ""),
        why=one.get("why", ""),
        facts=tuple(_facts(one)),
        figure=_figure(one) if one.get("picture") else None,
        table=_table(table) if table and table["rows"] else None,
    )


def _facts(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if one["value"] is not None:
        yield "measured", words(one["value"])
    if one["limits"]:
        yield "limits", words({name.replace("_", "-"): limit for name, limit in one["limits"].items()})
    yield "level", one["level"]
    yield "took", duration(one["seconds"])


def _figure(one: Mapping[str, Any]) -> Figure:
    shows = one.get("shows") or one["title"]
    path = href(one["picture"])
    return Figure(
        src=path,
        alt=f"{shows}: {one['says']}",
        title=shows,
        subject="",
        links=(Link("picture", path),),
        wide=True,
    )


def _table(table: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(row) for row in table["rows"])
    many = f"{len(rows):,} row" + "s" * (len(rows) != 1)
    return Table(f"The evidence: {many}", tuple(table["head"]), rows, len(rows) > LONG_TABLE)
