"""Pictures made on two machines: what may differ between them, and what may not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import doc_shell  # noqa: F401 - puts docs/ on the path
import numpy as np
import pytest
import said
from PIL import Image

RECORD: dict[str, Any] = {
    "command": "saliency",
    "size": [448, 224],
    "predictions": [{"label": "tiger cat", "probability": 0.393}, {"label": "tabby", "probability": 0.17}],
    "explanations": [
        {
            "method": "gradcam", "layer": "bn2", "target": {"label": "tiger cat"}, "shape": [7, 7],
            "min": -0.1, "max": 0.4, "peak": [160, 112], "picture": "cat.png",
        },
        {
            "method": "gradient", "layer": "input", "target": {"label": "tiger cat"}, "shape": [224, 224],
            "min": 0.0, "max": 3.0, "peak": [160, 112], "picture": "cat.png",
        },
    ],
}  # fmt: skip


def facts(folder: Path, **changed: Any) -> said.Facts:
    """What the picture of a record says that was changed so: `maps_0_max` is a key of its first map."""
    record = copy.deepcopy(RECORD)
    for name, value in changed.items():
        parts = name.split("_")
        if parts[0] == "maps":
            record["explanations"][int(parts[1])][parts[2]] = value
        else:
            record["predictions"][0][name] = value
    (folder / "results.jsonl").write_text(json.dumps(record) + "\n")
    return said.facts(folder)["cat.png"]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"probability": 0.396},  # the third digit
        {"maps_0_max": 0.41, "maps_0_min": -0.09},  # within a twentieth of the largest
        {"maps_0_peak": [224, 144]},  # the next cell, of 64x32
        {
            "maps_1_peak": [101, 140]
        },  # the seventh of the picture, as a pixel changes places with an equal one
    ],
)
def test_what_rounding_makes_is_the_same(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert said.disagreement(facts(tmp_path), facts(tmp_path, **changed)) == ""


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"label": "tabby"}, "class is 'tabby', and was 'tiger cat'"),
        ({"probability": 0.41}, "probability is 0.41"),
        ({"maps_0_max": 0.43}, "gradcam at bn2: max is 0.43, and was 0.4"),
        ({"maps_1_min": -0.2}, "gradient at input: min is -0.2, and was 0.0"),
        ({"maps_0_peak": [288, 112]}, "gradcam at bn2: the peak is at [288, 112]"),
        ({"maps_0_peak": None}, "the peak is None"),
        ({"maps_1_peak": [160, 30]}, "gradient at input: the peak is at"),
        ({"maps_0_layer": "bn1"}, "layer is 'bn1'"),
        ({"maps_1_target": {"label": "lynx"}}, "target is 'lynx'"),
    ],
)
def test_what_no_rounding_makes_is_told(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    assert why in said.disagreement(facts(tmp_path), facts(tmp_path, **changed))


def test_winning_classes_agree_in_their_shares(tmp_path: Path) -> None:
    def winners(**shares: float) -> said.Facts:
        record = copy.deepcopy(RECORD)
        classes = [
            {"index": place, "label": label, "share": share}
            for place, (label, share) in enumerate(shares.items())
        ]
        record["explanations"] = [
            {
                "kind": "winners", "method": "sliding", "layer": "input", "target": None, "shape": [3, 3],
                "classes": classes, "picture": "cat.png",
            }
        ]  # fmt: skip
        (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n")
        return said.facts(tmp_path)["cat.png"]

    kept = winners(cat=0.8, dog=0.2)
    assert said.disagreement(kept, winners(cat=0.83, dog=0.16, fox=0.01)) == ""
    assert "cat wins at 1.0 of the places, and at 0.8 before" in said.disagreement(kept, winners(cat=1.0))
    other = facts(tmp_path)
    heatmap = {**other["maps"][1], "method": "sliding", "target": None}
    assert "one of the two" in said.disagreement(kept, {**other, "maps": [heatmap]})


def test_fewer_maps_are_told(tmp_path: Path) -> None:
    kept = facts(tmp_path)
    assert said.disagreement(kept, {**kept, "maps": kept["maps"][:1]}) == "there are 1 maps, and were 2"


def test_colours_may_differ_as_far_as_nobody_sees(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    pixels = chance.integers(20, 235, (60, 80, 3), np.uint8)

    def saved(name: str, values: np.ndarray) -> Path:
        Image.fromarray(values).save(tmp_path / name)
        return tmp_path / name

    kept = saved("kept.png", pixels)
    noisy = saved("noisy.png", (pixels + chance.integers(-2, 3, pixels.shape)).astype(np.uint8))
    digit = pixels.copy()
    digit[5:15, 5:12] = 255 - digit[5:15, 5:12]
    digit_changed = saved("digit.png", digit)
    other = saved("other.png", np.ascontiguousarray(pixels[:, ::-1]))
    assert said.look_alike(kept, noisy, equal=True)
    assert said.look_alike(kept, digit_changed, equal=False), "a digit of a caption"
    assert not said.look_alike(kept, digit_changed, equal=True)
    assert not said.look_alike(kept, other, equal=False)
    assert not said.look_alike(kept, saved("small.png", pixels[:-1]), equal=False)
