"""Atlases made up for tests: records of units as `units` writes them, and the pictures that they name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnexplain.report.pages.atlas import atlas

Record = dict[str, Any]
SIDE, KINDS = 64, (("top", 9), ("median", 3), ("random", 3))
LABELS = ("tiger cat", "espresso", "missile", "daisy", "palace")


def unit(
    channel: int,
    layer: str = "blocks.4",
    images: int = 500,
    units: int = 64,
    name: str = "photos/{:03}.jpg",
    label: str = "",
) -> Record:
    """The record of a unit: every eleventh is dead, every seventh a copy, groups of four, labels of five classes."""
    draw = random.Random(f"{layer} {channel}")
    dead, reach = channel % 11 == 10, draw.uniform(2, 9)
    column = iter(range(SIDE))

    def example(rank: int, share: float) -> Record:
        place, left, top = draw.randrange(images), draw.randrange(400), draw.randrange(220)
        path = name.format(place)
        return {
            "image": path,
            "activation": 0.0 if dead else reach * share * 0.97**rank,
            "cell": [4, 7],
            "at": [left + 100, top + 100],
            "box": [left, top, left + 200, top + 200],
            "label": label or LABELS[place % 5],
            "size": [640, 427],
            "patch": next(column),
            "picture": sheet,
            "thumb": f"thumbs/{place:03}.jpg",
        }

    def linked(other: str, value: str) -> list[Record]:
        return [
            {"layer": other, "channel": (channel + step) % units, value: 0.9 - step / 10}
            for step in range(1, 6)
        ]

    sheet = f"units/{layer}/{channel:04}.jpg"
    shares = {"top": 1.0, "median": 0.4, "random": 0.3}
    return {
        "schema": 1,
        "status": "ok",
        "command": "units",
        "model": "bundled:efficientnet_lite0",
        "kind": "unit",
        "layer": layer,
        "channel": channel,
        "shape": [14, 14],
        "images": images,
        **{kind: [example(rank, shares[kind]) for rank in range(many)] for kind, many in KINDS},
        "fires": 0.0 if dead else draw.random(),
        "sparseness": None if dead else draw.random(),
        "selective": None if dead else round(draw.uniform(0.005, 0.4), 3),
        "quantiles": [0.0] * 6 if dead else [share * reach for share in (0, 0.1, 0.25, 0.4, 0.9, 1)],
        "purity": {"label": label or LABELS[channel % 5], "share": draw.uniform(0.2, 1), "of": 50},
        "neighbours": linked(layer, "correlation"),
        "group": None if dead else channel // 4 % 16,
        "dead": dead,
        "saturated": channel % 50 == 3,
        "duplicate_of": channel - 1 if channel % 7 == 5 else None,
        "colour": ("colour", "grey")[channel % 2] if layer == "conv_stem" else None,
        "inputs": linked("blocks.3", "weight"),
        "outputs": linked("conv_head", "weight"),
        "sampled": None,
        "importance": {
            "mean": round(draw.uniform(-0.3, 0.9), 4),
            "changes": channel % 4 / 10,
            "images": 64,
            "classes": [
                {"index": place, "label": name, "mean": round(draw.uniform(-1, 1), 4), "images": 9 - place}
                for place, name in enumerate(LABELS[:3])
            ],
        }
        if layer == "blocks.4"
        else None,
        "synthesised": None,
        "picture": sheet,
        "tiles": {"side": SIDE, "columns": sum(many for _, many in KINDS), "rows": 2},
    }


def run_of_units(run: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A run.json of `units`."""
    options = {"layer": ["blocks.4"], "top": 9, "channel": [], "deconv": True}
    asked = "cnnexplain units bundled:efficientnet_lite0 photos/ -o atlas -l blocks.4"
    images = {"count": 500, "ok": 500, "error": 0}
    return {**run, "command": "units", "arguments": asked, "options": options, "images": images, **changed}


def written(out: Path, run: dict[str, Any], units: Sequence[Record], failures: Sequence[Record] = ()) -> Path:
    """The atlas of units in a folder; its first page."""
    for name, html in atlas(run, failures, units):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(html, "utf-8")
    return out / "index.html"


def draw_pictures(out: Path, records: Sequence[Record]) -> None:
    """The sheets and thumbnails that records name: the same noise for all."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 15, 3), np.uint8)
    drawn = {
        False: Image.fromarray(noise).resize((SIDE * 15, SIDE * 2)),
        True: Image.fromarray(noise).resize((96, 64)),
    }
    paths = {record["picture"] for record in records}
    thumbs = {image["thumb"] for record in records for kind, _ in KINDS for image in record[kind]}
    for path in (*paths, *thumbs):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        drawn[path in thumbs].save(out / path, quality=75)
