"""Units that are known beforehand, and pictures of a pattern each: `units` finds, names and groups them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shell import Run
from torch import Tensor, nn

KINDS = ("edge000", "edge045", "edge090", "edge135", "red", "blue")
EACH = 8  # pictures of a kind
SIDE, WIDE = 64, 9  # of pictures and patterns, in pixels
OPTIONS = ("--input-size", str(SIDE), "--crop-pct", "1", "--mean", "0.5", "--std", "0.5")
# Units 0 to 5 look for the kinds; 6 is a copy of 1, 7 is dead, 8 is 1 turned by 8 degrees: alike, and no copy.
COPY, DEAD, TURNED = 6, 7, 8
NET = """
import numpy as np
import torch
from torch import nn

def net():
    kernels = torch.from_numpy(np.load("kernels.npy"))
    conv = nn.Conv2d(3, len(kernels), kernels.shape[-1])
    with torch.no_grad():
        conv.weight.copy_(kernels)
        conv.bias.zero_()
        conv.bias[7] = -100
    torch.manual_seed(0)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(kernels), 6))
"""


def edge(degrees: float) -> np.ndarray:
    """A wave along a direction under a Gaussian: (3, h, w) from -1 to 1, all colours alike.

    Narrow enough for units 45 degrees apart to have little in common.
    """
    rows, columns = np.mgrid[:WIDE, :WIDE] - WIDE // 2
    turn = np.deg2rad(degrees)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    values = np.sin(1.5 * along) * np.exp(-(rows**2 + columns**2) / 9)
    return np.repeat((values / np.abs(values).max())[None], 3, 0)


def blob(*colour: float) -> np.ndarray:
    """A spot of one colour that is as bright as grey: its values add up to zero at every pixel."""
    rows, columns = np.mgrid[:WIDE, :WIDE] - WIDE // 2
    return np.array(colour)[:, None, None] * np.exp(-(rows**2 + columns**2) / 9)


PATTERNS = (*map(edge, (0, 45, 90, 135)), blob(1, -0.5, -0.5), blob(-0.5, -0.5, 1))
KERNELS = np.stack([*PATTERNS, PATTERNS[1], PATTERNS[0], edge(53)]).astype(np.float32) / 10


@pytest.fixture
def places(work: Path) -> dict[str, tuple[int, int]]:
    """Writes network and pictures, in a folder for each kind; returns where (x, y) the middle of each pattern is."""
    np.save(work / "kernels.npy", KERNELS)
    (work / "net.py").write_text(NET)
    random = np.random.default_rng(3)
    middles = {}
    for kind, pattern in zip(KINDS, PATTERNS, strict=True):
        (work / "planted" / kind).mkdir(parents=True)
        for number in range(EACH):
            x, y = (int(value) for value in random.integers(WIDE, SIDE - WIDE, 2))
            values = np.zeros((3, SIDE, SIDE))
            half = WIDE // 2
            values[:, y - half : y + half + 1, x - half : x + half + 1] = random.uniform(0.5, 0.9) * pattern
            pixels = (127.5 + 127.5 * values).round().astype(np.uint8).transpose(1, 2, 0)
            name = f"planted/{kind}/{number}.png"
            Image.fromarray(pixels).save(work / name)
            middles[name] = x, y
    return middles


def test_planted_units_are_found_named_and_grouped(
    run: Run, work: Path, places: dict[str, tuple[int, int]]
) -> None:
    call = ("units", "net.py:net", "planted", "-l", "1", "--top", str(EACH), "--labels-from", "folder")
    done = run(*call, *OPTIONS, "-o", "out")
    assert done.code == 0, done.err
    units = [json.loads(line) for line in (work / "out" / "results.jsonl").read_text().splitlines()]
    assert [unit["dead"] for unit in units] == [channel == DEAD for channel in range(9)]
    assert [unit["duplicate_of"] for unit in units] == [
        1 if channel == COPY else None for channel in range(9)
    ]
    assert [unit["colour"] for unit in units] == ["grey"] * 4 + ["colour"] * 2 + ["grey"] * 3
    groups = [unit["group"] for unit in units]
    assert groups == [0 if channel in (1, COPY, TURNED) else None for channel in range(9)]
    looks_for = [*KINDS, KINDS[1], None, KINDS[1]]
    for unit, kind in zip(units, looks_for, strict=True):
        if kind is None:
            assert unit["top"] == []
            continue
        assert {Path(shown["image"]).parent.name for shown in unit["top"]} == {kind}
        assert unit["purity"]["label"] == kind
        for shown in unit["top"]:
            _seen_where_it_was_planted(shown, places[shown["image"]], exact=unit["channel"] != TURNED)
    front = re.sub("<[^>]*>", "", (work / "out" / "index.html").read_text())
    # Dead units are grey by their kernel all the same.
    for words in ("1 dead", "1 copies of others", "1 group", "2 colour", "7 grey"):
        assert words in front, words
    _alone_as_in_its_picture(work, units)


def _seen_where_it_was_planted(shown: dict[str, Any], middle: tuple[int, int], exact: bool) -> None:
    left, top, right, bottom = shown["box"]
    assert (right - left, bottom - top) == (WIDE, WIDE)
    away = max(abs(left + WIDE // 2 - middle[0]), abs(top + WIDE // 2 - middle[1]))
    assert away <= (0 if exact else 1)


def _alone_as_in_its_picture(work: Path, units: list[dict[str, Any]]) -> None:
    """What a record's box cuts out gives the record's activation, whatever is around it."""
    head = nn.Sequential(nn.Conv2d(3, len(KERNELS), WIDE, bias=False), nn.ReLU())
    head[0].weight = nn.Parameter(torch.from_numpy(KERNELS))
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)

    def reached(pixels: np.ndarray, unit: int, cell: list[int]) -> float:
        inputs: Tensor = torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 127.5 - 1).float()
        with torch.no_grad():
            return float(head(inputs)[0, unit, cell[0], cell[1]])

    for unit in units:
        for shown in unit["top"][:2]:
            left, top, right, bottom = shown["box"]
            alone = noise.copy()
            with Image.open(work / shown["image"]) as picture:
                alone[top:bottom, left:right] = np.asarray(picture)[top:bottom, left:right]
            assert reached(alone, unit["channel"], shown["cell"]) == pytest.approx(
                shown["activation"], rel=1e-4
            )
            assert reached(noise, unit["channel"], shown["cell"]) != pytest.approx(
                shown["activation"], rel=0.05
            )
