"""What the command tells of a checkpoint: in the terminal, and in run.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from shell import TINY_OPTIONS, Run, records

BRIGHT = {"blocks.weight": torch.full((2, 3, 8, 8), 1 / 192), "head.weight": torch.eye(2)}
DARK = {"blocks.weight": -BRIGHT["blocks.weight"], "head.weight": torch.eye(2)}


def test_which_part_was_taken_and_what_was_left_out(run: Run, work: Path) -> None:
    student = {f"net.student.{name}": tensor for name, tensor in BRIGHT.items()}
    teacher = {f"net.teacher.{name}": tensor for name, tensor in DARK.items()}
    torch.save(
        {"epoch": 3, "weights": teacher | student | {"criterion.weight": torch.ones(2)}}, work / "net.pth"
    )
    words = ("gradcam", "net.pth", "--arch", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS)
    done = run(*words, "-o", "bright", "-t", "0")
    assert done.code == 0, done.err
    told = {one["what"]: one for one in json.loads((work / "bright" / "run.json").read_text())["choices"]}
    assert told["checkpoint keys"]["value"] == "net.student.blocks.weight as blocks.weight"
    assert "net.teacher" in told["checkpoint part"]["reason"]
    assert told["checkpoint"]["reason"].endswith("criterion.weight")
    assert told["preprocessing"]["value"] == "as given"
    for choice in told.values():
        assert choice["value"] in done.err
    other = run(*words, "-o", "dark", "-t", "0", "--weights-key", "net.teacher")
    assert other.code == 0, other.err
    assert "net.teacher" in json.loads((work / "dark" / "run.json").read_text())["model"]["source"]
    bright, dark = (records(work / out)[0]["predictions"][0]["logit"] for out in ("bright", "dark"))
    grey, white = (
        (96 / 255 - 0.5) / 0.5,
        1.0,
    )  # of the 64x64 pixels seen, 12x12 are white: relu(x) - relu(-x) = x
    assert bright - dark == pytest.approx(grey + (white - grey) * 144 / 64**2, abs=1e-4)


def test_files_of_others_are_named(run: Run, work: Path) -> None:
    (work / "net.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    for words in (
        ("net.onnx",),
        ("net.onnx", "--arch", "tiny.py:Net"),
        ("tiny.py:Net", "--weights", "net.onnx"),
    ):
        done = run("summary", *words)
        assert done.code == 2
        assert "net.onnx" in done.error
        assert "is an ONNX model" in done.error
        assert "net.py:make" in done.hint
        assert len(done.err.splitlines()) == 2
