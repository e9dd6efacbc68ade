"""The atlas of `units`: a first page with a card for every layer, a page for each, and pages with units in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.words import count, percent
from cnnexplain.report.pages.card import card
from cnnexplain.report.pages.listing import Entry
from cnnexplain.report.pages.page import SHOWN_FAILURES, rendered
from cnnexplain.report.pages.summary import Tile, summary, took
from cnnexplain.report.pages.unit_card import marks, unit_card
from cnnexplain.report.pages.unit_index import AtlasLayer, UnitEntry, UnitIndex
from cnnexplain.report.pages.words import LONGEST_NAME, clipped, href, shape

INDEX, FOLDER = "index.html", "report"
FIRST_PAGE = 280_000  # bytes, above which fewer units are on the first page
SHOWN_UNITS = (6, 2, 0)  # of a layer on the first page, the most selective ones
NAMED_LAYERS = 12  # in the navigation
SHOWN_MEMBERS = 12  # of a group

_CSS = ("page.css", "pages.css", "finding.css", "atlas.css")
# What units are sorted by: the field of an entry, the words for it, whether it is a share.
MEASURES = (
    ("channel", "channel", False),
    ("highest", "strongest activation", False),
    ("fires", "fires", True),
    ("sparseness", "sparseness", False),
    ("selective", "selective", True),
    ("purity", "purity", True),
    ("importance", "importance: drop of the score without it", False),
    ("changes", "answers that change without it", True),
)

Run = Mapping[str, Any]
Made = tuple[str, str]


@dataclass(frozen=True)
class UnitTile:
    """A unit among others: its link and picture, what is written below, and what marks it."""

    channel: int
    href: str
    src: str
    rows: int  # of tiles in the picture
    value: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerCard:
    """A layer on the first page. A count is a text, and a link to the units that are counted."""

    name: str
    href: str
    facts: tuple[str, ...]
    counts: tuple[tuple[str, str], ...]
    units: tuple[UnitTile, ...]


@dataclass(frozen=True)
class UnitGroupRow:
    """The units of a group: the first of them, and how many more there are."""

    number: int
    size: int
    units: tuple[UnitTile, ...]


def atlas(
    run: Run, failures: Sequence[Mapping[str, Any]], units: Sequence[Mapping[str, Any]]
) -> Iterator[Made]:
    """The pages of an atlas: path below OUT and content, the first page last, so that no link ever leads nowhere.

    Args:
        run: What run.json holds.
        failures: The records of the images that failed.
        units: Those of all units; they may be read from disk, one at a time, twice each.

    Yields:
        One page after another; no more than one is in memory.
    """
    pages = _Atlas(run, failures, units)
    yield from pages.below()
    yield INDEX, pages.first()


class _Atlas:
    """The data that all pages of an atlas share."""

    def __init__(
        self, run: Run, failures: Sequence[Mapping[str, Any]], units: Sequence[Mapping[str, Any]]
    ) -> None:
        self._failures, self._records = failures, units
        self._index = UnitIndex(units)
        self._layers = list(self._index.layers.values())
        images = (run.get("images") or {}).get("ok", 0)
        tiles = [
            Tile(f"{len(units):,}", "unit" if len(units) == 1 else "units"),
            Tile(f"{images:,}", "image" if images == 1 else "images"),
            *([Tile(f"{len(failures):,}", "failed", bad=True)] if failures else []),
            *took(run),
        ]
        self._run = summary(run, tiles, ())
        few = self._layers if len(self._layers) <= NAMED_LAYERS else []
        self._navigation = (
            Entry("Overview", f"./{INDEX}", INDEX),
            *(
                Entry(clipped(layer.name, LONGEST_NAME), f"./{FOLDER}/{layer.path}", layer.stem)
                for layer in few
            ),
        )

    def below(self) -> Iterator[Made]:
        """All pages but the first."""
        for layer in self._layers:
            yield self._layer(layer)
        for layer, page in self._index.pages():
            yield self._units(layer, page)

    def first(self) -> str:
        """The first page: what was run, and a card for every layer, with as many units as there is room for."""
        pages = map(self._first, SHOWN_UNITS)
        return next((page for page in pages if len(page.encode()) <= FIRST_PAGE), self._first(0))

    def _first(self, shown: int) -> str:
        return rendered(
            "atlas.html",
            self._run,
            css=_CSS,
            navigation=self._navigation,
            within=INDEX,
            layers=[_layer_card(layer, shown) for layer in self._layers],
            failed=len(self._failures),
            failures=[card(record, place) for place, record in enumerate(self._failures[:SHOWN_FAILURES], 1)],
            matrix=None,
            gallery=(),
            checks=(),
        )

    def _layer(self, layer: AtlasLayer) -> Made:
        """The page of a layer: all its units as tiles, and its groups."""
        groups = tuple(
            UnitGroupRow(group, len(units), tuple(_tile(layer, unit) for unit in units[:SHOWN_MEMBERS]))
            for group, units in layer.groups.items()
        )
        title = f"{clipped(layer.name, LONGEST_NAME)}: {count(len(layer.units), 'unit')}"
        return self._page(
            "atlas_layer.html",
            layer.path,
            title,
            layer,
            scripts=("unit_list.js", "unit_keys.js"),
            tiles=[_tile(layer, unit) for unit in layer.units],
            groups=groups,
            measures=_measures(layer),
            colours=sorted(layer.colours),
            counts=_counts(layer, ""),
            units=_columns(layer),
        )

    def _units(self, layer: AtlasLayer, number: int) -> Made:
        """A page with units in full, each of which a link shows alone."""
        units = layer.on_page(number)
        cards = [unit_card(self._records[unit.place], self._index) for unit in units]
        first, last = units[0].channel, units[-1].channel
        span = f"unit {first}" if first == last else f"units {first:,} to {last:,}"
        title = f"{clipped(layer.name, LONGEST_NAME)}, {span}"
        return self._page(
            "atlas_units.html",
            layer.page(number),
            title,
            layer,
            scripts=("turn_units.js",),
            cards=cards,
            folder=clipped(self._index.folder or "", LONGEST_NAME),
        )

    def _page(self, template: str, path: str, title: str, layer: AtlasLayer, **values: Any) -> Made:
        html = rendered(
            template,
            self._run,
            up="../",
            css=_CSS,
            title=title,
            navigation=self._navigation,
            within=layer.stem,
            layer=layer,
            **values,
        )
        return f"{FOLDER}/{path}", html


def _layer_card(layer: AtlasLayer, shown: int) -> LayerCard:
    chosen = sorted(
        (unit for unit in layer.units if unit.sheet and unit.selective is not None),
        key=lambda unit: -(unit.selective or 0),
    )
    facts = [count(len(layer.units), "unit")]
    if layer.shape:
        facts.append(f"map {shape(layer.shape)}")
    page = f"./{FOLDER}/{layer.path}"
    return LayerCard(
        clipped(layer.name, LONGEST_NAME),
        page,
        tuple(facts),
        _counts(layer, page),
        tuple(_tile(layer, unit, f"./{FOLDER}/", "selective") for unit in chosen[:shown]),
    )


def _counts(layer: AtlasLayer, page: str) -> tuple[tuple[str, str], ...]:
    """What is counted of a layer's units, and the link that shows them alone."""
    units = layer.units
    kinds = (
        ("dead", "dead", sum(unit.dead for unit in units)),
        ("saturated", "saturated", sum(unit.saturated for unit in units)),
        ("copy", "copies of others", sum(unit.duplicate_of is not None for unit in units)),
    )
    counts = [(f"{amount:,} {text}", f"{page}#state={key}") for key, text, amount in kinds if amount]
    if layer.groups:
        counts.append((count(len(layer.groups), "group"), f"{page}#groups"))
    return (
        *counts,
        *((f"{layer.colours[key]:,} {key}", f"{page}#colour={key}") for key in sorted(layer.colours)),
    )


def _tile(layer: AtlasLayer, unit: UnitEntry, folder: str = "./", measure: str = "fires") -> UnitTile:
    value = getattr(unit, measure)
    return UnitTile(
        unit.channel,
        folder + layer.link(unit.channel),
        href(unit.sheet.path) if unit.sheet else "",
        min(unit.sheet.rows, 2) if unit.sheet else 0,
        f"{measure} {percent(value)}",
        marks(unit),
    )


def _measures(layer: AtlasLayer) -> list[tuple[str, str, bool]]:
    """What units can be sorted by: the measures that some unit has, and the classes that they matter for."""
    there = [each for each in MEASURES if any(getattr(unit, each[0]) is not None for unit in layer.units)]
    return [*there, *((_for_class(name), _for_class(name), False) for name in layer.classes)]


def _for_class(name: str) -> str:
    return f"importance for {clipped(name, LONGEST_NAME)}"


def _columns(layer: AtlasLayer) -> dict[str, Any]:
    """What the script of a layer's page sorts and filters by: a list of every field, a value for every unit."""
    names = list(
        dict.fromkeys(label for unit in layer.units for label in (unit.label, *unit.labels) if label)
    )
    places = {name: place for place, name in enumerate(names)}
    units = layer.units
    columns: dict[str, Any] = {
        measure: [_rounded(getattr(unit, measure)) for unit in units] for measure, *_ in MEASURES
    }
    columns |= {
        _for_class(name): [_rounded(unit.by_class.get(name)) for unit in units] for name in layer.classes
    }
    return {
        **columns,
        "group": [unit.group for unit in units],
        "state": [_state(unit) for unit in units],
        "colour": [unit.colour for unit in units],
        "names": [clipped(name, LONGEST_NAME) for name in names],
        "labels": [sorted({places[name] for name in (unit.label, *unit.labels) if name}) for unit in units],
    }


def _state(unit: UnitEntry) -> list[str]:
    copy = unit.duplicate_of is not None
    kinds = (("dead", unit.dead), ("saturated", unit.saturated), ("copy", copy))
    return [name for name, holds in kinds if holds]


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value
