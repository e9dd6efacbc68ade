"""A folder that holds a run: continued, refused, replaced; interrupted runs go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shell import AWAKE, TINY_OPTIONS, Run, environment, spot_picture


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def timeless(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without the files that tell when and how fast the run was."""
    return {name: data for name, data in found.items() if name not in ("run.json", "index.html")}


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_the_same_run_again_redoes_nothing(tiny: Run, work: Path) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    before = {path: path.stat().st_mtime_ns for path in (work / "out").glob("*.png")}
    again = tiny("pictures", "-o", "out", "--json")
    assert again.code == 0
    assert "3 of 3 images were done before" in again.err
    assert len(again.out.splitlines()) == 3
    assert {path: path.stat().st_mtime_ns for path in (work / "out").glob("*.png")} == before
    assert json.loads((work / "out" / "run.json").read_text())["images"] == {"count": 3, "ok": 3, "error": 0}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["-t", "1"], "target was top, and is now 1"),
        (["-m", "layercam"], "method was gradcam, and is now layercam"),
        (["--save-raw"], "save-raw was False, and is now True"),
        (["--limit", "2"], "images was 3 from a.png to c.png"),
        (["--crop-mode", "squash"], "preprocessing was"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_by_name(
    tiny: Run, work: Path, change: list[str], named: str
) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    before = contents(work / "out")
    done = tiny("pictures", "-o", "out", *change)
    assert done.code == 2
    assert named in done.error
    assert "--overwrite" in done.hint
    assert contents(work / "out") == before
    assert tiny("pictures", "-o", "out", *change, "--overwrite").code == 0
    assert len(records(work / "out")) == (2 if "--limit" in change else 3)


@pytest.mark.parametrize("first", [("pictures/a.png",), ("pictures/a.png", "pictures/b.png")])
def test_a_second_call_for_other_pictures_is_told_of_lists(
    tiny: Run, work: Path, first: tuple[str, ...]
) -> None:
    """As xargs does it: the first call takes so many names as go on a line, the next the others."""
    assert tiny(*first, "-o", "out").code == 0
    done = tiny("pictures/c.png", "-o", "out")
    assert (done.code, "images was" in done.error) == (2, True)
    assert done.hint.startswith(
        "hint: name all pictures in one call, long lists with --files-from FILE (- is"
    )
    assert "--overwrite" in done.hint
    assert "--files-from" not in tiny("pictures/c.png", "-o", "out", "-t", "1").hint
    names = "".join(f"pictures/{name}.png\n" for name in "abc").encode()
    assert tiny("--files-from", "-", "-o", "all", stdin=names).code == 0
    assert len(records(work / "all")) == 3


def test_failures_are_told_in_full_once(tiny: Run, work: Path) -> None:
    words = ("pictures", "missing.png", "-o", "out", "--max-failures", "3")
    (work / "pictures" / "b.png").write_text("no picture")
    told = tiny(*words).err
    assert "failed  pictures/b.png: " in told
    assert "failed  missing.png: " in told
    assert "failed as before" not in told
    (work / "pictures" / "c.png").write_text("no picture")
    told = tiny(*words).err
    assert "failed  pictures/c.png: " in told
    assert "failed  2 images failed as before; out/index.html says why\n" in told
    assert "b.png" not in told
    told = tiny(*words, "-v", "--json")
    assert all(f"failed  {name}.png: " in told.err for name in ("pictures/b", "pictures/c", "missing"))
    assert len(told.out.splitlines()) == 4
    spot_picture().save(work / "pictures" / "b.png")
    told = tiny(*words).err
    assert "b.png  class" in told
    assert "failed  2 images failed as before" in told
    assert tiny(*words, "-q").err == "failed  2 of 4 images, as --max-failures allows\n"


def test_overwrite_removes_what_we_wrote_and_nothing_else(tiny: Run, work: Path) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    (work / "out" / "a.png.gradcam.txt").write_text("notes")
    (work / "out" / "mine.png").write_bytes(b"\x89PNG not from here")
    assert tiny("pictures/b.png", "-o", "out", "--overwrite").code == 0
    assert sorted(path.name for path in (work / "out").iterdir()) == [
        "a.png.gradcam.txt", "b.png.gradcam.numbers.css", "b.png.gradcam.png",
        "index.html", "mine.png", "results.jsonl", "run.json",
    ]  # fmt: skip


def test_files_of_somebody_else_are_never_touched(tiny: Run, work: Path) -> None:
    out = work / "out"
    out.mkdir()
    (out / "index.html").write_text("my home page")
    done = tiny("pictures", "-o", "out")
    assert done.code == 2
    assert "not from cnnexplain" in done.error
    assert contents(out) == {"index.html": b"my home page"}
    (out / "index.html").unlink()
    (out / "a.png.gradcam.png").write_bytes(b"my own drawing")
    done = tiny("pictures", "-o", "out")
    assert done.code == 3
    assert (out / "a.png.gradcam.png").read_bytes() == b"my own drawing"
    assert [record["status"] for record in records(out)] == ["error", "ok", "ok"]


def test_failed_changed_and_lost_pictures_are_made_anew(tiny: Run, work: Path) -> None:
    good = (work / "pictures" / "b.png").read_bytes()
    (work / "pictures" / "b.png").write_bytes(good[:60])
    assert tiny("pictures", "-o", "out", "-t", "0").code == 3
    (work / "pictures" / "b.png").write_bytes(good)
    spot_picture((96, 64), (40, 40)).save(work / "pictures" / "c.png")
    (work / "out" / "a.png.gradcam.0.png").unlink()
    done = tiny("pictures", "-o", "out", "-t", "0")
    assert done.code == 0, done.err
    found = records(work / "out")
    assert [record["status"] for record in found] == ["ok", "ok", "ok"]
    assert found[2]["explanations"][0]["peak"] != found[0]["explanations"][0]["peak"]
    assert (work / "out" / "a.png.gradcam.0.png").is_file()


def test_out_inside_the_folder_of_pictures_is_not_explained_itself(tiny: Run, work: Path) -> None:
    for _ in range(2):
        done = tiny("pictures", "-o", "pictures/out")
        assert done.code == 0, done.err
        assert len(records(work / "pictures" / "out")) == 3


def test_pictures_may_be_written_beside_the_photos(tiny: Run, work: Path) -> None:
    for _ in range(2):
        done = tiny("pictures", "-o", "pictures")
        assert done.code == 0, done.err
        assert len(records(work / "pictures")) == 3


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_run_goes_on_and_ends_as_an_undisturbed_one(
    work: Path, run: Run, sent: signal.Signals, code: int
) -> None:
    for number in range(12):
        spot_picture((96, 64), (4 * number, 8)).save(work / "pictures" / f"more{number:02}.png")
    words = ["gradcam", "tiny.py:Slow", "pictures", *TINY_OPTIONS, "--batch-size", "1"]
    assert run(*words, "-o", "undisturbed", env=AWAKE).code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words, "-o", "out", "-v"],
        cwd=work,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("c.png"):
            process.send_signal(sent)
            break
    rest = process.stderr.read()
    assert process.wait(60) == code
    if sent is not signal.SIGKILL:
        assert "error: interrupted after" in rest
        assert "hint: run the same command again" in rest
        assert json.loads((work / "out" / "run.json").read_text())["status"] == "interrupted"
        assert 3 <= len(records(work / "out")) < 15
    time.sleep(0.1)
    done = run(*words, "-o", "out", env=AWAKE)
    assert done.code == 0, done.err
    assert "were done before" in done.err
    assert timeless(contents(work / "out")) == timeless(contents(work / "undisturbed"))


def test_two_pictures_of_one_name_do_not_share_files(tiny: Run, work: Path) -> None:
    for folder in ("one", "two"):
        (work / folder).mkdir()
        spot_picture().save(work / folder / "cat.png")
    assert tiny(".", "-o", "tree", "--limit", "2").code == 0
    assert tiny("one/cat.png", "two/cat.png", "-o", "files").code == 0
    assert tiny("one", "two", "-o", "folders").code == 0
    for out in ("files", "folders"):
        pictures = [record["explanations"][0]["picture"] for record in records(work / out)]
        assert pictures[0] == "cat.png.gradcam.png"
        assert len(set(pictures)) == 2
    assert [record["explanations"][0]["picture"] for record in records(work / "tree")] == [
        "one/cat.png.gradcam.png",
        "pictures/a.png.gradcam.png",
    ]


def test_neither_a_page_of_mine_nor_my_notes_are_replaced_in_a_run_that_goes_on(
    tiny: Run, work: Path
) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    (work / "out" / "index.html").write_text("my home page")
    for more in ([], ["--overwrite"]):
        assert tiny("pictures", "-o", "out", *more).code == 2
        assert (work / "out" / "index.html").read_text() == "my home page"
    (work / "out" / "index.html").unlink()
    (work / "out" / ".cnnexplain").mkdir()
    (work / "out" / ".cnnexplain" / "notes.txt").write_text("mine")
    assert tiny("pictures", "-o", "out").code == 0
    assert (work / "out" / ".cnnexplain" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("sent", "target", "code"), [("SIGINT", "top", 0), ("SIGTERM", "99", 2)])
def test_a_signal_when_the_outcome_is_told_changes_nothing(
    work: Path, run: Run, sent: str, target: str, code: int
) -> None:
    (work / "late.py").write_text(
        f"import atexit, os, signal\nfrom tiny import Net\natexit.register(os.kill, os.getpid(), signal.{sent})\n"
    )
    done = run("gradcam", "late.py:Net", "pictures", *TINY_OPTIONS, "-o", "out", "-t", target)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.out == ("out/index.html\n" if code == 0 else "")


def test_a_second_signal_while_an_error_is_told_changes_nothing(work: Path) -> None:
    code = """
import os, signal, sys
from cnnexplain.cli import app
told = app.show_error
def twice(error):
    app.at_work()
    os.kill(os.getpid(), signal.SIGINT)
    told(error)
app.show_error = twice
sys.argv[1:] = ["gradcam"]
app.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_the_model_loads_is_told_in_two_lines(
    work: Path, sent: signal.Signals, code: int
) -> None:
    (work / "lazy.py").write_text(
        "import sys, time\ndef net():\n    print('loading', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", "gradcam", "lazy.py:net", "pictures", "-o", "out"],
        cwd=work,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "loading\n"
    process.send_signal(sent)
    rest = process.stderr.read()
    assert process.wait(60) == code
    assert rest.startswith("error: interrupted before anything was done\nhint: ")
    assert not (work / "out").exists()


def test_a_second_run_into_the_same_folder_at_once_is_refused(work: Path, run: Run) -> None:
    words = ["gradcam", "tiny.py:Slow", "pictures", *TINY_OPTIONS, "--batch-size", "1", "-o", "out"]
    first = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words, "-v"],
        cwd=work,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stderr is not None
    next(line for line in first.stderr if line.startswith("a.png"))
    first.send_signal(signal.SIGSTOP)  # it holds the folder for as long as the second one needs
    second = run(*words)
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert second.code == 2
    assert "another run is writing into out" in second.error
    assert first.returncode == 0
    assert not (work / "out" / ".cnnexplain").exists()


def test_records_that_somebody_edited_are_made_anew(tiny: Run, work: Path) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    before = records(work / "out")
    edited = [dict(record) for record in before]
    del edited[0]["predictions"]
    edited[1]["explanations"] = [
        {**before[1]["explanations"][0], "picture": "../pictures/a.png", "peak": [1]}
    ]
    lines = [*map(json.dumps, edited[:2]), "[" * 100_000]
    (work / "out" / "results.jsonl").write_text("\n".join(lines) + "\n")
    done = tiny("pictures", "-o", "out")
    assert done.code == 0, done.err
    assert records(work / "out") == before


def test_records_with_other_class_names_are_found_told_and_made_anew(tiny: Run, work: Path) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    results = work / "out" / "results.jsonl"
    before = records(work / "out")
    edited = [json.loads(json.dumps(record)) for record in before]
    edited[0]["predictions"][0]["label"] = "forged"
    edited[1]["explanations"][0]["peak"] = [1, 1]
    results.write_text("".join(f"{json.dumps(record)}\n" for record in edited))
    done = tiny("pictures", "-o", "out")
    assert "edited  2 records changed since they were written" in done.err
    assert "1 of 3 images were done before" in done.err
    assert records(work / "out") == before
    assert "forged" not in (work / "out" / "index.html").read_text()
    results.write_text("".join(f"{json.dumps({**record, 'digest': None})}\n" for record in before))
    assert "3 records changed" in tiny("pictures", "-o", "out").err
    for record in before:
        del record["digest"]  # as an earlier version wrote them
    results.write_text("".join(f"{json.dumps(record)}\n" for record in before))
    assert "3 of 3 images were done before" in tiny("pictures", "-o", "out").err
    assert records(work / "out") == before
