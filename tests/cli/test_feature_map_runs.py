"""`cnnexplain activations` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import PHOTOS, TINY_OPTIONS, Run, files, records

# Three stages; channel 1 of the first never fires; and one that divides by what is dark.
NETS = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.head = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 5, 3, stride=2), nn.Linear(5, 3)
        self.act = nn.ReLU()
        with torch.no_grad():
            self.one.bias[1] = -10
            self.one.bias[0] = 0.5

    def forward(self, x):
        return self.head(F.relu(self.two(self.act(self.one(x)))).mean((2, 3)))

class Dark(Net):
    def forward(self, x):
        return super().forward(x / x.mean((1, 2, 3), keepdim=True).clamp(min=0))
"""
SMALL = ("--input-size", "32", "--crop-mode", "squash", "--mean", "0", "--std", "1")


@pytest.fixture
def nets(work: Path) -> Path:
    (work / "nets.py").write_text(NETS)
    return work


@pytest.mark.slow
def test_a_strip_of_a_real_photo(run: Run, work: Path) -> None:
    done = run("activations", "bundled:efficientnet_lite0", PHOTOS / "chelsea.png", "-o", "out", "--json")
    assert done.code == 0, done.err
    assert "bn2 (the last map of every size: 112x112, 56x56, 28x28, 14x14, 7x7)" in done.err
    assert "blocks.2, 40 channels of 28x28" in done.err
    (record,) = records(work / "out")
    assert json.loads(done.out) == {**record}
    assert [one["shape"] for one in record["explanations"]] == [[s, s] for s in (112, 56, 28, 14, 7)]
    assert files(work / "out") == {"chelsea.png.activations.png"}
    page = (work / "out" / "index.html").read_text()
    assert page.count("<img") == 1
    assert "1,280 channels of 7 × 7" in page
    with Image.open(work / "out" / "chelsea.png.activations.png") as strip:
        assert strip.width <= 1300


def test_named_layers_get_a_sheet_each_and_raw_maps_in_the_order_of_channels(run: Run, nets: Path) -> None:
    done = run(
        "activations", "nets.py:Net", "pictures/a.png", "-o", "out", *SMALL, "-l", "act", "-l", "head",
        "--top", "4", "--save-raw", "--overlay", "--scale", "layer",
    )  # fmt: skip
    assert done.code == 0, done.err
    (record,) = records(nets / "out")
    sheet, bars = record["explanations"]
    stem = "a.png.activations"
    assert files(nets / "out") == {
        f"{stem}.{layer}.{end}" for layer in ("act", "head") for end in ("png", "npz")
    }
    raw = np.load(nets / "out" / sheet["raw"])
    values, (left, top, right, bottom) = raw["values"], raw["box"]
    assert values.shape == (12, 30, 30)
    assert sheet["channels"]["silent"] == np.flatnonzero(values.max((1, 2)) <= 0).tolist()
    assert 1 in sheet["channels"]["silent"]
    strength = np.maximum(values, 0).mean((1, 2))
    shown = sheet["channels"]["shown"]
    assert [one["channel"] for one in shown] == np.argsort(-strength, kind="stable")[:4].tolist()
    for one in shown:
        own = values[one["channel"]]
        assert one["activation"] == pytest.approx(own.max(), rel=1e-5)
        assert one["strength"] == pytest.approx(strength[one["channel"]], rel=1e-5)
        row, column = divmod(int(own.argmax()), 30)
        middle = left + (column + 0.5) * (right - left) / 30, top + (row + 0.5) * (bottom - top) / 30
        assert one["at"] == [int(middle[0]), int(middle[1])]
    assert sheet["channels"]["sparsity"] == pytest.approx((values <= 0).mean(), abs=1e-5)
    assert (bars["shape"], bars["peak"], len(bars["channels"]["shown"])) == ([1, 1], None, 3)
    assert bars["channels"]["shown"][0]["label"] == record["predictions"][0]["label"]
    assert np.load(nets / "out" / bars["raw"])["values"].shape == (3,)


def test_channels_that_fire_in_no_image_are_told_also_when_a_run_is_continued(run: Run, nets: Path) -> None:
    command = ("activations", "nets.py:Net", "pictures", "-o", "out", *SMALL)
    done = run(*command)
    assert done.code == 0, done.err
    told = [line for line in done.err.splitlines() if line.startswith("silent")]
    assert any(
        line.startswith("silent  act: ") and "channels fired in none of 3 images: " in line for line in told
    )
    assert "Fired in no image" in (nets / "out" / "index.html").read_text()
    silent = json.loads((nets / "out" / "run.json").read_text())["silent_channels"]
    assert 1 in silent["act"]["channels"]
    assert 0 not in silent["act"]["channels"]
    first = records(nets / "out")
    (nets / "out" / "b.png.activations.png").unlink()
    again = run(*command)
    assert "resumed  2 of 3" in again.err
    assert [line for line in again.err.splitlines() if line.startswith("silent")] == told
    assert records(nets / "out") == first
    other = run(*command, "--sort", "index")
    assert other.code == 2
    assert "sort" in other.error


def test_a_picture_that_breaks_the_numbers_names_the_layer_and_the_others_go_on(run: Run, nets: Path) -> None:
    Image.new("RGB", (40, 40)).save(nets / "pictures" / "black.png")
    done = run("activations", "nets.py:Dark", "pictures", "-o", "out", *SMALL, "-l", "head")
    assert done.code == 3
    assert "black.png: one is the first layer with NaN values" in done.err
    assert "Traceback" not in done.err
    assert [one["status"] for one in records(nets / "out")].count("error") == 1


def test_the_strip_is_another_run_than_sheets_of_the_same_layers(run: Run, nets: Path) -> None:
    command = ("activations", "nets.py:Net", "pictures/a.png", "-o", "out", *SMALL)
    assert run(*command).code == 0
    assert "1 of 1" in run(*command).err.partition("resumed")[2]
    layers = [one["layer"] for one in records(nets / "out")[0]["explanations"]]
    other = run(*command, *(part for layer in layers for part in ("-l", layer)), "--top", "8")
    assert other.code == 2
    assert f"layer was left out: {', '.join(layers)}, and is now {', '.join(layers)}" in other.error


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (("-l", "blocs"), "there is no layer called 'blocs'", "blocks"),
        (("-l", "blocks", "--channel", "2"), "--channel 2 is not in blocks, which has 2", "from 0 to 1"),
        (("--channel", "1", "--top", "1"), "--top has no meaning beside --channel", "leave out --top"),
        (("--top", "0"), "--top 0 is too small", "the smallest value is 1"),
        (("--scale", "layr"), "--scale 'layr' is not one of", "--scale layer"),
    ],
)
def test_mistakes_are_told_in_two_lines(run: Run, options: tuple[str, ...], error: str, hint: str) -> None:
    done = run("activations", "tiny.py:Net", "pictures/a.png", "-o", "out", *TINY_OPTIONS, *options)
    assert done.code == 2
    assert error in done.error
    assert hint in done.hint


def test_channels_named_with_commas_and_a_network_of_one_score(run: Run, work: Path) -> None:
    done = run(
        "activations",
        "tiny.py:One",
        "pictures/a.png",
        "-o",
        "out",
        *TINY_OPTIONS,
        "-l",
        "relu",
        "--channel",
        "1,0",
    )
    assert done.code == 0, done.err
    (found,) = records(work / "out")[0]["explanations"]
    assert [one["channel"] for one in found["channels"]["shown"]] == [1, 0]
