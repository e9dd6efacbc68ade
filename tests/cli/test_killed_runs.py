"""Runs that end at any moment, in any way: what is done stays, and the end is the same."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import runpy
import signal
import sys
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from astray import led_astray
from shell import TINY_OPTIONS, Run, spot_picture

KILLS, IN_A_ROW = 30, 3
TIMED = ("run.json", "index.html")  # they tell when and how fast the run was


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name not in TIMED
    }


def carry_out(folder: Path, words: list[str], limit: int | None = None, astray: Path | None = None) -> None:
    """In a process of its own: run the command, with files of at most `limit` bytes, or decoders led astray."""
    if astray is not None:
        os.environ["PYTHONPATH"] = str(astray.parent)
        runpy.run_path(str(astray))
    os.chdir(folder)
    with open(folder / "messages.txt", "a") as messages:
        os.dup2(messages.fileno(), 1)
        os.dup2(messages.fileno(), 2)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from cnnexplain.cli.app import run

    sys.argv = ["cnnexplain", *words]
    os._exit(run(words))


@pytest.fixture(scope="module")
def prepared() -> ForkServerContext:
    """Starts processes that have imported torch already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["timm", "torchvision", "cnnexplain.cli.app", "cnnexplain.runner.explain_images"]
    )
    return context


@pytest.fixture
def words(work: Path) -> list[str]:
    for number in range(40):
        spot_picture((96, 64), (2 * number, 8)).save(work / "pictures" / f"more{number:02}.png")
    (work / "pictures" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return ["gradcam", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--save-raw", "-o"]


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_as_an_undisturbed_one(
    work: Path, words: list[str], prepared: ForkServerContext
) -> None:
    def start(out: str) -> multiprocessing.process.BaseProcess:
        process = prepared.Process(target=carry_out, args=(work, [*words, out]))
        process.start()
        return process

    start("first").join()
    started = time.monotonic()
    start("undisturbed").join()
    whole = time.monotonic() - started
    expected = contents(work / "undisturbed")
    assert len(expected) > 2 * 43
    chance, unfinished = random.Random(1), 0
    for number in range(KILLS // IN_A_ROW):
        out = f"out{number}"
        for _ in range(IN_A_ROW):
            process = start(out)
            process.join(chance.uniform(0.05, 1.0) * whole)
            process.kill()
            process.join()
            unfinished += process.exitcode == -9
        last = start(out)
        last.join()
        assert last.exitcode == 3, (work / "messages.txt").read_text()[-500:]  # one picture is torn
        assert contents(work / out) == expected
        assert not (work / out / ".cnnexplain").exists()
    assert unfinished > KILLS // 3, "too few were killed before their end to show anything"


@pytest.mark.parametrize("limit", [1000, 3000, 9000])
def test_files_that_find_no_room_are_told_and_written_once_there_is_some(
    work: Path, words: list[str], run: Run, prepared: ForkServerContext, limit: int
) -> None:
    # run.json, a picture or the records do not fit.
    process = prepared.Process(target=carry_out, args=(work, [*words, "out"], limit))
    process.start()
    process.join()
    told = (work / "messages.txt").read_text()
    assert process.exitcode == 2, told
    assert told.count("error: ") == 1
    assert "cannot be written: File too large" in told
    assert "hint: make room" in told
    assert "Traceback" not in told
    again = run(*words, "out")
    assert again.code == 3, again.err
    assert run(*words, "undisturbed").code == 3
    assert contents(work / "out") == contents(work / "undisturbed")


def test_a_folder_of_pictures_that_vanishes_on_the_way_is_explained_when_it_is_back(
    work: Path, words: list[str], run: Run
) -> None:
    (work / "list.txt").write_text("\n".join(f"pictures/more{number:02}.png" for number in range(10)))
    listed = [*words[:2], "--files-from", "list.txt", *words[3:]]
    (work / "pictures" / "more00.png").rename(work / "kept.png")
    (work / "pictures").rename(work / "away")
    (work / "pictures").mkdir()
    (work / "kept.png").rename(work / "pictures" / "more00.png")
    gone = run(*listed, "out")
    assert gone.code == 3
    assert "9 of 10 images failed" in gone.error
    (work / "pictures" / "more00.png").rename(work / "away" / "more00.png")
    (work / "pictures").rmdir()
    (work / "away").rename(work / "pictures")
    back = run(*listed, "out", "--json")
    assert back.code == 0, back.err
    assert "1 of 10 images were done before" in back.err
    assert [json.loads(line)["status"] for line in back.out.splitlines()] == ["ok"] * 10


@pytest.mark.parametrize("processes", [1, 2])
def test_pictures_that_end_the_program_are_found_and_left_out(
    work: Path, words: list[str], prepared: ForkServerContext, run: Run, processes: int
) -> None:
    astray = led_astray(work / "astray")
    for name in ("a-deadly", "more20-deadly", "more21-deadly"):
        spot_picture().save(work / "pictures" / f"{name}.png")
    for number in range(12):  # are tried again and again, and are no suspects
        (work / "pictures" / f"b-torn{number:02}.png").write_bytes(b"\x89PNG")
    (work / "pictures" / "torn.png").unlink()
    words = [*words, "out", "--processes", str(processes), "--batch-size", "2", "--workers", "2"]

    def end() -> int | None:
        process = prepared.Process(target=carry_out, args=(work, words, None, astray))
        process.start()
        process.join()
        return process.exitcode

    if processes == 1:
        assert [end(), end()] == [-signal.SIGSEGV] * 2, "one at the beginning, two in the middle"
    assert end() == 3, (work / "messages.txt").read_text()[-500:]
    lines = (work / "out" / "results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    failed = [one for one in records if one["status"] == "error" and "-torn" not in one["image"]]
    assert [Path(one["image"]).stem for one in failed] == ["a-deadly", "more20-deadly", "more21-deadly"]
    assert {one["error"]["message"] for one in failed} == {"decoding it ends the program (SIGSEGV)"}
    assert len(lines) == len(list((work / "pictures").iterdir()))
    if processes > 1:
        return
    assert end() == 3, "and are not tried again"
    told = (work / "messages.txt").read_text()
    assert told.count("the previous run crashed") == 2
    assert "15 of 58 images failed; pictures/a-deadly.png: decoding it ends the program (SIGSEGV)" in told
    spot_picture((50, 40)).save(work / "pictures" / "a-deadly.png")
    fixed = run(*words)
    assert fixed.code == 3
    assert "14 of 58 images failed" in fixed.error, "one is another file now"
