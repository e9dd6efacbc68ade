"""Units on the page: a figure for every sheet, and the strip of all layers before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnexplain.core.words import count, listed, number
from cnnexplain.report.pages.figures import (
    FOLDED,
    Entry,
    Figure,
    FoldedTable,
    Link,
    Record,
    by_picture,
    links_of,
    other_facts,
    remarks_of,
    source,
)
from cnnexplain.report.pages.words import href, size


def figures(entries: Sequence[Entry], record: Record) -> Iterator[Figure]:
    """The overview first, where there is one; then a figure for every picture, or for every layer without pictures."""
    if record.get("overview"):
        yield _overview(entries, record["overview"])
    for together in by_picture(entries, lambda entry: entry["layer"]):
        yield _sheet(together, record["size"])


def _sheet(entries: Sequence[Entry], picture_size: Sequence[int]) -> Figure:
    layer, units = entries[0]["layer"], _units(entries)
    rules = listed(list(dict.fromkeys(entry["method"] for entry in entries)))
    best = max(units, key=lambda unit: unit["activation"])
    strongest = f"channel {best['channel']} ({number(best['activation'])})"
    unit_count = count(len(units), "unit")
    return Figure(
        src=source(entries[0]),
        alt=f"{unit_count} of {layer}, projected back to pixels by {rules}: what each saw of {size(picture_size)}; "
        f"the strongest is {strongest}",
        title=layer,
        joint=" · ",
        subject=f"{unit_count}, {rules}",
        facts=(("strongest", strongest), *other_facts(entries)),
        remarks=remarks_of(entries),
        table=FoldedTable(
            title="The units one by one",
            head=("unit", "channel", "activation", "row, column", "sees x", "sees y"),
            rows=tuple((str(place), *_row(unit)) for place, unit in enumerate(units, 1)),
            folded=len(units) > FOLDED,
        ),
        links=links_of(entries, "raw values"),
        wide=True,
    )


def _row(unit: Mapping[str, Any]) -> tuple[str, ...]:
    left, top, right, bottom = unit["sees"]
    cell = ", ".join(str(place) for place in unit["cell"]) if unit["cell"] else "all"
    return str(unit["channel"]), number(unit["activation"]), cell, f"{left}–{right}", f"{top}–{bottom}"


def _overview(entries: Sequence[Entry], overview: str) -> Figure:
    layers = list(dict.fromkeys(entry["layer"] for entry in entries))
    path = href(overview)
    return Figure(
        src=path,
        alt=f"What the strongest units of {listed(layers)} saw, projected back to pixels, layer beside layer",
        title="All layers",
        joint=" · ",
        subject=f"{len(layers)}, from {layers[0]} to {layers[-1]}",
        links=(Link("picture", path),),
        wide=True,
    )


def _units(entries: Sequence[Entry]) -> list[Mapping[str, Any]]:
    """Every unit once, by whatever many rules it was projected."""
    units = {
        str((entry["layer"], entry["unit"]["channel"], entry["unit"]["cell"])): entry["unit"]
        for entry in entries
    }
    return list(units.values())
