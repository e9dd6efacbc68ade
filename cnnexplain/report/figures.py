"""The figures of one card: every picture once, or without pictures every finding, with what is to be known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.explanation import PIXELS
from cnnexplain.core.kinds import is_misplaced, kind_of
from cnnexplain.core.words import count, likelihood, listed, number, percent, reached, unit_name
from cnnexplain.report.filter_facts import of_filters
from cnnexplain.report.words import href, shape, size, span, words

SHOWN_UNITS = 9  # a longer list is folded away
LISTED_CHANNELS = 50  # the others are in the record
FEW = 3  # what differs from unit to unit more than this is left to the record

_SCALES = {
    "signed": "signed: for and against",
    "rule": "both signs of what the rule let through",
    "magnitude": "magnitude",
    "component": "two sides of a component, sign arbitrary",
}
# What has a place of its own; whatever else a method found out is told as it is.
_PLACED = {"method", "layer", "target", "title", "of_class", "unit", "channels", "scale", "shape", "min", "max",
           "peak", "laid", "run", "picture", "raw", "remarks", "rectifiers", "completeness", "filters"}  # fmt: skip

Fact = tuple[str, str]


@dataclass(frozen=True)
class Link:
    """A link to a file under OUT."""

    text: str
    href: str


@dataclass(frozen=True)
class Table:
    """What is listed below a picture; the first cell of a row is what it is about."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool


@dataclass(frozen=True)
class Figure:
    """One picture with its caption, or the caption alone. `alt` is for those who cannot see the picture."""

    src: str  # empty where none was drawn
    alt: str
    title: str
    subject: str
    joint: str = " of "  # between title and subject
    facts: tuple[Fact, ...] = ()
    remarks: tuple[str, ...] = ()
    table: Table | None = None
    links: tuple[Link, ...] = ()
    wide: bool = False  # needs all the room there is


def figures(record: Mapping[str, Any]) -> Iterator[Figure]:
    """A figure for every picture of a record: the overview first, then the others in their order.

    Where none were drawn, one for every map, and for every layer of units or channels.
    """
    together: dict[Any, list[Mapping[str, Any]]] = {}
    for place, one in enumerate(record["explanations"]):
        apart = one["layer"] if kind_of(one) == "unit" else place
        together.setdefault(one["picture"] or apart, []).append(one)
    if record.get("overview") and "summary" not in record:
        yield _overview(record)
    for shown in together.values():
        kind = kind_of(shown[0])
        if kind == "map":
            yield _map(shown[0], record["size"])
        elif kind == "unit":
            yield _sheet(shown, record["size"])
        elif kind == "channels":
            yield _layers(shown)
        else:
            yield _of_model(shown[0])


def _map(found: Mapping[str, Any], picture_size: Sequence[int]) -> Figure:
    target, peak, layer, method = found["target"], found["peak"], found["layer"], found["method"]
    of_class = found.get("of_class", True)
    chance = likelihood(target)
    what = f"‘{target['label']}’ ({chance})" if of_class else "no class"
    where = f"strongest at x {peak[0]}, y {peak[1]} of {size(picture_size)}" if peak else _nothing(found)
    facts = (
        ("layer", "" if layer == PIXELS else layer),
        ("map", shape(found["shape"])),
        ("range", span(found["min"], found["max"])),
        ("scale", _SCALES.get(found.get("scale", ""), "")),
        ("peak", f"x {peak[0]}, y {peak[1]}" if peak else "" if is_misplaced(found) else "nothing positive"),
        *_more([found]),
    )
    return Figure(
        src=_src(found),
        alt=f"{method} of {what} {'in pixels' if layer == PIXELS else f'at {layer}'}: {where}",
        title=method,
        subject=f"{target['label']}, {chance}" if of_class else "what stands out, no class",
        facts=tuple(fact for fact in facts if fact[1]),
        remarks=_remarks([found]),
        links=_links([found], "raw map"),
    )


def _of_model(found: Mapping[str, Any]) -> Figure:
    known = found["min"] is not None and found["max"] is not None
    facts = (
        ("range", span(found["min"], found["max"]) if known else "nothing finite"),
        *of_filters(found.get("filters")),
        *_told(found),
    )
    return Figure(
        src=_src(found),
        alt=f"{found['method']} of {found['layer'] or 'the model'}: {found['title']}",
        title=found["layer"] or found["method"],
        joint=" · ",
        subject=found["title"],
        facts=facts,
        remarks=_remarks([found]),
        links=_links([found], "raw values"),
        wide=True,
    )


def _nothing(found: Mapping[str, Any]) -> str:
    if is_misplaced(found) or found.get("scale") in ("magnitude", "component"):
        return "it is not known where" if is_misplaced(found) else "zero everywhere"
    return "nothing positive: no part speaks for it" if found.get("of_class", True) else "nothing stands out"


def _sheet(shown: Sequence[Mapping[str, Any]], picture_size: Sequence[int]) -> Figure:
    layer, units = shown[0]["layer"], _units(shown)
    rules = listed(list(dict.fromkeys(one["method"] for one in shown)))
    best = max(units, key=lambda unit: unit["activation"])
    strongest = f"channel {best['channel']} ({number(best['activation'])})"
    many = count(len(units), "unit")
    return Figure(
        src=_src(shown[0]),
        alt=f"{many} of {layer}, projected back to pixels by {rules}: what each saw of {size(picture_size)}; "
        f"the strongest is {strongest}",
        title=layer,
        joint=" · ",
        subject=f"{many}, {rules}",
        facts=(("strongest", strongest), *_more(shown)),
        remarks=_remarks(shown),
        table=Table(
            title="The units one by one",
            head=("unit", "channel", "activation", "row, column", "sees x", "sees y"),
            rows=tuple((str(place), *_row(unit)) for place, unit in enumerate(units, 1)),
            folded=len(units) > SHOWN_UNITS,
        ),
        links=_links(shown, "raw values"),
        wide=True,
    )


def _row(unit: Mapping[str, Any]) -> tuple[str, ...]:
    left, top, right, bottom = unit["sees"]
    cell = ", ".join(str(place) for place in unit["cell"]) if unit["cell"] else "all"
    return str(unit["channel"]), number(unit["activation"]), cell, f"{left}–{right}", f"{top}–{bottom}"


def _layers(shown: Sequence[Mapping[str, Any]]) -> Figure:
    """The feature maps of one layer, or of several in one picture."""
    several = len(shown) > 1
    first, last = shown[0], shown[-1]
    many = f"{len(shown)}, from {first['layer']} to {last['layer']}" if several else _channels(first)
    silent = f"{count(len(first['channels']['silent']), 'channel')}" if first["channels"]["silent"] else ""
    facts = (
        ("range", span(first["min"], first["max"])),
        ("mean", number(first["channels"]["mean"])),
        ("not above zero", percent(first["channels"]["sparsity"])),
        ("silent", silent),
        ("peak", f"x {first['peak'][0]}, y {first['peak'][1]}" if first["peak"] else ""),
    )
    return Figure(
        src=_src(first),
        alt=f"Feature maps of {listed([_alt(one) for one in shown])}",
        title="All layers" if several else first["layer"],
        joint=" · ",
        subject=many,
        facts=() if several else tuple(fact for fact in facts if fact[1]),
        remarks=_remarks(shown),
        table=_layer_table(shown) if several else _channel_table(first),
        links=_links(shown, "raw maps"),
        wide=True,
    )


def _alt(found: Mapping[str, Any]) -> str:
    return f"{found['layer']} ({_channels(found)}; {reached(found)})"


def _channels(found: Mapping[str, Any]) -> str:
    if found["shape"] == [1, 1]:
        return count(found["channels"]["count"], "unit")
    return f"{count(found['channels']['count'], 'channel')} of {shape(found['shape'])}"


def _layer_table(shown: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["layer"],
            _channels(one),
            span(one["min"], one["max"]),
            number(one["channels"]["mean"]),
            percent(one["channels"]["sparsity"]),
            f"{len(one['channels']['silent']):,}",
        )
        for one in shown
    ]
    head = ("layer", "map", "range", "mean", "not above zero", "silent channels")
    return Table("The layers one by one", head, tuple(rows), folded=False)


def _channel_table(found: Mapping[str, Any]) -> Table:
    every = found["channels"]["shown"]
    listed_ones = every[:LISTED_CHANNELS]
    rows = [
        (
            unit_name(one["channel"], one.get("label", ""), found["channels"]["count"]),
            number(one["activation"]),
            number(one["strength"]),
            f"x {one['at'][0]}, y {one['at'][1]}" if one["at"] else "–",
        )
        for one in listed_ones
    ]
    which = (
        f"The first {len(rows)} of {count(len(every), 'channel')}"
        if len(every) > len(rows)
        else "The channels one by one"
    )
    return Table(
        which,
        ("channel", "largest value", "mean of what is positive", "strongest at"),
        tuple(rows),
        len(rows) > SHOWN_UNITS,
    )


def _overview(record: Mapping[str, Any]) -> Figure:
    layers = list(dict.fromkeys(one["layer"] for one in record["explanations"]))
    path = href(record["overview"])
    return Figure(
        src=path,
        alt=f"What the strongest units of {listed(layers)} saw, projected back to pixels, layer beside layer",
        title="All layers",
        joint=" · ",
        subject=f"{len(layers)}, from {layers[0]} to {layers[-1]}",
        links=(Link("picture", path),),
        wide=True,
    )


def _units(shown: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every unit once, by whatever many rules it was projected."""
    units = {str((one["layer"], one["unit"]["channel"], one["unit"]["cell"])): one["unit"] for one in shown}
    return list(units.values())


def _src(found: Mapping[str, Any]) -> str:
    return href(found["picture"]) if found["picture"] else ""


def _links(shown: Sequence[Mapping[str, Any]], raw: str) -> tuple[Link, ...]:
    """The picture, and the raw values, which those in one picture may share."""
    files = {one["picture"]: "picture" for one in shown}
    raws = {one["raw"]: f"raw {one['layer']}" for one in shown if one.get("raw")}
    files |= dict.fromkeys(raws, raw) if len(raws) == 1 else raws
    return tuple(Link(text, href(path)) for path, text in files.items() if path)


def _remarks(shown: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(remark) for one in shown for remark in one.get("remarks") or ()))


def _more(shown: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    """What the methods found out besides: each thing once, however many findings share the picture."""
    told: dict[str, dict[str, None]] = {}
    for one in shown:
        for name, text in _told(one):
            told.setdefault(name, {})[text] = None
    for name, texts in told.items():
        if len(texts) <= FEW:
            yield name, "; ".join(texts)


def _told(found: Mapping[str, Any]) -> Iterator[Fact]:
    for name, value in found.items():
        if name not in _PLACED:
            yield name.replace("_", " "), words(value)
