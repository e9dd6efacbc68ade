"""The index by which a page finds pictures: what is known of each, in files that a page from disk can read.

They are style sheets, as the numbers of maps are (docs/report.md): such a page may read no other file beside it, and
they cannot run anything. A file holds columns of as many pictures as it has room for, so that memory does not grow with
a run.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cnnexplain import __version__
from cnnexplain.core.records import kind_of
from cnnexplain.report.pages.image_index import Places, name_of
from cnnexplain.report.pages.listing import PAGE
from cnnexplain.report.pages.words import LONGEST_NAME, clipped, escaped, href

PICTURES = 2_000  # in a file, at most
ROOM = 1_000_000  # bytes of text in a file before it is packed; a browser refuses a property of more than two million
_NONE = -1  # in the place of a text

Record = Mapping[str, Any]


def sheets(records: Sequence[Record], by_name: Sequence[int] | Places) -> Iterator[tuple[str, str]]:
    """The files of the index, name and content.

    Args:
        records: Those that are listed, in their order.
        by_name: The places of all of them, sorted by name.
    """
    ranks = None
    if not isinstance(by_name, range):
        ranks = np.empty(len(records), np.int64)
        ranks[by_name] = np.arange(len(records))
    number, columns = 1, _Columns()
    for place, record in enumerate(records):
        if columns.is_full:
            yield _sheet(number, columns.fields(last=False))
            number, columns = number + 1, _Columns()
        columns.add(record, place if ranks is None else int(ranks[place]))
    yield _sheet(number, columns.fields(last=True))


def pictures_data(records: Sequence[Record]) -> str:
    """What is known of the pictures of a short report, as a text for its page: JSON in which no sign begins HTML."""
    columns = _Columns()
    by_name = sorted(range(len(records)), key=lambda place: name_of(records[place]))
    ranks = dict(zip(by_name, range(len(records)), strict=True))
    for place, record in enumerate(records):
        columns.add(record, ranks[place])
    fields: dict[str, Any] = {**columns.fields(last=True), "picture": ()}
    for name in ("expected", "problem", "right", "agreement", "picture"):
        if set(fields[name]) <= {None, _NONE}:  # no picture has it
            del fields[name]
    text = json.dumps(fields, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _sheet(number: int, fields: Mapping[str, Any]) -> tuple[str, str]:
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    packed = base64.b64encode(zlib.compress(text, 6)).decode()
    return (
        f"find-{number}.css",
        f'/* cnnexplain {__version__}: index of pictures */\n:root{{--index:"{packed}"}}\n',
    )


class _Columns:
    """What is known of some pictures, a list for each field; texts that many share are named by their places."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._used = 0  # bytes
        self._scores = False

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= PICTURES or self._used > ROOM

    def add(self, record: Record, rank: int) -> None:
        name, picture = escaped(name_of(record)), _picture(record)
        self._used += len(name.encode()) + len(picture) + 60
        best = record["predictions"][0] if record["predictions"] else None
        chance = best and (best["logit"] if best["probability"] is None else best["probability"])
        self._scores = self._scores or bool(best and best["probability"] is None)
        self._rows.append(
            (
                name,
                self._text(best and best["label"]),
                self._text((record.get("expected") or {}).get("label")),
                self._text((record.get("error") or {}).get("message")),
                None if chance is None else round(chance, 6),
                record.get("right"),
                _agreement(record),
                picture,
                rank,
            )
        )

    def _text(self, text: str | None) -> int:
        if not text:
            return _NONE
        text = escaped(clipped(text, LONGEST_NAME))
        if text not in self._texts:
            self._used += len(text.encode())
        return self._texts.setdefault(text, len(self._texts))

    def fields(self, last: bool) -> dict[str, Any]:
        names = ("name", "answer", "expected", "problem", "chance", "right", "agreement", "picture", "rank")
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(names)
        return {
            "last": last,
            "cards": PAGE,
            "scores": self._scores,
            "texts": list(self._texts),
            **dict(zip(names, columns, strict=True)),
        }


def _picture(record: Record) -> str:
    """A link to the first picture that was drawn, from the report's folder; empty where there is none."""
    drawn = [entry["picture"] for entry in record["explanations"] if entry.get("picture")]
    path = record.get("overview") or next(iter(drawn), None)
    return "../" + href(path).removeprefix("./") if path else ""


def _agreement(record: Record) -> float | None:
    """The mean rank correlation of a picture's methods with one another, where they were compared."""
    for entry in record["explanations"]:
        if kind_of(entry) == "comparison":
            rows = entry["agreement"]
            pairs = [value for place, row in enumerate(rows) for value in row[:place] if value is not None]
            return round(sum(pairs) / len(pairs), 4) if pairs else None
    return None
