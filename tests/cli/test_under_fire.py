"""Models, folders and signals that work against a run: words, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from shell import TINY_OPTIONS, Run, environment, files, records, spot_picture

from cnnexplain.cli.workflow import harmless, harmless_json

MODELS = """
from tiny import Net
import os, time

class Never(Net):
    def forward(self, x):
        if ((x[:, :, -1, -1] + 0.247).abs() < 0.01).all(): # the grey of all pictures here
            raise ValueError("not these")
        return super().forward(x)

class Dark(Net):
    def forward(self, x):
        if (x.amax((1, 2, 3)) < -0.9).any():
            raise ValueError("\\n  ::error::forged ##[error]too")
        return super().forward(x)

class Wanders(Net):
    def forward(self, x):
        os.chdir("/")
        return super().forward(x)

class Slow(Net):
    def forward(self, x):
        time.sleep(0.2)
        return super().forward(x)
"""


@pytest.fixture
def fire(work: Path) -> Path:
    (work / "fire.py").write_text(MODELS)
    for number in range(12):
        spot_picture((96, 64), (4 * number, 8)).save(work / "pictures" / f"more{number:02}.png")
    return work


def test_a_model_that_fails_on_every_picture_stops_after_a_few(run: Run, fire: Path) -> None:
    done = run("gradcam", "fire.py:Never", "pictures", "-o", "out", *TINY_OPTIONS, "--max-failures", "100%")
    assert done.code == 2
    assert "Never failed on an input of (1, 3, 64, 64): ValueError: not these" in done.error
    assert "each of the first 8 pictures" in done.error
    assert len(records(fire / "out")) == 8


@pytest.mark.parametrize("more", [(), ("--processes", "2", "--batch-size", "2")], ids=["one", "two"])
def test_code_that_changes_the_working_folder_moves_nothing(
    run: Run, fire: Path, more: tuple[str, ...]
) -> None:
    (fire / "list.txt").write_text("pictures/a.png\npictures/more01.png\npictures/more02.png\n")
    names = ["pictures"] if more else ["--files-from", "list.txt"]
    words = ["gradcam", "fire.py:Wanders", *names, "-o", "out", *TINY_OPTIONS, "--save-raw", *more]
    done = run(*words)
    assert done.code == 0, done.err
    assert done.out == "out/index.html\n"
    found = records(fire / "out")
    assert [one["status"] for one in found] == ["ok"] * (15 if more else 3)
    assert found[0]["image"] == "pictures/a.png"
    assert len(files(fire / "out")) == 2 * len(found)
    again = run(*words)
    assert f"{len(found)} of {len(found)} images were done before" in again.err


def test_a_check_by_code_that_changes_the_working_folder_writes_where_it_was_started(
    run: Run, fire: Path
) -> None:
    words = ["check", "fire.py:Wanders", "pictures", "--only", "finite,baseline", *TINY_OPTIONS]
    done = run(*words, "-o", "out", "--junit", "unit.xml", "--update-baseline", "base.json")
    assert done.code == 0, done.err
    assert (fire / "unit.xml").is_file()
    assert (fire / "base.json").is_file()
    assert (fire / "out" / "index.html").is_file()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::error::x", ": :error::x"),
        ("   ::set-output name=a::b", "   : :set-output name=a::b"),
        ("a ##[error]b ##[group]c", "a ## [error]b ## [group]c"),
        (":::stop-commands::x", ": ::stop-commands::x"),
        ("layer1::relu", "layer1::relu"),
    ],
)
def test_lines_that_a_workflow_would_obey_are_broken_up(
    line: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert harmless(line) == line
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert harmless(line) == shown
    assert json.loads(harmless_json(json.dumps({"image": line}))) == {"image": line}
    assert "##[" not in harmless_json(json.dumps({"image": line}))


def test_nothing_of_a_stranger_is_a_workflow_command(run: Run, fire: Path) -> None:
    shutil.rmtree(fire / "pictures")
    (fire / "pictures").mkdir()
    spot_picture().save(fire / "pictures" / "::error::owned.png")
    spot_picture((96, 64), (0, 0)).save(fire / "pictures" / "##[error]owned.png")
    spot_picture((8, 8), (99, 99)).point(lambda _: 0).save(fire / "pictures" / "dark.png")
    (fire / "labels.txt").write_text("::warning::label\n##[warning]label\n")
    for more in (["-o", "out", "--json"], ["-o", "out2", "--debug", "-v"], ["-o", "a", "-t", "::error::x"]):
        done = run(
            "gradcam", "fire.py:Dark", "pictures", *TINY_OPTIONS, "--labels", "labels.txt", *more,
            env={"GITHUB_ACTIONS": "true"},
        )  # fmt: skip
        assert done.code == (2 if "-t" in more else 3), done.err
        for line in (done.out + done.err).splitlines():
            assert not line.lstrip().startswith("::")
            assert "##[" not in line
        if "--json" in more:
            names = [json.loads(line)["image"] for line in done.out.splitlines()]
            assert sorted(names) == [
                "pictures/##[error]owned.png",
                "pictures/::error::owned.png",
                "pictures/dark.png",
            ]
    done = run("check", "tiny.py:nan", "--only", "finite", env={"GITHUB_ACTIONS": "true"})
    assert any(line.startswith("::error title=") for line in done.err.splitlines()), (
        "those of our own are whole"
    )


LONG = """
from torch import nn
from tiny import Net

def net():
    short, name = Net(), "n" * 1_000_000

    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module(name, short.blocks)
            self.add_module(name + "r", short.relu)
            self.head = short.head

        def forward(self, x):
            return self.head(getattr(self, name + "r")(getattr(self, name)(x)).mean((2, 3)))

    return Long()
"""


@pytest.mark.parametrize(
    "command", [["gradcam", "-t", "top2"], ["activations"], ["check", "--only", "dead-units"]]
)
@pytest.mark.parametrize("model", ["tiny.py:Net", "long.py:net"])
def test_names_of_megabytes_cost_no_more_than_others(
    run: Run, fire: Path, command: list[str], model: str
) -> None:
    (fire / "long.py").write_text(LONG)
    labels = ["x" * 4_000_000, "x" * 4_000_000 + "y"]
    (fire / "labels.json").write_text(json.dumps(labels))
    done = run(
        command[0], model, "pictures", "-o", "out", *TINY_OPTIONS, "--labels", "labels.json", *command[1:]
    )
    assert done.code in (0, 1), done.err[:2000]
    assert len(done.err) < 20_000
    assert sum(file.stat().st_size for file in (fire / "out").iterdir()) < 3_000_000
    if command[0] == "gradcam":
        names = {one["label"] for record in records(fire / "out") for one in record["predictions"]}
        assert len(names) == 2, "they differ where they were cut"
        assert {len(name) for name in names} == {300}
        assert all("00,00" in name for name in names), "and say how long they were"


def started(fire: Path, *more: str, model: str = "fire.py:Slow") -> subprocess.Popen[str]:
    """A run that has explained a picture or two."""
    words = [
        "gradcam",
        model,
        "pictures",
        *TINY_OPTIONS,
        "--batch-size",
        "1",
        "--workers",
        "1",
        "-o",
        "out",
        "-v",
        *more,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words],
        cwd=fire,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(line.startswith("b.png") for line in process.stderr)
    return process


def truncated(out: Path) -> None:
    os.truncate(out / ".cnnexplain" / "journal.jsonl", 10)


def replaced(out: Path) -> None:
    out.rename(out.with_name("moved"))
    out.mkdir()


def by_a_file(out: Path) -> None:
    out.rename(out.with_name("moved"))
    out.write_text("mine")


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (shutil.rmtree, ()),
        (shutil.rmtree, ("--no-pictures",)),
        (replaced, ()),
        (by_a_file, ("--no-pictures",)),
        (truncated, ()),
        (truncated, ("--no-pictures",)),
    ],
)
def test_an_out_that_is_changed_under_a_run_ends_it_in_words(
    fire: Path, change: Callable[[Path], None], more: tuple[str, ...]
) -> None:
    process = started(fire, *more)
    for _ in range(20):  # files may be appearing in it
        try:
            change(fire / "out")
            break
        except OSError:
            time.sleep(0.02)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2, told
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith(("error", "hint"))] == [
        "error",
        "hint",
    ]
    assert "Traceback" not in told
    assert "removed" in told
    if change is by_a_file:
        assert (fire / "out").read_text() == "mine"


def test_a_journal_that_was_truncated_loses_no_more_than_was_in_it(run: Run, fire: Path) -> None:
    process = started(fire)
    truncated(fire / "out")
    process.communicate(timeout=60)
    done = run("gradcam", "fire.py:Slow", "pictures", *TINY_OPTIONS, "--batch-size", "1", "-o", "out")
    assert done.code == 0, done.err
    assert len(records(fire / "out")) == 15


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_ends_a_run_as_a_scheduler_does(run: Run, fire: Path, sent: signal.Signals) -> None:
    process = started(fire)
    process.send_signal(sent)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "error: interrupted after" in told
    assert json.loads((fire / "out" / "run.json").read_text())["status"] == "interrupted"
    assert not (fire / "out" / ".cnnexplain").exists()


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3])
def test_a_second_ctrl_c_says_nothing_false_and_leaves_no_lock(run: Run, fire: Path, wait: float) -> None:
    process = started(fire)
    process.send_signal(signal.SIGINT)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    found = [line for line in told.splitlines() if line.startswith(("error", "hint"))]
    assert len(found) == 2
    assert "interrupted after" in found[0]
    assert "Traceback" not in told
    assert json.loads((fire / "out" / "run.json").read_text())["status"] == "interrupted"
    assert not (fire / "out" / ".cnnexplain" / "lock").exists()
    done = run("gradcam", "fire.py:Slow", "pictures", *TINY_OPTIONS, "--batch-size", "1", "-o", "out")
    assert done.code == 0, done.err
    assert "killed" not in done.err
    assert len(records(fire / "out")) == 15


OVERRIDES = {
    "parameters": "def parameters(self, recurse=True): raise KeyError('mine')",
    "modules": "def named_modules(self, *a, **k): raise KeyError('mine')",
    "state": "def state_dict(self, *a, **k): return int('mine')",
}


@pytest.mark.parametrize("kind", OVERRIDES)
def test_what_a_model_overrides_is_not_our_defect(run: Run, fire: Path, kind: str) -> None:
    (fire / "odd.py").write_text(f"from tiny import Net\nclass Odd(Net):\n    {OVERRIDES[kind]}\n")
    done = run("gradcam", "odd.py:Odd", "pictures", "-o", "out", *TINY_OPTIONS)
    assert done.code == 2, done.err
    assert "(at odd.py:3)" in done.error
    assert "mine" in done.error


def test_nohup_is_obeyed(fire: Path) -> None:
    program = (
        "import signal, os, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "from cnnexplain.cli.start import watch; watch(); os.kill(os.getpid(), signal.SIGHUP); print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stdout) == (0, "goes on\n")


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
@pytest.mark.parametrize("module", ["cnnexplain.cli.app", "torch", "timm"])
def test_whoever_stops_the_command_while_it_imports_gets_two_lines(
    fire: Path, sent: signal.Signals, code: int, module: str
) -> None:
    # Imported at the moment when the signal arrives; whoever imports it swallows what an import raises.
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            try:\n"
        f"                os.kill(os.getpid(), {int(sent)})\n"
        "            except BaseException:\n"
        "                pass\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['cnnexplain', 'gradcam', 'timm:resnet18', '--no-pretrained', 'pictures', '-o', 'out']\n"
        "from cnnexplain.cli.start import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=fire, capture_output=True, text=True, env=environment()
    )
    if module == "timm":  # only loaded for this model, when the run has begun: a moment like any other
        assert "Traceback" not in done.stderr
        return
    assert done.stderr == "error: interrupted before anything was done\nhint: run the same command again\n"
    assert (done.returncode, done.stdout) == (code, "")
    assert not (fire / "out").exists()
