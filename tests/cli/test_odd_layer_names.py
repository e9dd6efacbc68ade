"""Layers whose names no file and no terminal can hold: half of a letter, as strangers' code can call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shell import TINY_OPTIONS, Run, files, records

from cnnexplain.runner.output.names import part_of

ODD = """
import tiny
from torch import nn

class Net(tiny.Net):
    def __init__(self):
        super().__init__()
        self.add_module("a\\ud800", self.blocks)
        self.add_module("b\\udcff", self.head)
        del self.blocks, self.head

    def forward(self, x):
        return self._modules["b\\udcff"](self._modules["a\\ud800"](x).relu().mean((2, 3)))
"""


@pytest.mark.parametrize("command", ["gradcam", "deconv", "activations", "filters", "summary"])
def test_a_layer_named_by_half_a_letter(run: Run, work: Path, command: str) -> None:
    (work / "odd.py").write_text(ODD)
    pictures = () if command in ("filters", "summary") else ("pictures",)
    raw = () if command == "summary" else ("--save-raw",)
    done = run(command, "odd.py:Net", *pictures, "-o", "out", *raw, *TINY_OPTIONS)
    assert done.code == 0, done.err
    assert "a\\ud800" in done.err + done.out
    found = records(work / "out")
    assert {record["status"] for record in found} == {"ok"}
    assert "a\\ud800" in (work / "out" / "results.jsonl").read_text("utf-8").replace("\\\\", "\\")
    assert (work / "out" / "index.html").read_text("utf-8")
    for name in files(work / "out"):
        name.encode()
        if name.endswith(".npz"):
            np.load(work / "out" / name)


def test_names_that_differ_by_half_a_letter_have_files_of_their_own() -> None:
    taken: set[str] = set()
    parts = [part_of(name, taken) for name in ("a\ud800", "a\ud801", "a\udcff", "a\udcfe", "a_")]
    assert len(set(parts)) == 5
    assert (
        parts == [part_of(name, set()) for name in ("a\ud800", "a\ud801", "a\udcff", "a\udcfe")] + parts[4:]
    )
