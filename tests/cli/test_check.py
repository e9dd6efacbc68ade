"""`check` from the shell: its exit codes, what it writes, and that all of it says the same.

A process takes seconds to import torch, so most of these run the command line in this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from shell import TINY_OPTIONS, Finished, Run, environment

from cnnexplain.cli import app

Junit = dict[str, str]


@pytest.fixture
def here(work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in the folder `work`, in this process."""
    monkeypatch.chdir(work)
    for name in [one for one in os.environ if one.startswith(("CNNEXPLAIN_", "GITHUB_"))]:
        monkeypatch.delenv(name)
    before = signal.getsignal(signal.SIGTERM)

    def carry_out(*words: str, env: Mapping[str, str] | None = None) -> Finished:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        try:
            code = app.run(words)
        finally:
            signal.signal(signal.SIGTERM, before)
        return Finished(code, *capfd.readouterr())

    return carry_out


def junit(file: Path) -> Junit:
    """What became of every check, by its id."""
    suite = ElementTree.parse(file).getroot()[0]  # noqa: S314 - our own
    kinds = {"failure": "fail", "skipped": "skipped", "system-out": "pass"}
    return {case.get("name") or "": kinds[case[0].tag] for case in suite}


def agreed(done: Finished, file: Path) -> Junit:
    """The verdicts of the JUnit file, after seeing that record, file and exit code say the same."""
    found = junit(file)
    record = json.loads(done.out)
    told = {one["id"]: one["status"].replace("warn", "pass") for one in record["checks"]}
    assert found == told
    assert done.code == int("fail" in found.values())
    root = ElementTree.parse(file).getroot()  # noqa: S314 - our own
    assert int(root.get("failures") or -1) == list(found.values()).count("fail")
    return found


def test_a_baseline_from_the_first_run_to_a_failing_one(here: Run, work: Path) -> None:
    call = (
        "check",
        "tiny.py:Net",
        "pictures",
        *TINY_OPTIONS,
        "--only",
        "finite,baseline",
        "--junit",
        "ci/j.xml",
    )
    refused = here(*call, "--baseline", "base.json")
    assert refused.code == 2
    assert refused.error == "error: there is no baseline base.json"
    assert not (work / "ci").exists()
    stored = here(*call, "--update-baseline", "base.json", "--json")
    assert agreed(stored, work / "ci" / "j.xml") == {"finite": "pass", "baseline": "skipped"}
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(work / "summary.md")}
    same = here(*call, "--baseline", "base.json", "--json", env=actions)
    assert agreed(same, work / "ci" / "j.xml") == {"finite": "pass", "baseline": "pass"}
    assert "::" not in same.err
    (work / "tiny.py").write_text((work / "tiny.py").read_text().replace("1 / 192", "9 / 192"))
    refused = here(*call, "--baseline", "base.json")
    assert refused.error.startswith("error: the baseline does not fit: the weights were ")
    assert not (work / "ci" / "j.xml").exists()
    (work / "checks.toml").write_text('[baseline]\nsame = ["model", "images"]')
    other = here(*call, "--baseline", "base.json", "--json", "--config", "checks.toml", env=actions)
    assert agreed(other, work / "ci" / "j.xml") == {"finite": "pass", "baseline": "fail"}
    assert other.error == "error: 1 check failed: baseline"
    assert "::error title=cnnexplain check baseline::tiny.py:Net: 3 of 3 pictures differ" in other.err
    summary = (work / "summary.md").read_text("utf-8")
    assert summary.count("### cnnexplain check") == 2


def test_a_model_that_is_not_finite_fails_and_is_not_stored(here: Run, work: Path) -> None:
    call = (
        "check",
        "tiny.py:nan",
        "pictures",
        *TINY_OPTIONS,
        "--only",
        "finite",
        "--update-baseline",
        "b.json",
    )
    done = here(*call, "--junit", "j.xml", "--json")
    assert agreed(done, work / "j.xml") == {"finite": "fail"}
    assert "not stored, since finite failed" in done.err
    assert not (work / "b.json").exists()
    (work / "checks.toml").write_text('[finite]\nlevel = "warn"')
    warned = here(*call, "--junit", "j.xml", "--config", "checks.toml")
    assert warned.code == 2, "what was asked for could not be done"
    assert warned.error == "error: no baseline can be stored: it holds NaN or infinite weights"
    assert not (work / "j.xml").exists(), "the verdicts of the run before are not those of this one"
    assert not (work / "b.json").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["nowhere/*.png"], "error: "),
        (
            ["pictures", "--baseline", "notes.txt"],
            "error: notes.txt is no whole baseline: it is another kind",
        ),
        (["pictures", "--update-baseline", "notes.txt"], "error: notes.txt is there already and is not from"),
        (["pictures", "--only", "finit"], "error: --only names 'finit', which is no check"),
        (["pictures/a.png", "broken.png"], "error: broken.png: "),
        ([], "error: baseline needs pictures"),
        (["pictures", "--nope"], "error: no such option: --nope"),  # before a check has begun
        (["pictures", "--labels-from", ""], "error: "),  # a variable that is not set
        (["pictures", "--update-baseline", "j.xml"], "error: "),
        (
            ["pictures", "-o", "out", "--update-baseline", "out/run.json"],
            "error: -o and --update-baseline both",
        ),
        (["--list"], "error: --list shows the checks and carries none out"),
    ],
)
def test_what_cannot_be_relied_on_is_exit_code_2(words: list[str], error: str, here: Run, work: Path) -> None:
    (work / "notes.txt").write_text("about cnnexplain-baseline")
    (work / "broken.png").write_bytes(b"\x89PNG")
    # Ours, of an earlier run: it must not be read as the verdict of this one.
    (work / "j.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="cnnexplain check"/>'
    )
    only = () if "--only" in words else ("--only", "finite" if words else "baseline")
    done = here("check", "tiny.py:Net", *words, *only, *TINY_OPTIONS, "--junit", "j.xml")
    assert done.code == 2, done.err
    assert done.error.startswith(error)
    assert done.hint
    assert "Traceback" not in done.err
    assert not (work / "j.xml").exists()
    assert (work / "notes.txt").read_text() == "about cnnexplain-baseline"


def test_a_table_of_the_project_that_is_none_is_an_error(here: Run, work: Path) -> None:
    (work / "pyproject.toml").write_text("[tool.cnnexplain]\ncheck = 3")
    done = here("check", "tiny.py:Net", *TINY_OPTIONS)
    assert (done.code, "tool.cnnexplain.check in" in done.error) == (2, True)


def test_a_foreign_file_is_never_replaced(here: Run, work: Path) -> None:
    (work / "j.xml").write_text('<testsuites name="mine, beside cnnexplain"/>')
    done = here("check", "tiny.py:Net", "--only", "finite", "--junit", "j.xml")
    assert (done.code, done.error) == (2, "error: j.xml is there already and is not from cnnexplain")
    assert "mine" in (work / "j.xml").read_text()


def test_an_interrupted_check_leaves_what_was_there(here: Run, work: Path) -> None:
    call = ("check", "tiny.py:Slow", "pictures", *TINY_OPTIONS, "--only", "finite", "-o", "out")
    assert here(*call).code == 0
    before = {path.name: path.read_bytes() for path in (work / "out").iterdir()}
    for name in ("d", "e", "f", "g", "h", "i", "j", "k"):
        (work / "pictures" / f"{name}.png").write_bytes((work / "pictures" / "a.png").read_bytes())
    (work / "tiny.py").write_text((work / "tiny.py").read_text().replace("sleep(0.3)", "sleep(3)"))
    words = (*call, "--overwrite", "--junit", "j.xml", "--update-baseline", "b.json")
    started = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words],
        cwd=work,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    said = ""
    while not said.startswith("device"):  # the model is there; the checks begin
        said = started.stderr.readline()
        assert said, "ended too early"
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    _, rest = started.communicate(timeout=100)
    assert started.returncode == 130, rest
    assert "error: interrupted before every check was done" in rest
    assert {path.name: path.read_bytes() for path in (work / "out").iterdir()} == before
    assert {path.name for path in work.iterdir()} - {"__pycache__"} == {"tiny.py", "pictures", "out"}


def test_a_process_ends_with_the_code(run: Run, work: Path) -> None:
    done = run("check", "tiny.py:nan", *TINY_OPTIONS, "--only", "finite", "--junit", "j.xml", "--json")
    assert done.code == 1
    assert agreed(done, work / "j.xml") == {"finite": "fail"}
