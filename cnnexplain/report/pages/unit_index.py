"""An index of all units of an atlas: a few numbers of each, and the page on which it stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

PAGE_OF_UNITS = 64  # units in full on a page
EXAMPLES = ("top", "median", "random")  # the keys of a record that hold images
_LONGEST_STEM = 60

Record = Mapping[str, Any]


@dataclass(frozen=True)
class UnitSheet:
    """The picture with a unit's patches side by side: its path below OUT, columns and rows of tiles, their side."""

    path: str
    columns: int
    rows: int
    side: int


@dataclass(frozen=True, slots=True)
class UnitEntry:
    """What the pages of other units, and the page of the layer, say of a unit. `place` is that of its record."""

    place: int
    channel: int
    sheet: UnitSheet | None
    highest: float | None  # activation
    fires: float
    sparseness: float | None
    selective: float | None
    purity: float | None
    label: str
    labels: tuple[str, ...]  # of its strongest images
    group: int | None
    dead: bool
    saturated: bool
    duplicate_of: int | None
    colour: str
    importance: float | None
    changes: float | None  # of answers
    by_class: Mapping[str, float | None]  # importance for the classes that are answered most often


@dataclass
class AtlasLayer:
    """The units of a layer, in the order of their channels, and the names of its pages."""

    name: str
    stem: str  # of the names of its pages
    shape: tuple[int, ...] = ()
    units: list[UnitEntry] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Where the page of the layer is, from the report's folder."""
        return f"layer-{self.stem}.html"

    @property
    def last(self) -> int:
        """How many pages show its units in full."""
        return -(-len(self.units) // PAGE_OF_UNITS)

    def page(self, number: int) -> str:
        """Where a page with units in full is, counted from 1, from the report's folder."""
        return f"units-{self.stem}-{number}.html"

    def on_page(self, number: int) -> list[UnitEntry]:
        """The units on such a page."""
        return self.units[(number - 1) * PAGE_OF_UNITS : number * PAGE_OF_UNITS]

    @cached_property
    def places(self) -> dict[int, int]:
        """Where in `units` each channel is."""
        return {unit.channel: place for place, unit in enumerate(self.units)}

    def link(self, channel: int) -> str:
        """What leads to a unit, from the report's folder; nothing where the atlas does not have it."""
        place = self.places.get(channel)
        return "" if place is None else f"{self.page(place // PAGE_OF_UNITS + 1)}#{channel}"

    @cached_property
    def groups(self) -> dict[int, list[UnitEntry]]:
        """The units of every group, by its number; of a group that --channel left one unit of there is nothing."""
        groups: dict[int, list[UnitEntry]] = {}
        for unit in self.units:
            if unit.group is not None:
                groups.setdefault(unit.group, []).append(unit)
        return {number: groups[number] for number in sorted(groups) if len(groups[number]) > 1}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes for which it is known what its units matter."""
        return tuple(dict.fromkeys(name for unit in self.units for name in unit.by_class))

    @property
    def colours(self) -> Counter[str]:
        """How many units read colours, and how many grey, where that is known."""
        return Counter(unit.colour for unit in self.units if unit.colour)


class UnitIndex:
    """All layers of an atlas by name. The records of the units are read once, one at a time."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.layers: dict[str, AtlasLayer] = {}
        self.folder: str | None = None  # what the names of all images that are shown begin with
        stems: set[str] = set()
        for place, record in enumerate(records):
            name = record["layer"]
            if name not in self.layers:
                self.layers[name] = AtlasLayer(name, _stem(name, stems), tuple(record.get("shape") or ()))
            self.layers[name].units.append(_entry(record, place))
            for image in (image for kind in EXAMPLES for image in record.get(kind) or ()):
                self.folder = _common(self.folder, image["image"])
        for layer in self.layers.values():
            layer.units.sort(key=lambda unit: unit.channel)

    def unit(self, layer: str, channel: int) -> tuple[AtlasLayer, UnitEntry] | None:
        """A unit that another one is linked with, where the atlas has it."""
        of_layer = self.layers.get(layer)
        if of_layer is None or channel not in of_layer.places:
            return None
        return of_layer, of_layer.units[of_layer.places[channel]]

    def pages(self) -> Iterator[tuple[AtlasLayer, int]]:
        """Every page with units in full: its layer and its number."""
        for layer in self.layers.values():
            for number in range(1, layer.last + 1):
                yield layer, number


def sheet_of(record: Record) -> UnitSheet | None:
    """The sheet of a unit's patches, where one was drawn."""
    tiles, path = record.get("tiles"), record.get("picture")
    if not (path and tiles):
        return None
    return UnitSheet(path, tiles["columns"], tiles["rows"], tiles["side"])


def _entry(record: Record, place: int) -> UnitEntry:
    purity, top = record.get("purity") or {}, record.get("top") or ()
    importance = record.get("importance") or {}
    return UnitEntry(
        place=place,
        channel=record["channel"],
        sheet=sheet_of(record),
        highest=top[0]["activation"] if top else None,
        fires=record["fires"],
        sparseness=record.get("sparseness"),
        selective=record.get("selective"),
        purity=purity.get("share"),
        label=purity.get("label", ""),
        labels=tuple(dict.fromkeys(image["label"] for image in top if image.get("label"))),
        group=record.get("group"),
        dead=bool(record.get("dead")),
        saturated=bool(record.get("saturated")),
        duplicate_of=record.get("duplicate_of"),
        colour=record.get("colour") or "",
        importance=importance.get("mean"),
        changes=importance.get("changes"),
        by_class={each["label"]: each["mean"] for each in importance.get("classes", ())},
    )


def _common(folder: str | None, image: str) -> str:
    """The longest folder that a folder and an image share, with the slash at its end."""
    if folder is None:
        return image[: image.rfind("/") + 1]
    while not image.startswith(folder):
        folder = folder[: folder.rfind("/", 0, -1) + 1]
    return folder


def _stem(name: str, taken: set[str]) -> str:
    """A layer's part of the names of its pages: letters that every file system has, and no two alike."""
    clean = re.sub(r"[^A-Za-z0-9._+]", "_", name)[:_LONGEST_STEM] or "_"
    stem, number = clean, 1
    while stem.casefold() in taken:
        number += 1
        stem = f"{clean}_{number}"
    taken.add(stem.casefold())
    return stem
