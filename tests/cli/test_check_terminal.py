"""Verdicts on the terminal: readable at any width and without colours, quiet where that is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from shell import TINY_OPTIONS, Run, environment

from cnnexplain.cli.console import Console, ConsoleOptions
from cnnexplain.cli.verdicts import drawn
from cnnexplain.core.verdict import Verdict
from cnnexplain.runner.request import Outcome

HOSTILE = "[red]x[/red] \x1b[31m\n\u202enext " + "endless_name_" * 20
VERDICTS = (
    Verdict("finite", "t", "pass", "error", "all 7 tensors are finite"),
    Verdict("untrained-layers", "t", "fail", "error", "fc follows its initialisation", "load its weights"),
    Verdict("saturated", "t", "warn", "warn", HOSTILE, HOSTILE),
    Verdict("baseline", "t", "skipped", "error", "needs a stored run", "is not shown"),
)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200, None])
def test_a_terminal_of_any_width_is_kept_to(width: int | None) -> None:
    lines = drawn(VERDICTS, width, style=False, encoding="utf-8")
    assert width is None or max(map(cell_len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for words in (
        "passed finite", "all 7 tensors are finite", "failed untrained-layers", "→ load its weights",
        "warned saturated",
        "[red]x[/red]", "skipped baseline", "needs a stored run", "4 checks: 1 failed, 1 warned, 1 skipped, 1 passed",
    ):  # fmt: skip
        assert words in text, words
    assert "is not shown" not in text
    assert not any(sign in text for sign in "\x1b\u202e")
    assert (lines[0] == "passed   finite            all 7 tensors are finite") == (
        width is None or width > 60
    )


def test_colours_are_not_all_there_is() -> None:
    coloured = "\n".join(drawn(VERDICTS, 80, style=True, encoding="utf-8"))
    assert "\x1b[1;31mfailed" in coloured
    assert "\x1b[32mpassed" in coloured
    plain = drawn(VERDICTS, 80, style=False, encoding="ascii")
    assert "\n".join(plain).isascii()
    assert any("-> load its weights" in line for line in plain)


@pytest.mark.parametrize("report", [None, Path("out/index.html")])
@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("json", [False, True])
def test_the_table_is_the_data_where_nothing_else_is(
    capfd: pytest.CaptureFixture[str], report: Path | None, quiet: bool, json: bool
) -> None:
    Console(ConsoleOptions(json=json, quiet=quiet)).finished(Outcome(report, 1.0, 2, verdicts=VERDICTS))
    out, err = capfd.readouterr()
    table, other = (out, err) if report is None and not json else (err, out)
    assert "untrained-layers" in table
    assert "untrained-layers" not in other
    for words in ("finite            all", "saturated", "needs a stored run", "1 passed"):
        assert (words in table) == (not quiet), words
    assert ("skipped  1 of 4 checks: baseline\n" in err) == quiet
    assert out.endswith("out/index.html\n") == (report is not None and not json)


def test_quiet_says_nothing_where_nothing_failed(capfd: pytest.CaptureFixture[str]) -> None:
    Console(ConsoleOptions(quiet=True)).finished(Outcome(None, 1.0, verdicts=VERDICTS[:1]))
    assert capfd.readouterr() == ("", "")


def test_who_watches_sees_which_check_is_carried_out(on_terminal: Run, run: Run) -> None:
    words = ("check", "tiny.py:nan", *TINY_OPTIONS, "--only", "finite")
    watched = on_terminal(*words, terminal="stderr")
    assert watched.code == 1
    assert "checking finite (1 of 1)" in watched.err
    assert "\x1b[1;31merror:" in watched.err
    out = watched.out
    assert out.startswith("failed  finite  ")  # a pipe: no colours, no line that comes and goes
    assert "\x1b" not in out
    assert "checking" not in out
    assert "checking" not in on_terminal(*words, "-q", terminal="stderr").err
    done = run(*words)
    assert "checking" not in done.err
    assert "\x1b" not in done.err


def test_all_checks_are_listed_without_torch() -> None:
    script = (
        "import sys; from cnnexplain.cli.app import run; code = run(['check', '--list']); "
        "sys.exit(code or 9 * bool({'torch', 'timm', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        lines[0]
        == "finite  error  All weights, outputs and scores are finite, and half precision answers as float32 does"
    )
    assert lines[1].startswith("    One NaN in a weight")
