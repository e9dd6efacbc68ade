"""Synthesised pictures on the page: a figure for each, with what it reaches beside what grey and real pictures do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnexplain.core.words import number
from cnnexplain.report.pages.figures import (
    Entry,
    Fact,
    Figure,
    Record,
    facts_of,
    links_of,
    remarks_of,
    source,
)

SHOWN = {"subject", "channel", "variant", "steps", "activation", "mean", "grey", "highest", "plain"}


def figures(entries: Sequence[Entry], _record: Record) -> Iterator[Figure]:
    """A figure for every picture."""
    return map(_figure, entries)


def _figure(entry: Entry) -> Figure:
    where = f"{entry['layer']} " if entry["layer"] else ""
    return Figure(
        src=source(entry),
        alt=f"A picture made so that {where}{entry['subject']} is strong: {entry['title']}",
        title=str(entry["subject"]),
        joint=" · ",
        subject=f"{entry['method']}, {entry['steps']} steps",
        facts=(*_reached(entry), *facts_of({name: entry[name] for name in entry if name not in SHOWN})),
        remarks=remarks_of([entry]),
        links=links_of([entry], "raw values"),
    )


def _reached(entry: Entry) -> Iterator[Fact]:
    yield "reached" if entry["layer"] else "logit reached", number(entry["activation"])
    yield "of grey", number(entry["grey"])
    highest = entry.get("highest")
    if highest:
        yield "of the strongest real picture", f"{number(highest['activation'])}, {highest['image']}"
