"""Feature maps on the page: a figure for every layer, or one of all layers in a strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnexplain.core.words import count, listed, number, percent, reached, unit_name
from cnnexplain.report.pages.figures import (
    FOLDED,
    Entry,
    Figure,
    FoldedTable,
    Record,
    by_picture,
    links_of,
    remarks_of,
    source,
)
from cnnexplain.report.pages.words import shape, span

LISTED_CHANNELS = 50  # the others are in the record


def figures(entries: Sequence[Entry], _record: Record) -> Iterator[Figure]:
    """A figure for every picture, or for every layer without pictures."""
    return map(_layers, by_picture(entries))


def _layers(entries: Sequence[Entry]) -> Figure:
    """The feature maps of one layer, or of several in one picture."""
    several = len(entries) > 1
    first, last = entries[0], entries[-1]
    subject = f"{len(entries)}, from {first['layer']} to {last['layer']}" if several else _channels(first)
    silent = f"{count(len(first['channels']['silent']), 'channel')}" if first["channels"]["silent"] else ""
    facts = (
        ("range", span(first["min"], first["max"])),
        ("mean", number(first["channels"]["mean"])),
        ("not above zero", percent(first["channels"]["sparsity"])),
        ("silent", silent),
        ("peak", f"x {first['peak'][0]}, y {first['peak'][1]}" if first["peak"] else ""),
    )
    return Figure(
        src=source(first),
        alt=f"Feature maps of {listed([_alt(entry) for entry in entries])}",
        title="All layers" if several else first["layer"],
        joint=" · ",
        subject=subject,
        facts=() if several else tuple(fact for fact in facts if fact[1]),
        remarks=remarks_of(entries),
        table=_layer_table(entries) if several else _channel_table(first),
        links=links_of(entries, "raw maps"),
        wide=True,
    )


def _alt(entry: Entry) -> str:
    return f"{entry['layer']} ({_channels(entry)}; {reached(entry)})"


def _channels(entry: Entry) -> str:
    if entry["shape"] == [1, 1]:
        return count(entry["channels"]["count"], "unit")
    return f"{count(entry['channels']['count'], 'channel')} of {shape(entry['shape'])}"


def _layer_table(entries: Sequence[Entry]) -> FoldedTable:
    rows = [
        (
            entry["layer"],
            _channels(entry),
            span(entry["min"], entry["max"]),
            number(entry["channels"]["mean"]),
            percent(entry["channels"]["sparsity"]),
            f"{len(entry['channels']['silent']):,}",
        )
        for entry in entries
    ]
    head = ("layer", "map", "range", "mean", "not above zero", "silent channels")
    return FoldedTable("The layers one by one", head, tuple(rows), folded=False)


def _channel_table(entry: Entry) -> FoldedTable:
    channels = entry["channels"]["shown"]
    first = channels[:LISTED_CHANNELS]
    rows = [
        (
            unit_name(channel["channel"], channel.get("label", ""), entry["channels"]["count"]),
            number(channel["activation"]),
            number(channel["strength"]),
            f"x {channel['at'][0]}, y {channel['at'][1]}" if channel["at"] else "–",
        )
        for channel in first
    ]
    title = (
        f"The first {len(rows)} of {count(len(channels), 'channel')}"
        if len(channels) > len(rows)
        else "The channels one by one"
    )
    return FoldedTable(
        title,
        ("channel", "largest value", "mean of what is positive", "strongest at"),
        tuple(rows),
        len(rows) > FOLDED,
    )
