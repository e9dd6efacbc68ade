"""Winning classes on the page: a figure for each grid of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnexplain.core.words import percent
from cnnexplain.report._hiding import hiding_facts
from cnnexplain.report.pages.figures import Entry, Figure, Record, links_of, other_facts, remarks_of, source


def figures(entries: Sequence[Entry], record: Record) -> Iterator[Figure]:
    """A figure for every grid."""
    _ = record
    return map(_figure, entries)


def _figure(entry: Entry) -> Figure:
    wins = [f"{one['label']} {percent(one['share'])}" for one in entry["classes"]]
    facts = (
        ("wins at", ", ".join(wins[:5]) + (", ..." if len(wins) > 5 else "")),
        *hiding_facts(entry),
        *other_facts([entry]),
    )
    return Figure(
        src=source(entry),
        alt=f"Which class wins while a window hides the place: {', '.join(wins[:3])}",
        title=entry["method"],
        subject="winning classes, window by window",
        facts=facts,
        remarks=remarks_of([entry]),
        links=links_of([entry], "raw classes"),
    )
