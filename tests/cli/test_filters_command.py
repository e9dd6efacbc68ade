"""`cnnexplain filters MODEL -o OUT`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
from PIL import Image
from shell import Run

import cnnexplain

SCHEMA = Path(__file__).parents[2] / "docs" / "record.schema.json"
HOSTILE = """
import torch
from torch import nn

def net():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    net.add_module("<script>alert(1)</script>", nn.Conv2d(4, 4, 3))
    net.add_module("/up\\n\\x1b[31m", nn.Conv2d(4, 4, 3))
    net.add_module("CON", nn.Conv2d(4, 4, 3))
    net.add_module("con", nn.Conv2d(4, 4, 3))
    net.add_module("x" * 300, nn.Conv2d(4, 4, 3))
    return net

def raises():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.fc = nn.Linear(9, 2)

        def forward(self, *anything):
            raise RuntimeError("not today")
    return Net()
"""


def record_of(text: str) -> dict:
    record = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(record)
    return record


def test_the_bundled_models_first_layer(run: Run, work: Path) -> None:
    done = run("filters", "bundled:efficientnet_lite0", "-o", "out", "--save-raw", "--json")
    assert done.code == 0, done.err
    record = record_of(done.out)
    assert done.out == (work / "out" / "results.jsonl").read_text()
    assert "conv_stem" in done.err
    assert "4 dead" in done.err
    (found,) = record["explanations"]
    assert (found["method"], found["layer"], found["shape"]) == ("filters", "conv_stem", [32, 3, 3, 3])
    assert found["picture"] == "filters.conv_stem.png"
    with Image.open(work / "out" / found["picture"]) as picture:
        assert min(picture.size) > 500
    facts = found["filters"]
    assert facts["dead"]["which"] == [11, 16, 28, 31]
    assert facts["smoothness"]["value"] > 8 * facts["smoothness"]["spread"]
    assert sum(facts["histogram"]["counts"]) == 32 * 27
    raw = np.load(work / "out" / found["raw"])
    module = cnnexplain.load("bundled:efficientnet_lite0").model.module
    assert np.array_equal(raw["values"], module.conv_stem.weight.detach().numpy())
    assert raw["order"].tolist() == list(range(32))
    page = (work / "out" / "index.html").read_text()
    assert "smoother than noise" in page
    assert "4 of 32" in page


def test_a_layer_that_is_not_there_is_two_lines(run: Run) -> None:
    done = run("filters", "tiny.py:Net", "-o", "out", "-l", "blokcs")
    assert done.code == 2
    assert done.error == "error: there is no layer called 'blokcs'"
    assert done.hint == "hint: did you mean blocks?"
    assert len([line for line in done.err.splitlines() if line.startswith(("error", "hint", "Trace"))]) == 2


def test_a_layer_without_filters_names_those_that_have(run: Run) -> None:
    done = run("filters", "tiny.py:Net", "-o", "out", "-l", "relu")
    assert done.code == 2
    assert "no filters: it is a ReLU" in done.error
    assert "blocks and head" in done.hint


def test_broken_weights_are_shown_where_pictures_are_refused(run: Run, work: Path) -> None:
    done = run("filters", "tiny.py:nan", "-o", "out", "-l", "all", "--json", "--input-size", "64")
    assert done.code == 0, done.err
    blocks, head = record_of(done.out)["explanations"]
    assert blocks["filters"]["not_finite"] == {"nan": 1, "infinite": 0, "which": [1]}
    assert blocks["remarks"][0] == "NaN in 1 of 2 filters (1)."
    assert head["filters"]["not_finite"]["which"] == []
    refused = run("gradcam", "tiny.py:nan", "pictures", "-o", "other")
    assert "NaN" in refused.error


def test_layers_of_hostile_names_stay_in_their_folder(run: Run, work: Path) -> None:
    (work / "hostile.py").write_text(HOSTILE)
    done = run("filters", "hostile.py:net", "-o", "out/deep", "-l", "all", "--json", "--input-size", "32")
    assert done.code == 0, done.err
    assert "\x1b[31m" not in done.err
    found = record_of(done.out)["explanations"]
    pictures = [one["picture"] for one in found]
    assert len({picture.casefold() for picture in pictures}) == len(found) == 7
    for picture in pictures:
        assert "/" not in picture
        assert (work / "out" / "deep" / picture).is_file()
    assert sorted(one.name for one in (work / "out").iterdir()) == ["deep"]
    assert "<script>alert(1)" not in (work / "out" / "deep" / "index.html").read_text()


def test_a_model_that_does_not_run_still_has_filters(run: Run, work: Path) -> None:
    (work / "hostile.py").write_text(HOSTILE)
    done = run("filters", "hostile.py:raises", "-o", "out", "-l", "all", "--json")
    assert done.code == 0, done.err
    assert [one["layer"] for one in record_of(done.out)["explanations"]] == ["conv", "fc"]
