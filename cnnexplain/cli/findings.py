"""What was found out about one picture, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnexplain.core.explanation import PIXELS
from cnnexplain.core.kinds import is_misplaced, kind_of
from cnnexplain.core.words import count, likelihood, listed, number, percent, reached

if TYPE_CHECKING:
    from cnnexplain.runner.request import Outcome


def findings(record: Mapping[str, Any]) -> Iterator[str]:
    """A line for each map, each layer's channels, each sheet of units."""
    sheets: dict[str, list[Mapping[str, Any]]] = {}
    for found in record["explanations"]:
        kind = kind_of(found)
        if kind == "unit":
            sheets.setdefault(found["picture"], []).append(found)
        else:
            yield _map(found) if kind == "map" else _channels(found)
    yield from map(_sheet, sheets.values())


def _channels(found: Mapping[str, Any]) -> str:
    channels, (height, width) = found["channels"], found["shape"]
    what = (
        f"{count(channels['count'], 'channel')} of {height}x{width}"
        if height * width > 1
        else count(channels["count"], "unit")
    )
    silent = f", {len(channels['silent'])} silent" if channels["silent"] and height * width > 1 else ""
    return f"{found['layer']}, {what}, {reached(found)}{silent}"


def _map(found: Mapping[str, Any]) -> str:
    target, peak, layer = found["target"], found["peak"], found["layer"]
    component = found.get("scale") == "component"
    nothing = "zero everywhere" if component else "nothing positive"
    nothing = "not laid back on the picture" if is_misplaced(found) else nothing
    where = f"strongest at x {peak[0]}, y {peak[1]}" if peak else nothing
    where += ", sign arbitrary" if component else ""
    what = f"{target['label']} {likelihood(target)}" if found.get("of_class", True) else "no class"
    return f"{what}, {found['method']} {'' if layer == PIXELS else f'at {layer} '}{where}"


def _sheet(shown: Sequence[Mapping[str, Any]]) -> str:
    """What one picture shows of a layer's units, each perhaps by several rules."""
    units = {(one["unit"]["channel"], str(one["unit"]["cell"])): one["unit"]["activation"] for one in shown}
    rules = listed(list(dict.fromkeys(one["method"] for one in shown)))
    (channel, _), activation = max(units.items(), key=lambda unit: unit[1])
    many = count(len(units), "unit")
    strongest = f"strongest channel {channel} ({number(activation)})"
    return f"{many} of {shown[0]['layer']} by {rules}, {strongest}"


def judged(record: Mapping[str, Any]) -> str:
    """Whether a picture was recognised, where that is known."""
    if "right" not in record:
        return ""
    return "; right" if record["right"] else f"; wrong, should be {record['expected']['label']}"


def of_answers(answers: Mapping[str, float]) -> str:
    """How many images were recognised, and how many would be by chance: 37 of 50 images, 74.0% (chance 10.0%)."""
    right, labelled = int(answers["right"]), int(answers["labelled"])
    share, chance = percent(right / labelled), percent(answers["chance"])
    return f"{right:,} of {count(labelled, 'image')}, {share} (by chance {chance})"


def of_stages(outcome: Outcome) -> str:
    """Images in a second, which share of the processors' time each stage took, and how busy these were."""
    work = dict(outcome.work)
    whole, processors = work.pop("whole"), work.pop("processors")
    every = sum(work.values()) or 1.0
    shares = ", ".join(f"{stage} {percent(seconds / every)}" for stage, seconds in work.items())
    busy = percent(min(1.0, every / (whole * processors)))
    return f"{outcome.done / whole:.1f} images a second after loading; {shares}; processors {busy} busy"
