"""What the tests of the command share: a tiny model, a picture, and what a finished command leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
PHOTOS = DOCS / "photos"

# Class "bright" answers to how bright the picture is anywhere, "dark" to the opposite. Its map is 8x8.
TINY = """
import os
import time
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.blocks.weight[0] = 1 / 192
            self.blocks.weight[1] = -1 / 192
            self.head.weight.copy_(torch.eye(2))

    def forward(self, x):
        return self.head(self.relu(self.blocks(x)).mean((2, 3)))

class Slow(Net):
    def forward(self, x):
        time.sleep(float(os.environ.get("NAP", "0.3")))
        return super().forward(x)

class One(Net):
    def forward(self, x):
        both = super().forward(x)
        return both[:, :1] - both[:, 1:]

class Map(Net):
    def forward(self, x):
        return self.blocks(x)

class Fails(Net):
    def forward(self, x):
        return super().forward(x).reshape(7, -1)

def nan():
    net = Net()
    with torch.no_grad():
        net.blocks.weight[1, 0, 0, 0] = float("nan")
    return net

def raises():
    raise KeyError("no such thing")

def number():
    return 7
"""
AWAKE = {"NAP": "0"}  # the environment in which tiny.py:Slow is as fast as the others
TINY_OPTIONS = ("--input-size", "64", "--crop-pct", "1", "--mean", "0.5", "--std", "0.5")


@dataclass(frozen=True)
class Finished:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        return next((line for line in self.err.splitlines() if line.startswith("error: ")), "")

    @property
    def hint(self) -> str:
        return next((line for line in self.err.splitlines() if line.startswith("hint: ")), "")


Run = Callable[..., Finished]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any settings of cnnexplain's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CNNEXPLAIN_")}
    return {**kept, "COLUMNS": "100", **(more or {})}


def spot_picture(size: tuple[int, int] = (96, 64), spot: tuple[int, int] = (64, 8)) -> Image.Image:
    """Grey with a bright square of 12 pixels whose top left corner is at `spot`."""
    picture = Image.new("RGB", size, (96, 96, 96))
    picture.paste((255, 255, 255), (*spot, spot[0] + 12, spot[1] + 12))
    return picture


def records(out: Path) -> list[dict[str, Any]]:
    """The records of a run, each as the schema says."""
    found = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    validator = jsonschema.Draft202012Validator(json.loads((DOCS / "record.schema.json").read_text()))
    for record in found:
        validator.validate(record)
    return found


def files(out: Path) -> set[str]:
    """The names of all files of a run but those that every run has, and the numbers that its pages read."""
    names = {path.name for path in out.iterdir() if not path.name.endswith(".numbers.css")}
    return names - {"index.html", "results.jsonl", "run.json"}
