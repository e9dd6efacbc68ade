"""Deep pictures and pictures of bands on the command line: what was decided is told, recorded, and part of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import Run, records
from tiffs import tiff

BANDS = """
import torch
from torch import nn

class Bands(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(5, 5, 8, 8, bias=False, groups=5)
        self.fc = nn.Linear(5, 5, bias=False)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 64)
            self.fc.weight.copy_(torch.eye(5))

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))
"""


@pytest.fixture
def deep(work: Path) -> Path:
    """A folder with a picture of 12 bits in 16, and one of wide integers with the same values."""
    values = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
    (work / "deep").mkdir()
    (work / "deep" / "camera.tif").write_bytes(tiff(values, ">"))
    (work / "deep" / "wide.tif").write_bytes(tiff(values.astype(np.int32)))
    return work / "deep"


def test_a_range_is_told_recorded_and_part_of_the_run(tiny: Run, work: Path, deep: Path) -> None:
    done = tiny("deep", "-o", "out", "--range", "0,4095", "--save-raw")
    assert done.code == 0, done.err
    assert "range  0 to 4095 (as given: black to white" in done.err
    assert "note  The values 0 to 4095 are black to white, as given." in done.err
    camera, wide = records(work / "out")
    assert camera["notes"] == wide["notes"]
    seen = [np.load(work / "out" / one["explanations"][0]["raw"])["picture"] for one in (camera, wide)]
    assert (seen[0] == seen[1]).all()
    assert (seen[0].min(), seen[0].max()) == (0, 255)
    facts = json.loads((work / "out" / "run.json").read_text())
    assert facts["model"]["preprocess"]["range"] == [0, 4095]
    assert any(one["what"] == "range" for one in facts["choices"])
    assert "The values 0 to 4095 are black to white" in (work / "out" / "index.html").read_text()
    other = tiny("deep", "-o", "out", "--range", "0,5000")
    assert other.code == 2
    assert "holds another run" in other.error
    assert "preprocessing" in other.err
    again = tiny("deep", "-o", "out", "--range=0,4095", "--save-raw")
    assert "2 of 2 images were done before" in again.err


def test_what_nobody_can_know_is_one_pictures_failure(tiny: Run, work: Path, deep: Path) -> None:
    done = tiny("deep", "-o", "out")
    assert done.code == 3
    camera, wide = records(work / "out")
    assert camera["status"] == "ok"
    assert "0 to 65535" in camera["notes"][0]
    assert wide["error"]["message"].startswith("the picture's values are 32-bit integers from 0 to 4095")
    assert wide["error"]["hint"].endswith("--range 0,4095")
    typed = wide["error"]["hint"].split("for example ")[1].split()
    assert tiny("deep", "-o", "other", *typed).code == 0


@pytest.mark.parametrize("text", ["5", "a,b", "4095,0", "1,1", "0,inf", "0,1,2", "", "nan,1"])
def test_a_range_that_is_none_is_refused_before_anything(run: Run, text: str) -> None:
    done = run("gradcam", "gone.py:Net", "pictures", "--range", text)
    assert done.code == 2
    assert "--range" in done.error
    assert done.hint.endswith("--range 0,4095")


def test_a_range_may_begin_below_zero(tiny: Run, deep: Path) -> None:
    assert tiny("deep", "-o", "out", "--range", "-100,4095").code == 0


def test_pictures_of_bands_beside_plain_ones(run: Run, work: Path) -> None:
    (work / "bands.py").write_text(BANDS)
    values = np.zeros((64, 64, 5), np.uint16)
    values[8:16, 40:48, 3] = 65535
    (work / "scenes").mkdir()
    (work / "scenes" / "a.tif").write_bytes(tiff(values, ">", planar=True))
    (work / "scenes" / "b.tif").write_bytes(tiff(values[..., :4], photometric=1))
    Image.new("RGB", (64, 64), "white").save(work / "scenes" / "c.png")
    call = ("gradcam", "bands.py:Bands", "scenes", "--input-size", "64", "--crop-pct", "1", "-t", "3")
    done = run(*call, "-o", "out", "--max-failures", "1")
    assert done.code == 0, done.err
    assert "channels  5 (pictures with as many bands" in done.err
    good, bad, plain = records(work / "out")
    assert good["explanations"][0]["peak"] == [44, 12]
    assert good["explanations"][0]["target"]["logit"] == pytest.approx(1 / 64, rel=1e-4)
    assert "The file's 5 bands are the model's channels" in good["notes"][1]
    assert bad["error"]["message"] == "the picture has 4 bands, and the model takes 5 channels"
    assert "red, green and blue are fed in turn" in plain["notes"][0]
