"""`--verdict` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import TINY_OPTIONS, Run, records

NETS = """
import torch
from tiny import Net
from torch import nn

class Five(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc, self.other = nn.Linear(8, 5), nn.Linear(8, 7)

    def forward(self, x):
        pooled = self.features(x).mean((2, 3))
        return {"logits": self.fc(pooled) * 30, "others": self.other(pooled) * 30}

class Mirrored(Five):
    def forward(self, x):
        return super().forward(x)["logits"] + super().forward(x.flip(3))["logits"]

class Detached(Five):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)["logits"]
"""


@pytest.fixture
def nets(work: Path) -> Path:
    (work / "nets.py").write_text(NETS)
    return work


def verdicts(out: Path) -> dict[str, list[dict[str, object]]]:
    return {
        record["image"]: [entry["verdict"] for entry in record["explanations"] if "verdict" in entry]
        for record in records(out)
    }


def test_it_stands_in_the_record_on_the_page_and_on_the_terminal(run: Run, nets: Path) -> None:
    call = ("saliency", "nets.py:Five", "pictures/a.png", *TINY_OPTIONS, "-m", "gradient,guided-backprop")
    done = run(*call, "--verdict", "-t", "top2", "-o", "out")
    assert done.code == 0, done.err
    (of_image,) = verdicts(nets / "out").values()
    assert len(of_image) == 4
    for verdict in of_image:
        assert verdict["believe"] in ("yes", "no", "unclear")
        assert verdict["reasons"]
        assert verdict["deleted_in"] == "features"
    assert done.err.count("Verdict: ") == 4
    page = (nets / "out" / "index.html").read_text()
    assert page.count("Verdict: ") >= 4
    assert "beyond chance" in page
    assert "cells of features are deleted" in done.err
    assert run(*call, "-o", "plain").code == 0
    assert not any(verdicts(nets / "plain").values())


def test_it_is_a_text_on_tensorboard(run: Run, nets: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    call = ("gradcam", "nets.py:Five", "pictures/a.png", *TINY_OPTIONS, "--verdict", "--tensorboard", "board")
    assert run(*call, "-o", "out").code == 0
    ((verdict,),) = verdicts(nets / "out").values()
    log = reading.EventAccumulator(str(nets / "board"), {reading.TENSORS: 0}).Reload()
    (event,) = log.Tensors("gradcam/gradcam at features/verdict")
    (text,) = event.tensor_proto.string_val
    assert str(verdict["reasons"][0])[1:].encode() in text  # type: ignore[index]


def test_another_setting_is_another_run_and_so_is_another_seed(run: Run, nets: Path) -> None:
    call = ("gradcam", "nets.py:Five", "pictures/a.png", *TINY_OPTIONS, "-o", "out")
    assert run(*call, "--verdict").code == 0
    refused = run(*call)
    assert refused.code == 2
    assert "verdict was True, and is now False" in refused.err
    assert run(*call, "--verdict").code == 0
    refused = run(*call, "--verdict", "--seed", "1")
    assert refused.code == 2
    assert "seed was 0, and is now 1" in refused.err


@pytest.mark.parametrize(
    ("net", "options"),
    [
        ("Five", ("--output", "others", "--activation", "sigmoid", "-m", "gradcam,fullgrad")),
        ("Five", ("--precision", "bf16", "-t", "top3")),
        ("Mirrored", ("-m", "gradcam,layercam")),
    ],
)
def test_it_is_the_same_for_any_batch_and_shard(
    run: Run, nets: Path, net: str, options: tuple[str, ...]
) -> None:
    call = ("gradcam", f"nets.py:{net}", "pictures", *TINY_OPTIONS, *options, "--verdict", "--no-pictures")
    call += ("--max-failures", "100%")
    for out, more in {"many": ("--batch-size", "8"), "single": ("--batch-size", "1")}.items():
        assert run(*call, *more, "-o", out).code == 0
    for part in ("1/2", "2/2"):
        assert run(*call, "--batch-size", "1", "--shard", part, "-o", f"part{part[0]}").code == 0
    single, many = verdicts(nets / "single"), verdicts(nets / "many")
    assert any(single.values())
    assert {**verdicts(nets / "part1"), **verdicts(nets / "part2")} == single
    if "bf16" not in options:  # which rounds otherwise in another company, as it does maps
        assert [[one["believe"] for one in each] for each in many.values()] == [
            [one["believe"] for one in each] for each in single.values()
        ]


def test_without_gradients_occlusion_has_one_too(run: Run, nets: Path) -> None:
    call = (
        "occlusion",
        "nets.py:Detached",
        "pictures/a.png",
        *TINY_OPTIONS,
        "--window",
        "16",
        "--stride",
        "16",
    )
    done = run(*call, "--verdict", "--json", "-m", "sliding,rise", "--masks", "20")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    sliding, winners, rise = record["explanations"]
    assert sliding["verdict"]["deleted_in"] == rise["verdict"]["deleted_in"] == "input"
    assert "verdict" not in winners
