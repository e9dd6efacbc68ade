"""`units` and `maximize` from 28x28 grey to 600x600, and of models without gradients, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shell import TINY_OPTIONS, Run, records

FIELD = 5  # pixels of the input that a unit sees
NET = """
import warnings

import torch
from torch import nn

class Net(nn.Module):
    '''Unit 0 answers to bright spots, unit 1 to dark ones.'''

    def __init__(self, colours=3):
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.conv, self.relu, self.pool = nn.Conv2d(colours, 2, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2, 3)
        with torch.no_grad():
            self.conv.weight[0], self.conv.weight[1] = 1 / (25 * colours), -1 / (25 * colours)
            self.conv.bias.zero_()

    def forward(self, x):
        return self.dequant(self.fc(self.pool(self.relu(self.conv(self.quant(x)))).flatten(1)))

def grey():
    return Net(1)

def scripted():
    return torch.jit.script(Net().eval())

def quantised():
    engine = max({"x86", "fbgemm", "qnnpack"}.intersection(torch.backends.quantized.supported_engines))
    torch.backends.quantized.engine = engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = Net().eval()
        net.qconfig = torch.ao.quantization.get_default_qconfig(engine)
        torch.ao.quantization.prepare(net, inplace=True)
        net(2 * torch.rand(8, 3, 64, 64) - 1)
        return torch.ao.quantization.convert(net)
"""
QUANTISED = pytest.mark.skipif(
    not {"x86", "fbgemm", "qnnpack"}.intersection(torch.backends.quantized.supported_engines),
    reason="this machine computes nothing quantised",
)
SIZES = [("grey", 28, 1), ("Net", 600, 3)]  # network, side of its input, its channels


@pytest.fixture(autouse=True)
def nets(work: Path) -> None:
    (work / "nets.py").write_text(NET)


def options(side: int) -> tuple[str, ...]:
    return ("--input-size", str(side), "--crop-pct", "1", "--mean", "0.5", "--std", "0.5")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("net", "side", "channels"), SIZES)
def test_boxes_of_units_hold_what_was_drawn(
    run: Run, work: Path, net: str, side: int, channels: int, times: int
) -> None:
    """Spots as large as the field are where the unit looks, in pixels of the file: `times` those of the input."""
    (work / "spots").mkdir()
    drawn = {}
    for number in range(3):
        left, top = 3 + number * (side // 4), side - 9 - number * (side // 5)
        values = np.full((side, side), 100, np.uint8)
        values[top : top + FIELD, left : left + FIELD] = 255 - 20 * number
        name = f"spots/{number}.png"
        picture = Image.fromarray(values.repeat(times, 0).repeat(times, 1))
        (picture if channels == 1 else picture.convert("RGB")).save(work / name)
        drawn[name] = [times * edge for edge in (left, top, left + FIELD, top + FIELD)]
    done = run("units", f"nets.py:{net}", "spots", "-l", "relu", "--top", "3", *options(side), "-o", "out")
    assert done.code == 0, done.err
    bright, _ = (json.loads(line) for line in (work / "out" / "results.jsonl").read_text().splitlines())
    assert [shown["image"] for shown in bright["top"]] == [*drawn], "from the brightest on"
    for shown in bright["top"]:
        assert shown["box"] == drawn[shown["image"]]
        assert shown["size"] == [times * side] * 2
    assert bright["shape"] == [side - FIELD + 1] * 2
    with Image.open(work / "out" / bright["picture"]) as sheet:
        assert sheet.size[0] == 64 * bright["tiles"]["columns"]
        middle = sheet.convert("L").getpixel((32, 32))
    assert middle > 240, "the patch is all spot"


@pytest.mark.parametrize(("net", "side", "channels"), SIZES)
def test_pictures_are_made_of_every_size(run: Run, work: Path, net: str, side: int, channels: int) -> None:
    call = ("maximize", f"nets.py:{net}", "-l", "relu", "--channel", "0", "--steps", "3", *options(side))
    done = run(*call, "--save-raw", "-o", "out")
    assert done.code == 0, done.err
    (record,) = records(work / "out")
    (entry,) = record["explanations"]
    assert entry["method"] == ("regularised" if side < 64 else "fourier")
    assert ("below 64 pixels a spectrum has too few frequencies" in done.err) == (side < 64)
    assert np.load(work / "out" / entry["raw"])["values"].shape == (channels, side, side)
    assert entry["activation"] > entry["grey"]
    with Image.open(work / "out" / entry["plain"]) as plain:
        assert plain.size == (side, side)


@pytest.mark.parametrize(
    ("net", "why"),
    [("scripted", "is TorchScript"), pytest.param("quantised", "carry no gradient", marks=QUANTISED)],
)
def test_without_gradients_nothing_is_maximised(run: Run, work: Path, net: str, why: str) -> None:
    for aim in (("-l", "relu", "--channel", "0"), ("-t", "1")):
        done = run("maximize", f"nets.py:{net}", *aim, *TINY_OPTIONS, "-o", "out")
        assert done.code == 2, done.err
        assert why in done.error
        assert done.hint
        assert done.err.count("error:") == done.err.count("hint:") == 1
        assert not (work / "out" / "results.jsonl").exists()


@QUANTISED
def test_without_gradients_units_are_scanned_and_deconv_is_said_to_be_left_out(run: Run, work: Path) -> None:
    done = run("units", "nets.py:quantised", "pictures", "-l", "relu", *TINY_OPTIONS, "-o", "out")
    assert done.code == 0, done.err
    assert "deconv  left out" in done.err
    first, _ = (json.loads(line) for line in (work / "out" / "results.jsonl").read_text().splitlines())
    assert first["shape"] == [60, 60]
    assert first["fires"] == 1
