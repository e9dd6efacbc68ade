"""What a picture of the documentation says, and whether a picture made on another machine says the same.

Processors round differently, and a network turns a last digit into a few. So a picture that passed through a network is
compared by what it says: the class, numbers to their error, the peak to a cell, and its colours on the whole. One that
did not, as of weights, has to be equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

EQUAL = ("filters", "summary")  # commands whose pictures pass through no network
ASCENTS = ("maximize",)  # a last digit grows from step to step: compared by what they say alone
ROUNDED = 2  # levels, of 255, by which a colour of those may be rounded otherwise
SEEN = 2.0  # mean difference of other pictures, of 255 levels, that nobody sees
PROBABILITY = 0.005  # by how much a probability may differ
NUMBER = (
    0.05  # and a map's extremes, as a share of the larger one: those of single pixels are the least certain
)
SHARE = 0.05  # by how much of its places a class may win more or less
ADVANTAGE = 0.02  # of a compared map, in probability: an order changes with the last digits of a cell
COARSEST = 7  # cells a side: a peak of a finer map may move by one of so many, as equal pixels change places

Facts = dict[str, Any]


def facts(out: Path) -> dict[str, Facts]:
    """What each picture in a run's folder says, by its path there."""
    found: dict[str, Facts] = {}
    command = ""
    for text in (out / "results.jsonl").read_text("utf-8").splitlines():
        record = json.loads(text)
        command = record["command"]
        for one in record["explanations"]:
            said = found.setdefault(one["picture"], _of_record(record))
            if one.get("kind") == "winners":
                said["maps"].append(_of_winners(one))
            elif one.get("kind") == "comparison":
                said["maps"] += map(_of_compared, one["methods"])
            else:
                said["maps"].append(_of_map(one, record["size"]))
        for one in record.get("checks", ()):
            if picture := one.get("picture"):
                found[picture] = {"command": record["command"], "check": one["id"], "status": one["status"]}
    for picture in out.glob("*.png"):  # such as the stages of a summary
        found.setdefault(picture.name, {"command": command})
    return found


def disagreement(kept: Facts, made: Facts) -> str:
    """The first thing that two pictures say differently; nothing where they agree."""
    for name in ("command", "check", "status", "class"):
        if kept.get(name) != made.get(name):
            return f"{name} is {made.get(name)!r}, and was {kept.get(name)!r}"
    if abs(kept.get("probability", 0) - made.get("probability", 0)) > PROBABILITY:
        return f"probability is {made['probability']}, and was {kept['probability']}"
    was, now = kept.get("maps", ()), made.get("maps", ())
    if len(was) != len(now):
        return f"there are {len(now)} maps, and were {len(was)}"
    return next((why for one, other in zip(was, now, strict=True) if (why := _differ(one, other))), "")


def look_alike(one: Path, other: Path, *, equal: bool) -> bool:
    """Whether two pictures have the same size and look the same, or are equal but for a rounded colour."""
    with Image.open(one) as a, Image.open(other) as b:
        if a.size != b.size:
            return False
        difference = np.asarray(a.convert("RGB"), np.float32) - np.asarray(b.convert("RGB"), np.float32)
    size = np.abs(difference)
    return float(size.max()) <= ROUNDED if equal else float(size.mean()) <= SEEN


def _of_record(record: dict[str, Any]) -> Facts:
    best = next(iter(record["predictions"]), None)
    of_class = {"class": best["label"], "probability": best["probability"]} if best else {}
    return {"command": record["command"], **of_class, "maps": []}


def _of_map(one: dict[str, Any], size: list[int] | None) -> Facts:
    target, shape = one["target"], one["shape"]
    rows, columns = (min(side, COARSEST) for side in shape[-2:])
    return {
        "method": one["method"],
        "layer": one["layer"],
        "target": target["label"] if target else None,
        "min": one["min"],
        "max": one["max"],
        "peak": one["peak"],
        "cell": [size[0] / columns, size[1] / rows] if size and len(shape) > 1 else None,
    }


def _of_winners(one: dict[str, Any]) -> Facts:
    shares = {winner["label"]: winner["share"] for winner in one["classes"]}
    return {"method": one["method"], "layer": one["layer"], "target": None, "winners": shares}


def _of_compared(one: dict[str, Any]) -> Facts:
    advantage = one["advantage"]
    return {"method": one["method"], "layer": one["layer"], "target": None, "advantage": advantage}


def _differ_in_shares(where: str, was: Facts | None, now: Facts | None) -> str:
    if was is None or now is None:
        return f"{where}: one of the two has the winning classes of windows"
    for label in {**was, **now}:
        before, after = was.get(label, 0), now.get(label, 0)
        if abs(before - after) > SHARE:
            return f"{where}: {label} wins at {after} of the places, and at {before} before"
    return ""


def _differ_otherwise(where: str, was: Facts, now: Facts) -> str:
    if "advantage" in was and "advantage" in now:
        return _differ_in_advantage(where, was["advantage"], now["advantage"])
    return _differ_in_shares(where, was.get("winners"), now.get("winners"))


def _differ_in_advantage(where: str, was: float | None, now: float | None) -> str:
    near = was is now if was is None or now is None else abs(was - now) <= ADVANTAGE
    return "" if near else f"{where}: the advantage is {now}, and was {was}"


def _differ(was: Facts, now: Facts) -> str:
    where = f"{was['method']} at {was['layer']}"
    for name in ("method", "layer", "target"):
        if was[name] != now[name]:
            return f"{where}: {name} is {now[name]!r}, and was {was[name]!r}"
    if "min" not in was or "min" not in now:  # no maps
        return _differ_otherwise(where, was, now)
    allowed = NUMBER * max(abs(was["min"]), abs(was["max"]))
    for name in ("min", "max"):
        if abs(was[name] - now[name]) > allowed:
            return f"{where}: {name} is {now[name]}, and was {was[name]}"
    if (was["peak"] is None) != (now["peak"] is None):
        return f"{where}: the peak is {now['peak']}, and was {was['peak']}"
    if was["peak"] and was["cell"]:
        moved = [abs(a - b) for a, b in zip(was["peak"], now["peak"], strict=True)]
        if any(far > side + 1 for far, side in zip(moved, was["cell"], strict=True)):
            return f"{where}: the peak is at {now['peak']}, and was at {was['peak']}"
    return ""
