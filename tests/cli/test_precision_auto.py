"""`--precision auto` on the command line: told, part of the run, refused where nothing can be measured."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from shell import TINY_OPTIONS, Run


def recorded(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "run.json").read_text()))


def test_the_choice_is_told_recorded_and_taken_over(tiny: Run, tmp_path: Path) -> None:
    done = tiny("pictures", "-o", "out", "--precision", "auto")
    assert done.code == 0, done.err
    run = recorded(tmp_path / "out")
    (choice,) = [choice for choice in run["choices"] if choice["what"] == "precision"]
    assert f"precision  {choice['value']} ({choice['reason']})" in done.err
    assert run["identity"]["precision"] == run["model"]["precision"] == choice["value"]
    assert escape(choice["reason"]) in (tmp_path / "out" / "index.html").read_text()
    # Whatever would be measured now, a run of the other precision is continued in its own.
    assert tiny("pictures", "-o", "half", "--precision", "bf16").code == 0
    again = tiny("pictures", "-o", "half", "--precision", "auto")
    assert again.code == 0, again.err
    assert "precision  bf16 (as in the run that is continued)" in again.err
    assert "3 of 3 images" in again.err
    assert recorded(tmp_path / "half")["identity"]["precision"] == "bf16"


def test_processes_are_given_the_choice(tiny: Run, tmp_path: Path) -> None:
    words = ("pictures", "-o", "out", "--precision", "auto", "--processes", "2", "--batch-size", "1")
    done = tiny(*words)
    assert done.code == 0, done.err
    assert recorded(tmp_path / "out")["images"]["ok"] == 3


def test_what_cannot_measure_asks_for_a_precision(tiny: Run, run: Run) -> None:
    for done in (
        tiny("pictures", "-o", "out", "--precision", "auto", "--shard", "1/2"),
        run("check", "tiny.py:Net", "pictures", "--precision", "auto", *TINY_OPTIONS),
        run("summary", "tiny.py:Net", "--precision", "auto", *TINY_OPTIONS),
        run("filters", "tiny.py:Net", "--precision", "auto", "-o", "f", *TINY_OPTIONS),
    ):
        assert done.code == 2, done.err
        problem, hint = done.err.strip().splitlines()[-2:]
        assert "--precision auto" in problem
        assert "fp32" in hint
