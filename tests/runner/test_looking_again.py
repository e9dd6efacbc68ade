"""Looking into a model a second time, into the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnexplain.commands.filters import Filters
from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import InterruptedRunError
from cnnexplain.runner.options import RunOptions
from cnnexplain.runner.request import Request
from cnnexplain.runner.run import run

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


class Watcher:
    """An observer who may stop the run at its second finding."""

    def __init__(self, *, stops: bool) -> None:
        self.stops, self.seen = stops, 0

    def finding(self, _finding: Any) -> None:
        self.seen += 1
        if self.stops and self.seen == 2:
            raise KeyboardInterrupt

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


def look(folder: Path, *, stops: bool = False) -> None:
    request = Request(
        "filters",
        Filters(layer=("all",)),
        f"{folder / 'net.py'}:net",
        run=RunOptions(folder / "out"),
        model=ModelOptions(input_size="16"),
    )
    run(request, Watcher(stops=stops))


def outcome(folder: Path) -> tuple[str, list[Any]]:
    lines = (folder / "out" / "results.jsonl").read_text().splitlines()
    return json.loads((folder / "out" / "run.json").read_text())["status"], [json.loads(one) for one in lines]


def test_a_run_that_is_stopped_says_so_and_can_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    with pytest.raises(InterruptedRunError):
        look(tmp_path, stops=True)
    assert outcome(tmp_path) == ("interrupted", [])
    look(tmp_path)
    status, records = outcome(tmp_path)
    assert status == "finished"
    assert [one["layer"] for one in records[0]["explanations"]] == ["0", "2"]


def test_a_second_run_that_is_stopped_leaves_the_first_ones_record(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    look(tmp_path)
    _, before = outcome(tmp_path)
    with pytest.raises(InterruptedRunError):
        look(tmp_path, stops=True)
    assert outcome(tmp_path) == ("interrupted", before)
    assert (tmp_path / "out" / "filters.2.png").exists()
