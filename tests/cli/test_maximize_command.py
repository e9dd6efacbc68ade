"""`cnnexplain maximize MODEL -o OUT`, as a user runs it: records, pictures, the page, a log, going on after a stop."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from shell import TINY_OPTIONS, Run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnexplain.commands.maximize import Maximize
from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import InterruptedRunError
from cnnexplain.runner.options import RunOptions
from cnnexplain.runner.request import Request
from cnnexplain.runner.run import run as carry_out

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text())
NET = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
"""


def test_a_record_a_picture_and_a_card_for_each_target(run: Run, work: Path) -> None:
    words = ("maximize", "tiny.py:Net", "-l", "blocks", "--channel", "all", "-t", "1", "--steps", "6")
    done = run(*words, *TINY_OPTIONS, "-o", "out", "--json", "--save-raw", "--tensorboard", "log")
    assert done.code == 0, done.err
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["subject"] for record in records] == [
        "blocks channel 0",
        "blocks channel 1",
        "1 class 1",
    ] or [record["subject"] for record in records] == ["blocks channel 0", "blocks channel 1", "class 1"]
    for record in records:
        jsonschema.Draft202012Validator(SCHEMA).validate(record)
        (entry,) = record["explanations"]
        assert (entry["kind"], entry["method"], entry["steps"]) == ("synthesis", "fourier", 6)
        assert entry["activation"] >= entry["mean"]
        with Image.open(work / "out" / entry["picture"]) as picture:
            assert min(picture.size) > 200
        assert np.load(work / "out" / entry["raw"])["values"].shape == (3, 64, 64)
    assert done.out == (work / "out" / "results.jsonl").read_text()
    page = (work / "out" / "index.html").read_text()
    assert re.search(r"pictures? shown", page)
    assert page.count("A synthesised picture without a real one to compare") == 3
    assert "blocks channel 1" in page
    log = EventAccumulator(str(work / "log"), size_guidance={"images": 0}).Reload()
    assert [one.step for one in log.Scalars("maximize/activation")] == [1, 2, 3]
    assert [one.step for one in log.Images("maximize/blocks")] == [1, 2]
    again = run(*words, *TINY_OPTIONS, "-o", "out", "--save-raw", "--tensorboard", "log")
    assert "3 of 3 targets were done before" in again.err
    assert (work / "out" / "results.jsonl").read_text() == done.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-l", "blocks", "--channel", "2"], "--channel 2 is not in blocks, which has 2"),
        (["-l", "blocks", "--steps", "0"], "--steps 0 is too small"),
        (["-l", "blocks", "--size", "4"], "--size 4 is none that"),
        ([], "there is nothing to maximise"),
        (["-l", "blokcs", "--channel", "1"], "blokcs"),
    ],
)
def test_bad_input_is_two_lines(run: Run, words: list[str], problem: str) -> None:
    done = run("maximize", "tiny.py:Net", *words, *TINY_OPTIONS, "-o", "out")
    assert done.code == 2
    assert problem in done.error
    assert done.hint


class Stopping:
    """An observer who stops a run after some records."""

    def __init__(self, after: int | None) -> None:
        self.after, self.seen = after, 0

    def recorded(self, _record: Any, *, again: bool = False, listed: bool = True) -> None:
        assert listed
        self.seen += not again
        if self.seen == self.after:
            raise KeyboardInterrupt

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


def test_a_stopped_run_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(NET)

    def go(out: str, after: int | None = None) -> Stopping:
        observer = Stopping(after)
        command = Maximize(layer=("0",), channel=("all",), steps=5)
        where, size = RunOptions(tmp_path / out), ModelOptions(input_size="64")
        carry_out(Request("maximize", command, f"{tmp_path / 'own.py'}:net", run=where, model=size), observer)
        return observer

    go("whole")
    with pytest.raises(InterruptedRunError, match="interrupted after 2 of 6 targets"):
        go("parts", after=2)
    (tmp_path / "parts" / "maximize.0-channel-0.png").unlink()
    assert go("parts").seen == 5, "four are missing, and one has lost its picture"
    for path in (tmp_path / "whole").iterdir():
        if path.suffix in (".png", ".jsonl"):
            assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes(), path.name
