"""Filters on the page: a figure for every layer, and what was counted of its filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnexplain.core.words import number
from cnnexplain.report.pages.figures import Entry, Figure, Record, facts_of, links_of, remarks_of, source
from cnnexplain.report.pages.words import span


def figures(entries: Sequence[Entry], _record: Record) -> Iterator[Figure]:
    """A figure for every layer."""
    return map(_layer, entries)


def _layer(entry: Entry) -> Figure:
    finite = entry["min"] is not None and entry["max"] is not None
    facts = (
        ("range", span(entry["min"], entry["max"]) if finite else "nothing finite"),
        *_counted(entry.get("filters")),
        *facts_of(entry),
    )
    return Figure(
        src=source(entry),
        alt=f"{entry['method']} of {entry['layer'] or 'the model'}: {entry['title']}",
        title=entry["layer"] or entry["method"],
        joint=" · ",
        subject=entry["title"],
        facts=facts,
        remarks=remarks_of([entry]),
        links=links_of([entry], "raw values"),
        wide=True,
    )


def _counted(counted: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """The statistics of the filters as facts; none where no filters were counted."""
    if counted is None:
        return
    norm = counted["norm"]
    if norm["median"] is not None:
        yield "norms", f"{number(norm['min'])} to {number(norm['max'])}, median {number(norm['median'])}"
    yield "dead", f"{len(counted['dead']['which']):,} of {counted['filters']:,}"
    if counted["alike"] is not None:
        # With a hyphen at which no browser breaks the line.
        yield "near\u2011duplicates", f"{counted['alike']['filters']:,} of {counted['filters']:,}"
