"""What commands write of layers that run several times, and of pictures that are cut or moved within a model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shell import records

from cnnexplain.cli.app import run

NETS = """
import torch
from torch import nn
from torch.nn.functional import affine_grid, grid_sample

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 2, 8, 8, bias=False)
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.zero_()
            self.features.weight[0, 0] = self.features.weight[1, 1] = 1 / 64
            self.fc.weight.copy_(torch.eye(2))
    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))

class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Plain()

class Flipped(Around):
    def forward(self, x):
        return (self.net(x) + self.net(x.flip(3))) / 2

class Cut(Around):
    def forward(self, x):
        return self.net(x[:, :, 16:48, :40])

class Warped(Around):
    def forward(self, x):
        theta = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]).expand(len(x), 2, 3)
        return self.net(grid_sample(x, affine_grid(theta, x.shape, align_corners=False), align_corners=False))
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NETS)
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[24:32, :8, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "red.png")
    return tmp_path


def found(folder: Path, command: str, net: str, *options: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The entries of the picture's record, and what was chosen, with the reasons."""
    out = folder / f"{command}-{net}"
    preprocess = ("--input-size", "64", "--crop-pct", "1")
    assert (
        run([command, f"{folder}/net.py:{net}", f"{folder}/red.png", "-o", str(out), *preprocess, *options])
        == 0
    )
    (record,) = records(out)
    pictures = [one["picture"] for one in record["explanations"]]
    assert all((out / one).is_file() for one in pictures)
    assert (out / "index.html").is_file()
    choices = json.loads((out / "run.json").read_text())["choices"]
    return record["explanations"], {one["what"]: f"{one['value']}: {one['reason']}" for one in choices}


def test_every_run_has_an_entry_and_a_picture(written: Path) -> None:
    entries, chosen = found(written, "gradcam", "Flipped", "-t", "0")
    assert [(one["layer"], one["peak"]) for one in entries] == [
        ("net.features", [4, 28]),
        ("net.features #2", [4, 28]),
    ]
    assert [one["run"] for one in entries] == [{"number": 1, "of": 2}, {"number": 2, "of": 2}]
    assert len({one["picture"] for one in entries}) == 2
    assert entries[1]["laid"]["mirrored"] == ["columns"]
    assert chosen["run"].startswith("net.features: it runs 2 times")
    assert "mirrored left to right" in chosen["place"]


def test_a_map_of_a_cut_lies_on_the_cut(written: Path) -> None:
    ((entry,), chosen) = found(written, "gradcam", "Cut", "-t", "0")
    assert (entry["peak"], entry["shape"]) == ([4, 28], [4, 5])
    assert entry["laid"]["box"] == [0, 0.25, 0.625, 0.75]
    assert "cut to" in chosen["place"]


def test_a_map_behind_a_spatial_transformer_has_no_peak(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((entry,), chosen) = found(written, "gradcam", "Warped", "-t", "0")
    assert entry["peak"] is None
    assert entry["laid"]["back"] is False
    assert "grid_sample" in entry["laid"]["why"]
    assert any("Not laid back" in one for one in entry["remarks"])
    assert "grid_sample" in chosen["place"]
    assert "not laid back on the picture" in " ".join(capsys.readouterr().err.split())
    page = re.sub(r"(?s)<script.*?</script>", "", (written / "gradcam-Warped" / "index.html").read_text())
    assert "grid_sample" in page
    stamped = (
        "nothing positive here"  # on the picture, as the whole map is negative; it is no reason for no peak
    )
    assert "nothing positive" not in page.replace(stamped, "")


@pytest.mark.parametrize("command", ["activations", "deconv"])
def test_other_commands_say_which_run_they_show(written: Path, command: str) -> None:
    options = (
        "-l",
        "net.features",
        "--channel",
        "0",
        *(("--rule", "gradient") if command == "deconv" else ()),
    )
    entries, chosen = found(written, command, "Flipped", *options)
    assert all(any("2 times for a picture" in remark for remark in one["remarks"]) for one in entries)
    assert all(one["run"] == {"number": 2, "of": 2} for one in entries)
    assert "2 times for a picture" in chosen["run"]
    at = [one["unit"]["at"] if command == "deconv" else one["channels"]["shown"][0]["at"] for one in entries]
    assert at == [[4, 28]]
