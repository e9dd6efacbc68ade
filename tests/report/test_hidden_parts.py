"""What figures say of windows and masks."""

from __future__ import annotations

from typing import Any

import pytest

from cnnexplain.report._hiding import hiding_facts
from cnnexplain.report.pages.figures import figures

WINDOWS = {
    "window": 8,
    "stride": 4,
    "fill": "grey",
    "windows": [7, 15],
    "compared": "logit",
    "incremental": True,
}
MASKS = {
    "masks": 2000, "grid": 7, "probability": 0.5, "fill": "blur", "compared": "probability", "mean": 0.25,
    "standard_error": 0.0125,
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "computed"),
    [
        ({}, "what changes"),
        ({"whole_from": "mean"}, "what changes; all from mean on"),
        ({"why_whole": "it writes into a map"}, "all of each window's image: it writes into a map"),
    ],
)
def test_windows_in_words(more: dict[str, Any], computed: str) -> None:
    assert dict(hiding_facts({"occlusion": {**WINDOWS, **more}})) == {
        "windows": "7 × 15, each of 8 × 8 pixels, 4 apart",
        "filled with": "grey",
        "computed": computed,
    }


def test_masks_in_words() -> None:
    assert dict(hiding_facts({"rise": MASKS})) == {
        "masks": "2000 of 7 cells a side",
        "kept with a chance of": "0.5",
        "filled with": "blur",
        "compared": "probabilities",
        "mean over all masks": "0.25",
        "largest standard error": "0.0125",
    }


@pytest.mark.parametrize("entry", [{}, {"occlusion": None}, {"occlusion": 3, "rise": "text"}])
def test_what_others_recorded_does_no_harm(entry: dict[str, Any]) -> None:
    assert list(hiding_facts(entry)) == []


def test_map_and_winners_have_a_figure_each() -> None:
    target = {"index": 1, "label": "cat", "probability": 0.5, "logit": 1.0}
    heatmap = {
        "kind": "map", "method": "sliding", "layer": "input", "target": target, "scale": "evidence", "shape": [32, 64],
        "min": -1.0, "max": 2.0, "peak": [3, 4], "picture": "a.png", "occlusion": WINDOWS,
    }  # fmt: skip
    winners = {
        "kind": "winners", "method": "sliding", "layer": "input", "target": None, "shape": [7, 15],
        "classes": [{"index": 1, "label": "cat", "share": 0.75}, {"index": 0, "label": "dog", "share": 0.25}],
        "picture": "b.png", "occlusion": WINDOWS,
    }  # fmt: skip
    first, second = figures({"explanations": [heatmap, winners], "size": [64, 32]})
    for figure in (first, second):
        assert ("windows", "7 × 15, each of 8 × 8 pixels, 4 apart") in figure.facts
        assert not {"occlusion", "classes"} & dict(figure.facts).keys()
    assert ("wins at", "cat 75.0%, dog 25.0%") in second.facts
