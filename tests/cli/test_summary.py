"""`cnnexplain summary`: a table for people, a record for programs, a page for both, and words for what fails."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from PIL import Image
from rich.cells import cell_len
from shell import TINY_OPTIONS, Finished, Run
from torch import nn

from cnnexplain.api import load
from cnnexplain.cli.app import run as application
from cnnexplain.cli.table import drawn

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "record.schema.json").read_text("utf-8"))
HOSTILE = """
import torch
from torch import nn

class Hostile(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("[red]bold[/red]", nn.Conv2d(3, 4, 3))
        self.add_module("\\x1b[31m\\nnext\\u202eline", nn.Conv2d(4, 4, 1))
        self.add_module("<b>&amp;" + "long_" * 40, nn.ReLU())
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        for layer in list(self.children())[:-1]:
            x = layer(x)
        return self.fc(x.mean((2, 3)))

class Asking(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def forward(self, x, question):
        return self.stem(x) * question
"""


@pytest.fixture
def here(work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The same as `run` in this process, which has loaded torch already."""
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))

    def carry_out(*words: object) -> Finished:
        before = signal.getsignal(signal.SIGTERM)
        try:
            code = application(list(map(str, words)))
        finally:
            signal.signal(signal.SIGTERM, before)
        return Finished(code, *capfd.readouterr())

    return carry_out


@pytest.fixture
def hostile(work: Path) -> str:
    (work / "hostile.py").write_text(HOSTILE)
    return "hostile.py:Hostile"


def test_the_table_is_the_data_and_says_what_is_inside(run: Run) -> None:
    done = run("summary", "tiny.py:Net", *TINY_OPTIONS)
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[2][:9] == [
        "layer",
        "kind",
        "output",
        "kernel",
        "stride",
        "pad",
        "parameters",
        "mult-adds",
        "share",
    ]
    # 64 places of 2 x 3 x 8 x 8 weights; two classes from two channels.
    assert lines[4][:9] == ["blocks", "Conv2d", "2×8×8", "8×8", "8", "0", "384", "24.6", "k"]
    assert lines[5] == "relu ReLU 2×8×8 – – – – 8 8 activations, deconv, gradcam".split()
    assert lines[6][:6] == ["head", "Linear", "2", "4", "4", "<0.1%"]
    assert "388, all trainable, 1.55 kB" in done.out
    assert "24,580 (24.6 k) for one picture of 3×64×64" in done.out
    assert "tiny.py:Net" in done.out
    assert "done" in done.err
    assert "\x1b" not in done.out + done.err
    assert not any(line.endswith(" ") for line in done.out.splitlines())


def test_json_is_a_record_and_nothing_else(here: Run) -> None:
    done = here("summary", "tiny.py:Net", *TINY_OPTIONS, "--json")
    (record,) = map(json.loads, done.out.splitlines())
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert (record["command"], record["image"], record["explanations"]) == ("summary", None, [])
    assert "overview" not in record
    found = record["summary"]
    assert found["totals"] == {
        "parameters": 388, "trainable": 388, "parameter_bytes": 1552, "multiply_adds": 24_580, "activation_bytes": 528,
    }  # fmt: skip
    assert [(row["name"], row["receptive_field"], row["total_stride"]) for row in found["rows"]] == [
        ("", None, None), ("blocks", [8, 8], [8, 8]), ("relu", [8, 8], [8, 8]), ("head", None, None),
    ]  # fmt: skip
    assert found["default_layers"] == {
        "filters": ["blocks"], "activations": ["relu"], "deconv": ["relu"], "gradcam": ["relu"],
    }  # fmt: skip


def test_a_folder_holds_page_record_and_picture_and_stdout_its_path(run: Run, work: Path) -> None:
    words = ("summary", "tiny.py:Net", *TINY_OPTIONS, "-o", "out")
    done = run(*words)
    assert done.code == 0, done.err
    assert done.out == "out/index.html\n"
    assert "blocks" in done.err  # the table, beside the other messages
    (record,) = map(json.loads, (work / "out" / "results.jsonl").read_text().splitlines())
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert record["overview"] == "summary.stages.png"
    assert record["drawings"] == ["summary.png", "summary.svg"]
    for name in ("summary.png", "summary.stages.png"):
        with Image.open(work / "out" / name) as picture:
            assert picture.width > 400
    drawing = (work / "out" / "summary.svg").read_text("utf-8")
    assert ElementTree.fromstring(drawing).tag.endswith("svg")  # noqa: S314 - our own
    assert ">Conv2d 8×8 /8</text>" in drawing
    page = (work / "out" / "index.html").read_text()
    assert "24,580" in page
    assert "summary.png" in page
    assert json.loads((work / "out" / "run.json").read_text())["status"] == "finished"
    assert "table" not in json.loads((work / "out" / "run.json").read_text())["options"]


def test_a_folder_of_another_depth_is_refused_and_quiet_is_quiet(here: Run) -> None:
    words = ("summary", "tiny.py:Net", *TINY_OPTIONS, "-o", "out")
    assert here(*words).code == 0
    assert here(*words).code == 0
    assert "depth was None, and is now 1" in here(*words, "--depth", "1").error
    quiet = here(*words, "-q", "--overwrite")
    assert (quiet.out, quiet.err) == ("out/index.html\n", "")


def test_depth_chooses_how_many_levels_are_shown(here: Run) -> None:
    (short, deep) = (here("summary", "bundled:efficientnet_lite0", "--depth", depth) for depth in (1, 5))
    names = [line.split()[0] for line in short.out.splitlines()[4:] if line][:10]
    # The default layers of other commands are shown however deep they are.
    assert names == [
        "conv_stem", "bn1", "blocks", "blocks.1", "blocks.2", "blocks.4", "conv_head", "bn2", "global_pool",
        "classifier",
    ]  # fmt: skip
    assert "10 of 272 layers and blocks; --depth 5 shows all" in short.out
    assert "all 272 layers and blocks" in deep.out
    assert "4,652,008, all trainable" in short.out
    assert "385,187,552 (385 M)" in short.out
    assert "bicubic, shorter side to 256" in short.out
    assert re.search(r"blocks\.0\.0\.conv_dw +Conv2d +32×112×112 +3×3 +1 +1 +32 +288 ", deep.out)
    assert "smallest value is 1" in here("summary", "tiny.py:Net", "--depth", "0").hint


def test_a_terminal_of_any_width_is_kept_to() -> None:
    table = load("timm:resnet18", input_size="64", pretrained=False).summary()
    counts = []
    for columns in (40, 60, 80, 100, 130, 170, 200):
        lines = drawn(table, columns, style=False, encoding="utf-8")
        assert max(map(cell_len, lines)) <= columns
        if columns == 40:
            continue  # names are broken there
        layers = lines[4 : lines.index("", 4)]
        assert any(line.startswith("no room for ") for line in lines) == (columns < 170)
        assert [line.split()[0] for line in layers] == [row.name for row in table.shown()]
        for row, line in zip(table.shown(), layers, strict=True):
            assert "…" not in line
            assert f"{row.parameters:,}" in line or not row.parameters
            assert "×".join(map(str, row.outputs[0][1:])) in line
        counts.append(len(re.findall("kind|sees|every|memory|kernel|stride|default of|pad|share", lines[2])))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 9)
    namespace: dict[str, Any] = {}
    exec(HOSTILE, namespace)  # noqa: S102 - our own text
    hostile = load(namespace["Hostile"](), input_size="32").summary()
    alone = load(nn.Conv2d(3, 4, 3), input_size="32").summary()
    assert "112, all trainable" in "".join(drawn(alone, 80, style=False, encoding="utf-8"))
    for columns in (40, 80, 200):
        lines = drawn(hostile, columns, style=False, encoding="utf-8")
        assert max(map(cell_len, lines)) <= columns
        assert "<b>&amp;" in "".join(lines)


def test_colour_is_for_terminals(on_terminal: Run) -> None:
    words = ("summary", "tiny.py:Net", *TINY_OPTIONS)
    lines = on_terminal(*words, terminal="stdout", COLUMNS="70").out.splitlines()
    assert any("\x1b[" in line for line in lines)
    assert max(cell_len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in lines) <= 70
    assert "\x1b" not in on_terminal(*words, terminal="stdout", COLUMNS="70", NO_COLOR="1").out


def test_names_of_layers_do_nothing_to_terminal_page_or_json(here: Run, work: Path, hostile: str) -> None:
    done = here("summary", hostile, "--input-size", "32", "-o", "out")
    assert done.code == 0, done.err
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err
    assert "[red]bold[/red]" in done.err
    assert r"\x1b[31m\nnext\u202eline" in done.err
    page = (work / "out" / "index.html").read_text()
    assert "<b>&amp;long" not in page
    assert "&lt;b&gt;&amp;amp;long_" in page
    assert "\u202e" not in page
    drawing = (work / "out" / "summary.svg").read_text("utf-8")
    ElementTree.fromstring(drawing)  # noqa: S314 - our own
    assert "\u202e" not in drawing
    assert "\x1b" not in drawing
    assert "&lt;b&gt;&amp;amp;long_" in drawing
    (record,) = map(json.loads, (work / "out" / "results.jsonl").read_text().splitlines())
    assert [row["name"] for row in record["summary"]["rows"]][2] == "\x1b[31m\nnext\u202eline"


def test_a_stdout_without_blocks_gets_plain_letters() -> None:
    table = load("timm:resnet18", input_size="64", pretrained=False).summary()
    text = "".join(drawn(table, None, style=False, encoding="ascii"))
    assert text.isascii()
    assert "64x32x32" in text
    assert "##########" in text


def test_a_model_that_asks_for_more_than_a_picture_is_listed(here: Run, hostile: str) -> None:
    done = here("summary", hostile.replace("Hostile", "Asking"))
    assert done.code == 2, done.err  # it stopped halfway
    assert done.hint.startswith("hint: its forward takes more than a picture ('question')")
    assert "stem.0  Conv2d" in done.out
    assert re.search(
        r"not run +Asking failed on an input of .*required positional argument: 'question'", done.out
    )
    done = here("summary", hostile.replace("Hostile", "Asking"), "--json")
    (record,) = map(json.loads, done.out.splitlines())
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert record["summary"]["totals"]["multiply_adds"] is None


def test_weights_that_are_not_numbers_are_no_obstacle_to_counting_them(here: Run) -> None:
    done = here("summary", "tiny.py:nan", *TINY_OPTIONS)
    assert done.code == 0, done.err
    assert "388, all trainable" in done.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nonsuch_net"], "nonsuch_net"),
        (["tiny.py:number"], "int"),
        (["tiny.py:Net", "--depth", "two"], "--depth"),
        (["tiny.py:Net", "--input-size", "0"], "0"),
        (["tiny.py:Net", "picture.png"], "picture.png"),
    ],
)
def test_errors_are_two_lines(here: Run, words: list[str], problem: str) -> None:
    done = here("summary", *words)
    assert (done.code, done.out) == (2, "")
    assert problem in done.error
    assert done.hint
    assert "Traceback" not in done.err
