"""Large runs made up for tests: records that are made when they are asked for, and pages taken apart."""

from __future__ import annotations

import posixpath
import random
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

from cnnexplain.report.pages.long import pages

Record = dict[str, Any]
Make = Callable[[int], Record]


def image(place: int, name: str = "", label: str = "", maps: int = 1, chance: float | None = None) -> Record:
    """The record of an image; every seventh is certain of class 3, the others are shared by few classes."""
    name = name or f"folder {place // 50}/photo {place:04}.jpg"
    index = 3 if place % 7 == 0 else 5 + place % 5
    share = chance if chance is not None else 0.99 if index == 3 else random.Random(place).random()
    best = {"index": index, "label": label or f"label {index}", "probability": share, "logit": 1.5}
    found = {
        "method": "gradcam",
        "layer": "conv_head",
        "target": best,
        "scale": "evidence",
        "shape": [7, 7],
        "min": -1.5,
        "max": 3.25,
        "peak": [20, 10],
    }
    drawn = [{**found, "picture": f"{name}.{number}.png"} for number in range(maps)]
    start = {"schema": 1, "image": name, "status": "ok", "command": "gradcam", "model": "resnet50"}
    return {**start, "size": [60, 40], "predictions": [best], "explanations": drawn}


def failure(place: int, name: str = "", problem: str = "cut short") -> Record:
    """The record of an image that failed."""
    start = image(place, name)
    error = {"type": "ImageError", "message": problem, "hint": f"hint of {place}"}
    return {**start, "status": "error", "error": error, "size": None, "predictions": [], "explanations": []}


def mixed(place: int) -> Record:
    """Every tenth image has failed."""
    return failure(place) if place % 10 == 4 else image(place)


class Lazy(Sequence[Record]):
    """Records that are made when they are asked for, as they are read from disk in a run."""

    def __init__(self, many: int, make: Make = mixed) -> None:
        self._many = many
        self._make = make

    def __len__(self) -> int:
        return self._many

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self._many:
            raise IndexError(place)
        return self._make(place)


class Seen(HTMLParser):
    """The links, anchors, elements, cards and rows of a page; fails on tags that do not match."""

    def __init__(self, path: str, html: str) -> None:
        super().__init__()
        self.path = path
        self.html = html
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.anchors: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open
        assert len(self.anchors) == len(set(self.anchors))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        assert not [name for name in known if name.startswith("on") or name == "style"]
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "input"):
            self._open.append(tag)
        if "id" in known:
            self.anchors.append(known["id"])
        if tag == "a":
            self.links.append(known["href"])
        if tag == "img":
            assert known["loading"] == "lazy"
            self.pictures.append(known["src"])
        if tag == "tr" and "tbody" in self._open:
            self.rows.append([])
        if tag in ("th", "td") and "tbody" in self._open:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "tbody" in self._open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def goal(self, link: str) -> tuple[str, str]:
        """The path below OUT, and the anchor, that a link leads to."""
        path, _, anchor = link.partition("#")
        return (
            posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path)) if path else self.path
        ), anchor


def told(run: dict[str, Any], records: Sequence[Record]) -> dict[str, Seen]:
    """The pages by their path, in the order in which they came."""
    made = [Seen(path, html) for path, html in pages(run, records) if path.endswith(".html")]
    assert len({one.path for one in made}) == len(made)
    return {one.path: one for one in made}


def series(made: dict[str, Seen], stem: str) -> list[Seen]:
    """The pages of a series, in order."""
    found = [one for path, one in made.items() if re.fullmatch(rf"report/{stem}-\d+\.html", path)]
    assert [one.path for one in found] == [
        f"report/{stem}-{number}.html" for number in range(1, len(found) + 1)
    ]
    return found


def rows(made: dict[str, Seen], stem: str) -> list[str]:
    """The first cells of a listing."""
    return [row[0] for one in series(made, stem) for row in one.rows]
