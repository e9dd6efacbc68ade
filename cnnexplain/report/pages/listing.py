"""Listings: images in some order on as many pages as they need, a row each, and the way from page to page."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.records import LISTED, is_listed
from cnnexplain.core.words import class_name, likelihood
from cnnexplain.report.pages.image_index import Places, name_of

PAGE = 100  # cards on a page
ROWS = 1_000


@dataclass(frozen=True)
class Entry:
    """A line of the navigation; `stem` is that of the pages it leads to."""

    text: str
    href: str
    stem: str


@dataclass(frozen=True)
class ImageRow:
    """An image in a listing."""

    href: str
    name: str
    label: str = ""
    note: str = ""
    value: str = ""
    share: float = 0
    expected: str = ""
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class ClassRow:
    """A class in the index of classes."""

    href: str
    label: str
    note: str
    images: str
    mean: str
    portion: str
    share: float  # `portion` as a number


@dataclass(frozen=True)
class Listing:
    """Images in some order, on as many pages as they need. `within` is the navigation's entry for them."""

    stem: str
    title: str
    order: Sequence[int] | Places
    says: str
    size: int = ROWS
    within: str = ""
    answers: bool = True  # whether the first answer is a column: in a class all are the same
    expected: bool = False  # whether what images should be is a column
    failed: bool = False  # whether what went wrong is the column instead

    @property
    def last(self) -> int:
        """How many pages there are."""
        return -(-len(self.order) // self.size)

    def path(self, number: int) -> str:
        """A page's path below the report's folder, counted from 1."""
        return f"{self.stem}-{number}.html"

    def places(self, number: int) -> list[int]:
        """The images on a page."""
        return [int(place) for place in self.order[(number - 1) * self.size : number * self.size]]


@dataclass(frozen=True)
class Pager:
    """Where a page stands among those of the same listing."""

    number: int
    last: int
    links: tuple[tuple[str, str, str], ...]  # text, link, relation


class ListedRecords(Sequence[Mapping[str, Any]]):
    """Some of the records, each read when it is asked for."""

    def __init__(self, records: Sequence[Mapping[str, Any]], places: array[int]) -> None:
        self._records, self._places = records, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        return self._records[self._places[index]]


def listed(run: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Those records that --only leaves in."""
    only = (run.get("options") or {}).get("only")
    if only not in LISTED:  # check has an option of that name
        return records
    return ListedRecords(
        records, array("q", (place for place, record in enumerate(records) if is_listed(record, only)))
    )


def place_of(place: int) -> str:
    """Where an image's card stands, from the report's folder."""
    return f"images-{place // PAGE + 1}.html#image-{place + 1}"


def row_of(record: Mapping[str, Any], place: int) -> ImageRow:
    """The row of the image at a place."""
    name, error = name_of(record), record.get("error")
    if error:
        return ImageRow(place_of(place), name, problem=error.get("message", ""), hint=error.get("hint", ""))
    if not record["predictions"]:
        return ImageRow(place_of(place), name)
    best = record["predictions"][0]
    note = class_name(best["index"])
    return ImageRow(
        place_of(place),
        name,
        best["label"],
        "" if note == best["label"] else note,
        likelihood(best),
        best["probability"] or 0.0,
        (record.get("expected") or {}).get("label", ""),
    )


def pager_of(series: Listing, number: int) -> Pager:
    """What leads from a page to the others of the same listing."""
    last = series.last
    reached = (
        ("First", 1, "first"),
        ("Previous", number - 1, "prev"),
        ("Next", number + 1, "next"),
        ("Last", last, "last"),
    )
    links = (
        (text, series.path(to) if 1 <= to <= last and to != number else "", rel) for text, to, rel in reached
    )
    return Pager(number, last, tuple(links))
