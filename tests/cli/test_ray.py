"""The same shards as work of a Ray cluster, here one of two actors on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shell import AWAKE, TINY_OPTIONS, Run, environment, spot_picture

pytestmark = pytest.mark.slow
TIMED = ("run.json", "index.html")


def contents(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file() and path.name not in TIMED)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def actors() -> list[int]:
    """The processes that Ray keeps for explaining, of which those that are at work have a name of their own."""
    found = subprocess.run(["pgrep", "-f", "^ray::MapWorker"], capture_output=True, text=True)
    return [int(number) for number in found.stdout.split()]


def start(work: Path, words: list[str]) -> subprocess.Popen[str]:
    """The command with two actors, once the first pictures are done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words, "--engine", "ray", "--processes", "2", "-v"],
        cwd=work,
        env=environment({"OMP_NUM_THREADS": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "class 1" in line:
            return process
    raise AssertionError("no picture was explained")


def test_a_run_by_ray_is_that_of_one_process_also_when_workers_or_the_driver_die(
    run: Run, work: Path
) -> None:
    pytest.importorskip("ray")
    for number in range(25):
        spot_picture((96, 64), (2 * number, 30)).save(work / "pictures" / f"more{number:02}.png")
    words = [
        "gradcam",
        "tiny.py:Slow",
        "pictures",
        *TINY_OPTIONS,
        "--batch-size",
        "1",
        "--workers",
        "1",
        "-o",
    ]
    assert run(*words, "one", env=AWAKE).code == 0

    process = start(work, [*words, "worker"])
    os.kill(actors()[0], signal.SIGKILL)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert contents(work / "worker") == contents(work / "one")
    assert "Traceback" not in told
    assert "INFO" not in told

    process = start(work, [*words, "driver"])
    process.kill()
    process.communicate()
    journal = (work / "driver" / ".cnnexplain" / "journal.jsonl").read_bytes().count(b"\n")
    assert 0 < journal < 28
    until = time.monotonic() + 60
    while actors() and time.monotonic() < until:  # they end by themselves
        time.sleep(0.2)
    again = run(*words, "driver", "--engine", "ray", "--processes", "2", preloaded=False)
    assert again.code == 0, again.err
    assert f"{journal} of 28 images were done before" in again.err
    assert contents(work / "driver") == contents(work / "one")


def test_a_cluster_that_is_not_there_is_said_in_two_lines(run: Run) -> None:
    pytest.importorskip("ray")
    done = run(
        *("gradcam", "tiny.py:Net", "pictures", *TINY_OPTIONS, "-o", "out"),
        *("--engine", "ray", "--ray-address", "127.0.0.1:1"),
        preloaded=False,
    )
    assert done.code == 2, done.err
    assert "no Ray at 127.0.0.1:1" in done.error
    assert done.hint
    assert "Traceback" not in done.err
