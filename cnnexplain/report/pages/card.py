"""The card of a picture on the page: a heading, facts, bars, figures with alternative text, links.

A card knows nothing of records, so that commands whose findings look different can fill one as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.records import class_of, kind_of, line
from cnnexplain.core.results import result_class
from cnnexplain.core.words import class_name, likelihood
from cnnexplain.report.graph import GraphView, graph_view
from cnnexplain.report.pages.figures import Figure, figures, with_drawings
from cnnexplain.report.pages.words import href, size
from cnnexplain.report.summary import Layers, layers, stages

# What `require_sound` raises, and whatever else is made of a record that somebody edited.
UNSOUND = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

# What makes probabilities of scores, where that is not a softmax.
_BY = {"sigmoid": "each class with a sigmoid of its own", "none": "scores, which are no probabilities"}


@dataclass(frozen=True)
class Bar:
    """A share of a whole with its name. `note` stands small beside it; `marked` ones are what it is all about."""

    label: str
    share: float
    value: str
    note: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Card:
    """One picture's findings, or why there are none (`problem` and `hint`)."""

    anchor: str
    heading: str
    correctness: str = ""  # whether it is right, where that is known
    facts: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    figures: tuple[Figure, ...] = ()
    layers: Layers | None = None
    graph: GraphView | None = None
    problem: str = ""
    hint: str = ""
    numbers: str = ""  # the file with the values of its maps, where a viewer can show them

    @property
    def wide(self) -> bool:
        """Whether the figures need all the room there is."""
        return self.layers is not None or len(self.figures) > 1 or any(figure.wide for figure in self.figures)

    @property
    def words(self) -> tuple[str, ...]:
        """What its pictures say in general, each sentence once."""
        return tuple(dict.fromkeys(text for figure in self.figures for text in figure.general))

    @property
    def best(self) -> Bar | None:
        """The first answer, for the index."""
        return self.bars[0] if self.bars else None


def card(record: Mapping[str, Any], position: int) -> Card:
    """The card of one record; `position` counts the run's images from 1 and makes the anchor."""
    error = record.get("error") or {}
    targets = {target["index"] for entry in record["explanations"] if (target := class_of(entry))}
    return Card(
        anchor=f"image-{position}",
        heading=record["image"] or record.get("subject") or record["model"],
        correctness=_correctness(record),
        facts=tuple(_facts(record)),
        bars=tuple(_bar(prediction, prediction["index"] in targets) for prediction in record["predictions"]),
        figures=(with_drawings(stages(record), record),)
        if "summary" in record and "overview" in record
        else tuple(figures(record)),
        layers=layers(record["summary"]) if "summary" in record else None,
        graph=graph_view(record) if "summary" in record else None,
        problem=error.get("message", ""),
        hint=error.get("hint", ""),
        numbers=href(record["numbers"]) if record.get("numbers") else "",
    )


def _facts(record: Mapping[str, Any]) -> Iterator[str]:
    if record["size"]:
        yield f"{size(record['size'])} pixels"
    if "scores" in record:
        yield f"explained: {record['scores']}"
    if record.get("activation", "softmax") != "softmax":
        yield _BY[record["activation"]]
    yield from map(str, record.get("notes", ()))


def _correctness(record: Mapping[str, Any]) -> str:
    if "right" not in record:
        return ""
    return "right" if record["right"] else f"wrong: should be {record['expected']['label']}"


def require_sound(record: Mapping[str, Any]) -> None:
    """Raise one of `UNSOUND` for a record that is not like those that are written here.

    Of kinds that are not known here anything may be recorded.
    """
    line(record).encode()
    card(record, 1)
    texts = [prediction["label"] for prediction in record["predictions"]]
    if record["status"] == "error":
        texts += [record["error"]["type"], record["error"]["message"]]
    if record["status"] not in ("ok", "error") or not all(isinstance(text, str) for text in texts):
        raise ValueError("no record of an image")
    for entry in record["explanations"]:
        if (kind := result_class(kind_of(entry))) is not None:
            kind.require_sound(entry)


def _bar(prediction: Mapping[str, Any], marked: bool) -> Bar:
    share, label, note = prediction["probability"], prediction["label"], class_name(prediction["index"])
    return Bar(label, share or 0.0, likelihood(prediction), "" if note == label else note, marked)
