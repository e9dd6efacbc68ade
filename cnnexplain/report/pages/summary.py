"""What the page shows of the whole run, from run.json and the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cnnexplain.core.records import LISTED
from cnnexplain.core.words import abbreviated, count, number
from cnnexplain.report.pages.card import Bar, Card
from cnnexplain.report.pages.verdict_cards import VerdictGroup
from cnnexplain.report.pages.words import LONGEST_NAME, clipped, duration, shape, words

SHOWN_CLASSES = 8
SHOWN_SILENT = 100  # channels of a layer; all are in run.json
SHOWN_SILENT_LAYERS = 50
SHOWN_METHODS = 50
SHOWN_COMPARED = 50  # classes, the most frequent ones; all are in run.json
_OTHERS = {
    "infidelity": "infidelity",
    "randomised": "redrawn",
    "layers": "all layers redrawn",
    "road": "ROAD",
}

_CROPS = {"center": "the middle cut out", "squash": "aspect ratio ignored", "border": "padded"}


@dataclass(frozen=True)
class Tile:
    """A figure of the run and what it counts; `bad` ones are to be seen at once."""

    value: str
    text: str
    bad: bool = False
    kind: str = ""  # of a verdict, for its colour


@dataclass(frozen=True)
class SilentChannelsRow:
    """The channels of a layer that fired in no image."""

    layer: str
    share: str
    channels: str


@dataclass(frozen=True)
class ComparedRow:
    """The means of a method, or of a reference, over all images; or of the methods over those of a class."""

    name: str
    advantage: str
    others: str


@dataclass(frozen=True)
class PageHead:
    """The head of the page."""

    version: str
    command: str
    model: str
    source: str
    arguments: str
    notice: str
    of_model: bool  # whether no pictures were asked for
    tiles: tuple[Tile, ...]
    classes: tuple[Bar, ...]
    silent: tuple[SilentChannelsRow, ...]
    compared: tuple[ComparedRow, ...]
    compared_classes: tuple[ComparedRow, ...]
    choices: tuple[Mapping[str, str], ...]
    setup: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]


def summary(
    run: Mapping[str, Any], tiles: Iterable[Tile], classes: Iterable[Bar], more: str = ""
) -> PageHead:
    """The summary of a run. What run.json does not say is left out; `more` is said where it is not finished."""
    model = run.get("model", {})
    return PageHead(
        version=run["cnnexplain"],
        command=run["command"],
        model=model.get("name") or model.get("reference", ""),
        source=model.get("source", ""),
        arguments=clipped(run.get("arguments", "")),
        notice=(_notice(run["status"], more) + _left_out(run)).strip(),
        of_model="images" not in run,
        tiles=tuple(tiles),
        classes=tuple(classes),
        silent=tuple(_silent(run.get("silent_channels") or {})),
        compared=tuple(_compared(run.get("compared") or {})),
        compared_classes=tuple(_compared_classes((run.get("compared") or {}).get("classes") or {})),
        choices=tuple(
            {name: clipped(text) for name, text in choice.items()} for choice in run.get("choices") or ()
        ),
        setup=_facts(_setup(run, model)),
        options=_facts(
            {name.replace("_", "-"): option for name, option in (run.get("options") or {}).items()}
        ),
        versions=_facts(run.get("versions")),
    )


def _notice(status: str, more: str) -> str:
    if status == "finished":
        return ""
    state = "This run was interrupted." if status == "interrupted" else "This run is not finished."
    return f"{state} The same command continues where it stopped; what is done is kept.{more}"


def _left_out(run: Mapping[str, Any]) -> str:
    """Which images are not on the page."""
    only = (run.get("options") or {}).get("only")
    if only not in LISTED:
        return ""
    listing = (
        "What failed is listed" if only == "errors" else f"Images that are {only} are listed, and what failed"
    )
    return f" {listing} (--only {only}); all are counted."


def tiles(run: Mapping[str, Any], cards: Sequence[Card], checks: Sequence[VerdictGroup] = ()) -> list[Tile]:
    """The figures of a run whose every card is at hand."""
    end = took(run)
    if checks:
        images = run.get("images", {}).get("count", 0)
        pictures = [Tile(f"{images:,}", "picture" if images == 1 else "pictures")] if images else []
        return [*(_counted(group) for group in checks), *pictures, *end]
    if "images" not in run:
        if cards and cards[0].layers:
            return [*(Tile(value, text) for value, text in cards[0].layers.tiles), *end]
        figures = sum(len(card.figures) for card in cards)
        noun = "picture" if run.get("command") == "maximize" else "layer"
        return [Tile(f"{figures:,}", f"{noun} shown" if figures == 1 else f"{noun}s shown"), *end]
    return image_tiles(run, len(cards), sum(bool(card.problem) for card in cards))


def image_tiles(run: Mapping[str, Any], finished: int, bad: int) -> list[Tile]:
    """The figures of a run over images: how many are `finished`, and how many of them failed."""
    images = run.get("images") or {}
    total = images.get("count", finished)
    bad, good = images.get("error", bad), images.get("ok", finished - bad)
    figures = [Tile(f"{good:,}", "image explained" if good == 1 else "images explained")]
    if bad:
        figures.insert(0, Tile(f"{bad:,}", "image failed" if bad == 1 else "images failed", bad=True))
    if total > good + bad:
        figures.append(Tile(f"{total - good - bad:,}", "not done yet"))
    return figures + took(run)


def took(run: Mapping[str, Any]) -> list[Tile]:
    """How long a run took; nothing where that is not known."""
    seconds = run.get("seconds")
    return [Tile(duration(seconds), "from start to end")] if seconds is not None else []


def _counted(group: VerdictGroup) -> Tile:
    total = len(group.all)
    return Tile(f"{total:,}", f"{'check' if total == 1 else 'checks'} {group.word}", kind=group.status)


def frequent(cards: Sequence[Card]) -> list[Bar]:
    """The classes that came first most often; nothing where there is nothing to compare."""
    classes = Counter((card.best.label, card.best.note) for card in cards if card.best)
    return class_bars(
        [(label, note, images) for (label, note), images in classes.most_common(SHOWN_CLASSES)],
        classes.total(),
    )


def class_bars(classes: Iterable[tuple[str, str, int]], answers: int) -> list[Bar]:
    """Classes as shares of all first answers: label, note and how many images each."""
    if answers < 2:
        return []
    return [
        Bar(clipped(label, LONGEST_NAME), images / answers, count(images, "image"), note)
        for label, note, images in classes
    ]


def _silent(layers: Mapping[str, Mapping[str, Any]]) -> Iterator[SilentChannelsRow]:
    for layer, entry in islice(layers.items(), SHOWN_SILENT_LAYERS):
        channels = entry["channels"]
        share = f"{len(channels):,} of {count(entry['count'], 'channel')}"
        yield SilentChannelsRow(clipped(layer, LONGEST_NAME), share, abbreviated(channels, SHOWN_SILENT))
    if len(layers) > SHOWN_SILENT_LAYERS:
        yield SilentChannelsRow(
            "", f"{len(layers) - SHOWN_SILENT_LAYERS:,} more layers", "all are in run.json"
        )


def _compared(kinds: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[ComparedRow]:
    """The methods and references of `MethodMeans`, the largest mean advantage first; none of a single image."""
    every = [row for kind in ("maps", "references") for row in (kinds.get(kind) or {}).items()]
    ordered = sorted(every, key=lambda row: -row[1]["advantage"])
    for name, means in islice(ordered, SHOWN_METHODS):
        if means["images"] > 1:
            rank = f"mean rank {number(means['rank'])} · " if means["rank"] is not None else ""
            blurred = f" · blurred {number(means['blurred'])}" if name in (kinds.get("maps") or {}) else ""
            others = "".join(
                f" · {words} {number(means[key])}" for key, words in _OTHERS.items() if key in means
            )
            yield ComparedRow(
                clipped(name, LONGEST_NAME),
                f"{number(means['advantage'])} ± {number(means['advantage_error'])}",
                f"{rank}deletion {number(means['deletion'])} · insertion {number(means['insertion'])}{blurred}{others}"
                f" · {count(means['images'], 'image')}",
            )


def _compared_classes(classes: Mapping[str, Mapping[str, Any]]) -> Iterator[ComparedRow]:
    """Of the most frequent classes of `MethodMeans` the means of all methods, the largest advantage first."""
    frequent = sorted(
        classes.values(), key=lambda entry: -max(one["images"] for one in entry["maps"].values())
    )
    for entry in islice(frequent, SHOWN_COMPARED):
        maps = sorted(entry["maps"].items(), key=lambda row: -row[1]["advantage"])
        (name, best), *others = [
            (
                clipped(name, LONGEST_NAME),
                f"{number(means['advantage'])} ± {number(means['advantage_error'])}",
            )
            for name, means in maps
            if means["images"] > 1
        ]
        yield ComparedRow(
            clipped(entry["label"], LONGEST_NAME),
            f"{name} {best}",
            " · ".join([*(f"{name} {mean}" for name, mean in others), count(maps[0][1]["images"], "image")]),
        )


def _setup(run: Mapping[str, Any], model: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "Model": model.get("reference"),
        "Weights, SHA-256": model.get("weights_sha256"),
        "Parameters": model.get("parameters"),
        "Classes": model.get("classes"),
        "Preprocessing": _preprocessing(model.get("preprocess") or {}),
        "Device": " in ".join(model[key] for key in ("device", "precision") if model.get(key)),
        "Seed": run.get("seed"),
        "Seconds": _of_commands(run.get("work") or {}),
        "Started": (run.get("started") or "").replace("T", " ").replace("Z", " UTC"),
    }


def _of_commands(work: Mapping[str, float]) -> str:
    """The seconds of each of the commands that one consists of, which have `-m` in their names."""
    return ", ".join(f"{name} {number(spent)}" for name, spent in work.items() if " -m " in name)


def _preprocessing(steps: Mapping[str, Any]) -> str:
    if not steps:
        return ""
    return (
        f"resized to {shape(steps['resize'])}, {steps['interpolation']}; "
        f"{_CROPS.get(steps['crop_mode'], steps['crop_mode'])} to {shape(steps['input_size'])}; "
        f"{count(steps['channels'], 'channel')}; mean {words(steps['mean'])}; std {words(steps['std'])}"
    )


def _facts(facts: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple(
        (clipped(name, LONGEST_NAME), clipped(words(value)))
        for name, value in (facts or {}).items()
        if value not in (None, "", [], ())
    )
