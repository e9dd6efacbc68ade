"""Figures of a card: what they hold, and which file of `report/` makes them of which kind of result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from urllib.parse import quote

import cnnexplain.report
from cnnexplain.core import registry
from cnnexplain.core.records import kind_of, readable
from cnnexplain.report.pages.picture_words import PictureWords, not_said
from cnnexplain.report.pages.words import clipped, href, words

FOLDED = 9  # rows; a longer list is folded away
FEW = 3  # what differs from unit to unit more than this is left to the record

# What has a place of its own in a figure; whatever else a command says is shown as it is.
_PLACED = {"kind", "method", "layer", "target", "title", "of_class", "of", "unit", "channels", "scale", "shape", "min",
           "max", "peak", "laid", "run", "picture", "raw", "remarks", "rectifiers", "completeness",
           "filters", "classes", "occlusion", "rise", "sampled", "verdict"}  # fmt: skip
# What has one in the table of a kind that nobody knows here.
_GENERAL = {"kind", "method", "layer", "picture", "raw", "remarks"}

Record = Mapping[str, Any]
Entry = Mapping[str, Any]  # of `explanations` in a record
Fact = tuple[str, str]


@dataclass(frozen=True)
class Link:
    """A link to a file under OUT."""

    text: str
    href: str


@dataclass(frozen=True)
class FoldedTable:
    """What is listed below a picture; the first cell of a row is what it is about."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool


@dataclass(frozen=True)
class MapKey:
    """What tells a map from the others of its picture."""

    method: str
    layer: str
    of: str  # the class, or what else it is of

    @property
    def path(self) -> str:
        """What follows the card's anchor in a link to this map."""
        return "/".join(quote(readable(name), safe="") for name in (self.method, self.layer, self.of))


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
    table: FoldedTable | None = None
    links: tuple[Link, ...] = ()
    words: tuple[str, ...] = ()  # sentences on the picture whose numbers stand nowhere else in the figure
    general: tuple[
        str, ...
    ] = ()  # others, without their numbers; pictures of a card have most of them in common
    wide: bool = False  # needs all the room there is
    map: MapKey | None = None  # of a map with a place of its own in links, and in a viewer


def figures(record: Record) -> Iterator[Figure]:
    """The figures of a record, kind by kind, in the order of its entries."""
    by_kind: dict[str, list[Entry]] = {}
    for entry in record["explanations"]:
        by_kind.setdefault(kind_of(entry), []).append(entry)
    for kind, entries in by_kind.items():
        if (page := registry.module(cnnexplain.report.__name__, kind)) is not None:
            yield from (with_drawings(figure, record) for figure in page.figures(entries, record))
        else:
            yield from map(_general, entries)


def with_drawings(figure: Figure, record: Record) -> Figure:
    """A figure with links to the files that show the same with real text, and the words on its picture."""
    stem = figure.src.removesuffix(".png")
    paths = {href(path): path.rpartition(".")[2].upper() for path in record.get("drawings", ())}
    links = tuple(Link(kind, path) for path, kind in paths.items() if path == f"{stem}.{kind.lower()}")
    lines = {href(path): lines for path, lines in record.get("words", {}).items()}.get(figure.src, ())
    said = not_said(lines, _caption(figure, record)) if lines else PictureWords((), (), ())
    colours = (("colours", ", ".join(said.numbers)),) if said.numbers else ()
    return replace(
        figure,
        facts=(*figure.facts, *colours),
        links=(*figure.links, *links),
        words=said.sentences,
        general=said.general,
    )


def _caption(figure: Figure, record: Record) -> str:
    """All that is said below a picture, and in the heading of its card."""
    rows = figure.table.rows if figure.table else ()
    caption = (figure.title, figure.subject, figure.alt, *chain.from_iterable(figure.facts), *figure.remarks)
    return " ".join((*caption, record.get("image") or "", *chain.from_iterable(rows)))


def _general(entry: Entry) -> Figure:
    """An entry of a kind that has no file here, as a table of what it says."""
    title = str(entry.get("method") or kind_of(entry))
    rows = tuple(
        (name.replace("_", " "), clipped(words(value)))
        for name, value in entry.items()
        if name not in _GENERAL
    )
    return Figure(
        src=source(entry),
        alt=f"{title} {entry.get('layer') or ''}: {kind_of(entry)}",
        title=title,
        subject=str(entry.get("layer") or kind_of(entry)),
        joint=" · ",
        remarks=remarks_of([entry]),
        table=FoldedTable("What was recorded", ("what", "value"), rows, folded=len(rows) > FOLDED),
        links=links_of([entry], "raw values"),
        wide=True,
    )


def by_picture(
    entries: Sequence[Entry], apart: Callable[[Entry], Any] | None = None
) -> Iterator[list[Entry]]:
    """Entries that one picture shows; those without a picture by what `apart` says of them, or else one by one."""
    together: dict[Any, list[Entry]] = {}
    for place, entry in enumerate(entries):
        key = ("", apart(entry) if apart else place)
        together.setdefault(entry["picture"] or key, []).append(entry)
    yield from together.values()


def source(entry: Entry) -> str:
    return href(entry["picture"]) if entry.get("picture") else ""


def links_of(entries: Sequence[Entry], raw: str) -> tuple[Link, ...]:
    """The picture, and the raw values, which those in one picture may share."""
    files = {entry.get("picture"): "picture" for entry in entries}
    raws = {entry["raw"]: f"raw {entry.get('layer', '')}" for entry in entries if entry.get("raw")}
    files |= dict.fromkeys(raws, raw) if len(raws) == 1 else raws
    return tuple(Link(text, href(path)) for path, text in files.items() if path)


def remarks_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(remark) for entry in entries for remark in entry.get("remarks") or ()))


def other_facts(entries: Sequence[Entry]) -> Iterator[Fact]:
    """What the methods found out besides: each thing once, however many findings share the picture."""
    texts_by_name: dict[str, dict[str, None]] = {}
    for entry in entries:
        for name, text in facts_of(entry):
            texts_by_name.setdefault(name, {})[text] = None
    for name, texts in texts_by_name.items():
        if len(texts) <= FEW:
            yield name, "; ".join(texts)


def facts_of(entry: Entry) -> Iterator[Fact]:
    for name, value in entry.items():
        if name not in _PLACED:
            yield name.replace("_", " "), words(value)
