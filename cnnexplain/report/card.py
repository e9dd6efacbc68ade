"""What the page shows of one picture: a heading, facts, bars, figures with alternative text, links.

A card knows nothing of records, so that commands whose findings look different can fill one as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.words import percent
from cnnexplain.report.words import href, shape, size, span


@dataclass(frozen=True)
class Bar:
    """A share of a whole with its name. `note` stands small beside it; `marked` ones are what it is all about."""

    label: str
    share: float
    value: str
    note: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Link:
    """A link to a file under OUT."""

    text: str
    href: str


@dataclass(frozen=True)
class Figure:
    """One picture with its caption. `alt` says what the picture shows to those who cannot see it."""

    src: str
    alt: str
    title: str
    subject: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Card:
    """One picture's findings, or why there are none (`problem` and `hint`)."""

    anchor: str
    heading: str
    facts: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    figures: tuple[Figure, ...] = ()
    problem: str = ""
    hint: str = ""

    @property
    def best(self) -> Bar | None:
        """The first answer, for the index."""
        return self.bars[0] if self.bars else None


def card(record: Mapping[str, Any], position: int) -> Card:
    """The card of one record; `position` counts the run's images from 1 and makes the anchor."""
    error = record.get("error") or {}
    asked = {one["target"]["index"] for one in record["explanations"]}
    return Card(
        anchor=f"image-{position}",
        heading=record["image"],
        facts=(f"{size(record['size'])} pixels",) if record["size"] else (),
        bars=tuple(_bar(one, one["index"] in asked) for one in record["predictions"]),
        figures=tuple(_figure(one, record["size"]) for one in record["explanations"]),
        problem=error.get("message", ""),
        hint=error.get("hint", ""),
    )


def _bar(prediction: Mapping[str, Any], marked: bool) -> Bar:
    share = prediction["probability"]
    return Bar(prediction["label"], share, percent(share), f"class {prediction['index']}", marked)


def _figure(explanation: Mapping[str, Any], picture_size: list[int]) -> Figure:
    target, peak = explanation["target"], explanation["peak"]
    of_class = explanation.get("of_class", True)
    subject = (
        f"{target['label']}, {percent(target['probability'])}" if of_class else "what stands out, no class"
    )
    what = _quoted(target) if of_class else "no class"
    nothing = "nothing positive: no part speaks for it" if of_class else "nothing stands out"
    where = f"strongest at x {peak[0]}, y {peak[1]}" if peak else nothing
    links = [Link("picture", href(explanation["picture"]))]
    if explanation.get("raw"):
        links.append(Link("raw map", href(explanation["raw"])))
    return Figure(
        src=href(explanation["picture"]),
        alt=f"{explanation['method']} of {what} at {explanation['layer']}: {where}"
        + (f" of {size(picture_size)}" if peak else ""),
        title=explanation["method"],
        subject=subject,
        facts=(
            ("layer", explanation["layer"]),
            ("map", shape(explanation["shape"])),
            ("range", span(explanation["min"], explanation["max"])),
            ("peak", f"x {peak[0]}, y {peak[1]}" if peak else "nothing positive"),
        ),
        links=tuple(links),
    )


def _quoted(target: Mapping[str, Any]) -> str:
    return f"‘{target['label']}’ ({percent(target['probability'])})"
