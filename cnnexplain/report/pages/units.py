"""The page of a run that says what units look for: every unit with its strongest patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnexplain.core.words import number, percent
from cnnexplain.report.pages.card import card
from cnnexplain.report.pages.page import rendered
from cnnexplain.report.pages.summary import Tile, summary

Record = Mapping[str, Any]


def pages(run: Record, failures: Sequence[Record], units: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """The pages of a run: path below OUT and content.

    Args:
        run: What run.json holds.
        failures: The records of the images that failed.
        units: Those of all units, in their order.
    """
    layers: dict[str, list[Record]] = {}
    for unit in units:
        layers.setdefault(unit["layer"], []).append(unit)
    images = run.get("images") or {}
    tiles = [Tile(f"{len(units):,}", "units"), Tile(f"{images.get('ok', 0):,}", "images")]
    if failures:
        tiles.append(Tile(f"{len(failures):,}", "failed", bad=True))
    yield (
        "index.html",
        rendered(
            "units.html",
            summary(run, tiles, ()),
            failures=[card(record, place) for place, record in enumerate(failures, 1)],
            layers={layer: list(map(_row, of_layer)) for layer, of_layer in layers.items()},
        ),
    )


def _row(unit: Record) -> dict[str, Any]:
    top = unit["top"]
    fires = f"fires in {percent(unit['fires'])} of the images"
    words = "never fires, or alike for every image" if unit["dead"] else fires
    if unit["duplicate_of"] is not None:
        words += f"; a copy of channel {unit['duplicate_of']}"
    if unit["purity"]:
        words += f"; {percent(unit['purity']['share'])} {unit['purity']['label']}"
    strongest = number(top[0]["activation"]) if top else ""
    return {"channel": unit["channel"], "picture": unit["picture"], "says": words, "strongest": strongest}
