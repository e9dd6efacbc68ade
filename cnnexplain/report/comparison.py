"""Comparisons on the page: a figure for each, with a table of all scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnexplain.core.results.comparison import judgement, named_label, names_of, signed
from cnnexplain.core.words import number
from cnnexplain.report.pages.figures import (
    Entry,
    Figure,
    FoldedTable,
    Record,
    links_of,
    remarks_of,
    source,
)
from cnnexplain.report.pages.words import shape

HEAD = (
    "map",
    "deletion",
    "insertion",
    "advantage",
    "blurred",
    "infidelity",
    "edges",
    "redrawn",
    "all layers redrawn",
    "noise",
    "gap",
    "ROAD",
    "it is",
)


def figures(entries: Sequence[Entry], record: Record) -> Iterator[Figure]:
    """A figure for every comparison."""
    _ = record
    return map(_figure, entries)


def _figure(entry: Entry) -> Figure:
    names = names_of(entry["methods"])
    best = max(
        (scored["advantage"], name)
        for name, scored in zip(names, entry["methods"], strict=True)
        if scored["advantage"] is not None
    ) if any(scored["advantage"] is not None for scored in entry["methods"]) else None  # fmt: skip
    rows = [
        (name, *_numbers(scored), judgement(scored, entry["references"]))
        for name, scored in zip(names, entry["methods"], strict=True)
    ]
    rows += [(reference["name"], *_numbers(reference), "") for reference in entry["references"]]
    label = named_label(entry)
    return Figure(
        src=source(entry),
        alt=f"{len(names)} maps of {label} with their deletion and insertion curves",
        title="Methods compared",
        subject=f"{label}, by the {entry['score']}",
        facts=(
            ("cells", shape(entry["cells"])),
            *((("largest advantage", f"{best[1]} {signed(best[0])}"),) if best else ()),
        ),
        remarks=remarks_of([entry]),
        table=FoldedTable("Scores", HEAD, tuple(rows), folded=False),
        links=links_of([entry], "raw curves"),
        wide=True,
    )


def _numbers(scored: Entry) -> tuple[str, ...]:
    """The numbers of a row, in the order of `HEAD`."""
    areas = ["–" if scored[name] is None else number(scored[name]) for name in ("deletion", "insertion")]
    advantage = signed(scored["advantage"])
    if scored.get("spread") is not None:
        advantage += f" ± {number(scored['spread'])}"
    blurred = scored.get("blurred")
    return (
        *areas,
        advantage,
        signed(blurred["advantage"]) if blurred else "–",
        *(_number(scored.get(name)) for name in ("infidelity", "edges", "randomised")),
        _number(scored["layers"][-1]["correlation"] if scored.get("layers") else None),
        *(_number(scored.get(name)) for name in ("sensitivity", "gap", "road")),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
