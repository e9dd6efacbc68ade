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


@pytest.mark.parametrize("words", [(), ("--update-baseline", "b.json"), ("--labels-from", "l.csv")])
def test_where_everything_is_skipped_nothing_was_checked(
    here: Run, work: Path, words: tuple[str, ...]
) -> None:
    (work / "l.csv").write_text("image,label\n" + "".join(f"pictures/{one}.png,0\n" for one in "abc"))
    call = ("check", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--only", "normalisation,flip-and-shift")
    done = here(*call, *words, "--junit", "j.xml", "-o", "out")
    assert done.code == 2
    assert done.error == (
        "error: nothing could be checked: normalisation: cannot tell: 3 pictures, and it takes 8 at least; "
        "flip-and-shift: cannot tell: 3 pictures, and it takes 6 at least"
    )
    assert ("--labels-from" in done.hint) == ("--labels-from" not in words)
    assert done.hint.startswith("hint: give more pictures")
    assert not {"j.xml", "out", "b.json"} & {path.name for path in work.iterdir()}
    alone = here("check", "tiny.py:Net", *TINY_OPTIONS, "--only", "batchnorm")
    assert (alone.code, alone.hint) == (2, "hint: add IMAGES behind the model, or leave --only out")


def test_a_first_run_that_only_stores_has_done_what_it_was_for(here: Run, work: Path) -> None:
    call = ("check", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--only", "baseline")
    stored = here(*call, "--update-baseline", "b.json", "--junit", "j.xml", "--json")
    assert agreed(stored, work / "j.xml") == {"baseline": "skipped"}
    assert "stored now; compare with --baseline b.json" in stored.out
    assert (work / "b.json").exists()
    broken = ("check", "tiny.py:nan", *call[2:-1], "finite,baseline")
    done = here(*broken, "--update-baseline", "c.json")
    assert done.code == 1
    assert "skipped  baseline  not stored, since finite failed" in done.out


@pytest.mark.parametrize(
    ("kind", "words"),
    [("Map", "returns a tensor of shape (1, 2, 8, 8)"), ("Fails", "failed on an input of (1, 3, 64, 64)")],
)
def test_a_model_that_gives_no_scores_is_one_error_and_no_verdicts(
    kind: str, words: str, here: Run, work: Path
) -> None:
    done = here("check", f"tiny.py:{kind}", "pictures", *TINY_OPTIONS, "--junit", "j.xml", "-o", "out")
    assert done.code == 2
    assert words in done.error
    assert done.hint.endswith("without pictures its weights alone are checked")
    assert "finite" not in done.out + done.err
    assert not {"j.xml", "out"} & {path.name for path in work.iterdir()}
    assert here("check", f"tiny.py:{kind}", *TINY_OPTIONS, "--only", "finite").code == 0


def test_a_list_of_labels_is_read_before_the_model(here: Run, work: Path) -> None:
    (work / "l.csv").write_text("a.png,0\n")
    done = here("check", "tiny.py:raises", "pictures", "--labels-from", "l.csv")
    assert (done.code, done.error) == (2, "error: l.csv has no column 'image'")


def test_only_goes_before_off_and_says_so(here: Run, work: Path) -> None:
    (work / "checks.toml").write_text('[finite]\nlevel = "off"')
    done = here("check", "tiny.py:Net", *TINY_OPTIONS, "--only", "finite", "--config", "checks.toml")
    assert done.code == 0
    assert "finite  off in the configuration, and carried out since --only names it" in done.err


def test_a_foreign_file_is_never_replaced(here: Run, work: Path) -> None:
    (work / "j.xml").write_text('<testsuites name="mine, beside cnnexplain"/>')
    done = here("check", "tiny.py:Net", "--only", "finite", "--junit", "j.xml")
    assert (done.code, done.error) == (2, "error: j.xml is there already and is not from cnnexplain")
    assert "mine" in (work / "j.xml").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("more", [(), ("--json",), ("-o", "out")])
def test_where_the_verdicts_cannot_be_told_no_junit_file_says_that_all_is_well(
    work: Path, more: tuple[str, ...]
) -> None:
    words = ("check", "tiny.py:Net", "--only", "finite", "--junit", "j.xml", *more)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cnnexplain", *words],
            cwd=work,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert "error: standard output cannot be written" in done.stderr
    assert not (work / "j.xml").exists()


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
