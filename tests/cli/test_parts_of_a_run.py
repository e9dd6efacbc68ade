"""A run in parts: shards that are joined, samples, several processes, records alone."""

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
from typing import Any

import pytest
from shell import AWAKE, TINY_OPTIONS, Run, environment, records, spot_picture

PICTURES = 11


@pytest.fixture
def many(work: Path) -> Path:
    """Eleven pictures in two folders, some with the same name, one of them torn."""
    for number in range(4):
        (work / "pictures" / "deep").mkdir(exist_ok=True)
        spot_picture((96, 64), (8 * number, 8)).save(work / "pictures" / f"more{number}.png")
        spot_picture((96, 64), (8, 8 * number)).save(work / "pictures" / "deep" / f"more{number}.png")
    (work / "pictures" / "deep" / "more2.png").write_bytes(b"torn")
    return work


def contents(out: Path) -> dict[str, bytes]:
    timed = ("run.json", "index.html")
    found = (path for path in out.rglob("*") if path.is_file() and path.name not in timed)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


@pytest.mark.parametrize("count", [1, 3])
def test_joined_shards_are_what_one_run_is(tiny: Run, run: Run, many: Path, count: int) -> None:
    whole = tiny("pictures", "-o", "whole", "--save-raw")
    assert whole.code == 3
    parts = [f"parts/{number}" for number in range(count, 0, -1)]
    for part in parts:
        tiny("pictures", "-o", part, "--save-raw", "--shard", f"{part[6:]}/{count}")
    sizes = [len(records(many / part)) for part in parts]
    assert sum(sizes) == PICTURES
    assert max(sizes) - min(sizes) <= 1
    done = run("merge", *parts, "-o", "all")
    assert done.code == 3, done.err
    assert "1 of 11 images failed" in done.error
    assert done.out == "all/index.html\n"
    assert contents(many / "all") == contents(many / "whole")
    assert run("merge", *parts, "-o", "all", "--max-failures", "1").code == 0, "joined once more"
    described = json.loads((many / "all" / "run.json").read_text())
    assert described["images"] == {"count": PICTURES, "ok": PICTURES - 1, "error": 1}
    assert len(described["parts"]) == count
    again = tiny("pictures", "-o", "all", "--save-raw")
    assert "10 of 11 images were done before" in again.err, "and one run goes on from there"


def test_runs_over_different_lists_are_joined_in_the_order_given(tiny: Run, run: Run, many: Path) -> None:
    assert tiny("pictures/b.png", "-o", "one").code == 0
    assert tiny("pictures/a.png", "pictures/c.png", "-o", "two").code == 0
    assert run("merge", "one", "two", "-o", "all").code == 0
    assert [one["image"] for one in records(many / "all")] == [f"pictures/{name}.png" for name in "bac"]


def test_joining_keeps_what_the_parts_hold_and_shares_their_files(tiny: Run, run: Run, many: Path) -> None:
    assert tiny("pictures/a.png", "-o", "one").code == 0
    before = contents(many / "one")
    assert run("merge", "one", "-o", "all").code == 0
    assert (many / "one" / "a.png.gradcam.png").samefile(many / "all" / "a.png.gradcam.png")
    assert tiny("pictures/a.png", "-o", "all", "-t", "1", "--overwrite").code == 0
    assert contents(many / "one") == before


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["1of3", "3of3"], "of 3 parts 2/3 are not there"),
        (["1of3", "1of3", "3of3"], "error: 1of3 is named twice"),
        (["1of3", "copy", "3of3"], "part 1/3 is named twice"),
        (["1of3", "2of3", "3of3"], "the parts are of different pictures: images was 11 from"),
        (["1of3", "1of2"], "not of the same division"),
        (["1of3", "plain"], "not of the same division"),
        (["plain", "other"], "not parts of one run: target was top, and is now 1"),
        (["plain", "nowhere"], "there is no folder nowhere"),
        (["pictures"], "there is no run in pictures"),
        (["plain", "plain"], "plain is named twice"),
        (["plain", "namesake"], "plain and namesake both have a a.png.gradcam.png"),
        (["summary"], "summary holds no run over pictures"),
        (["filters"], "filters holds no run over pictures"),
        (["plain", "twin"], "plain and twin are of the same pictures"),
        (["running"], "running holds a run that is not finished"),
        (["all"], "all is one of the parts"),
    ],
)
def test_parts_that_are_no_whole_are_refused(
    tiny: Run, run: Run, many: Path, parts: list[str], said: str
) -> None:
    for shard in {"1/3", "3/3", "1/2"} & {part.replace("of", "/") for part in parts}:
        assert tiny("pictures", "-o", shard.replace("/", "of"), "--shard", shard).code in (0, 3)
    if "2of3" in parts:
        (many / "elsewhere").mkdir()
        for name in "abc":
            spot_picture().save(many / "elsewhere" / f"{name}.png")
        assert tiny("elsewhere", "-o", "2of3", "--shard", "2/3").code == 0
    if "copy" in parts:
        shutil.copytree(many / "1of3", many / "copy")
    for name, more in {"plain": [], "other": ["-t", "1"], "all": [], "namesake": []}.items():
        if name in parts:
            folder = "pictures" if name != "namesake" else "elsewhere"
            (many / "elsewhere").mkdir(exist_ok=True)
            spot_picture().save(many / "elsewhere" / "a.png")
            assert tiny(f"{folder}/a.png", "-o", name, *more).code == 0
    for name in {"summary", "filters"} & {*parts}:
        assert run(name, "tiny.py:Net", "-o", name, "--input-size", "64").code == 0
    if "running" in parts:
        assert tiny("pictures/a.png", "-o", "running").code == 0
        described = json.loads((many / "running" / "run.json").read_text())
        described |= {"status": "running", "images": {"count": 1}}
        del described["seconds"], described["work"]
        (many / "running" / "run.json").write_text(json.dumps(described))
    if "twin" in parts:
        shutil.copytree(many / "plain", many / "twin")
    before = contents(many / "all") if "all" in parts else None
    done = run("merge", *parts, "-o", "all")
    assert done.code == 2, done.err
    assert said in done.error
    assert "'images'" not in done.error, "no word of how it was looked up"
    assert done.hint
    assert (contents(many / "all") if before is not None else None) == before


def test_a_part_that_was_tampered_with_is_refused(tiny: Run, run: Run, many: Path) -> None:
    assert tiny("pictures/a.png", "pictures/b.png", "-o", "one").code == 0
    (many / "secret.png").write_bytes(b"\x89PNG cnnexplain, but not in the part")
    lines = (many / "one" / "results.jsonl").read_text().splitlines()
    moved = {**json.loads(lines[0]), "digest": None}
    del moved["digest"]  # as an earlier version of this program would have written it
    away = [json.dumps(moved).replace("a.png.gradcam.png", "../secret.png"), lines[1]]
    (many / "one" / "results.jsonl").write_text("\n".join(away) + "\n")
    done = run("merge", "one", "-o", "all")
    assert done.code == 2
    assert "is not there, or is not from cnnexplain" in done.error
    (many / "one" / "results.jsonl").write_text(lines[0] + "\n")
    assert "has 1 records of 2 images" in run("merge", "one", "-o", "all").error
    assert not any(many.rglob("secret.png.*"))
    (many / "one" / "results.jsonl").write_text("\n".join(lines) + "\n")
    described = (many / "one" / "run.json").read_text()
    (many / "one" / "run.json").write_text(described.replace('"seconds": ', '"seconds": NaN, "before": '))
    assert (
        "one holds no run over pictures: ValueError: NaN is no number"
        in run("merge", "one", "-o", "all").error
    )
    for edit in ({"choices": [1]}, {"started": 1}, {"seconds": 10**400}, {"model": {"preprocess": 5}}):
        edited = {**json.loads(described), **edit}
        (many / "one" / "run.json").write_text(json.dumps(edited))
        assert "one holds no run over pictures" in run("merge", "one", "-o", "all").error, edit
    (many / "one" / "run.json").unlink()
    os.mkfifo(many / "one" / "run.json")
    assert "there is no run in one" in run("merge", "one", "-o", "all").error, "and is not waited for"


def test_more_parts_are_joined_than_files_may_be_open(tiny: Run, many: Path) -> None:
    assert tiny("pictures/a.png", "-o", "one", "--no-pictures").code == 0
    names = [f"parts/{number}" for number in range(130)]
    described = (many / "one" / "run.json").read_text()
    for name in names:
        shutil.copytree(many / "one", many / name)
        (many / name / "run.json").write_text(described.replace("a.png (", f"{name}.png ("))
    few = f'ulimit -n 60 && exec "{sys.executable}" -m cnnexplain merge "$@" -o all'
    done = subprocess.run(["sh", "-c", few, "sh", *names], cwd=many, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert len(records(many / "all")) == 130


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one["explanations"][0].update(min=float("nan")),
        lambda one: one.update(status=None),
        lambda one: one.update(size="x"),
        lambda one: one.update(predictions=["cat"]),
        lambda one: one["predictions"][0].update(label=None),
        lambda one: one["explanations"][0].update(picture="\ud800"),
        lambda one: one["explanations"][0].update(picture=["a"]),
        lambda one: one["explanations"][0].update(target=5),
        lambda one: one["explanations"][0].update(shape=[8]),
        lambda one: one["explanations"][0].update(shape=["8", "8"]),
        lambda one: one["explanations"][0].update(layer=["relu"]),
        lambda one: one.update(status="error", error={}),
        lambda one: one.clear(),
    ],
)  # no digest gives them away, as in records of earlier versions
def test_a_record_that_was_not_written_like_this_is_refused(
    tiny: Run, run: Run, many: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    assert tiny("pictures/a.png", "-o", "one").code == 0
    record = json.loads((many / "one" / "results.jsonl").read_text())
    del record["digest"]
    edit(record)
    (many / "one" / "results.jsonl").write_text(json.dumps(record) + "\n")
    done = run("merge", "one", "-o", "all")
    assert done.code == 2, done.err
    assert "a record in one/results.jsonl is not as it was written" in done.error


def test_a_run_in_a_folder_called_report_is_left_alone(tiny: Run, many: Path) -> None:
    assert tiny("pictures/a.png", "-o", "out/report").code == 0
    before = contents(many / "out" / "report")
    for more in ([], ["--overwrite"]):
        assert tiny("pictures/b.png", "-o", "out", *more).code == 0
        assert (many / "out" / "report" / "index.html").exists()
        assert contents(many / "out" / "report") == before


def test_the_same_run_with_other_names_of_files_is_another(tiny: Run, many: Path) -> None:
    assert tiny("pictures/a.png", "-o", "out").code == 0
    assert (
        "asked for was nothing, and is now method"
        in tiny("pictures/a.png", "-o", "out", "-m", "gradcam").error
    )


def test_numbers_go_to_tensorboard_where_no_pictures_are_drawn(tiny: Run, many: Path) -> None:
    pytest.importorskip("tensorboard")
    done = tiny("pictures", "-o", "out", "--no-pictures", "--tensorboard", "board", "--max-failures", "1")
    assert done.code == 0, done.err
    assert len(records(many / "out")) == PICTURES
    assert any((many / "board").iterdir())


def test_a_sample_is_drawn_by_the_seed_and_keeps_the_order(tiny: Run, many: Path) -> None:
    def sampled(out: str, *more: str) -> list[str]:
        done = tiny("pictures", "-o", out, "--sample", "4", "--max-failures", "1", *more)
        assert done.code == 0, done.err
        return [one["image"] for one in records(many / out)]

    first = sampled("one")
    assert len(first) == 4
    assert first == sorted(first, key=lambda name: ("deep" in name, name))
    assert sampled("two") == first
    assert sampled("three", "--seed", "5") != first
    assert tiny("pictures", "-o", "four", "--sample", "99", "--max-failures", "1").code == 0
    assert len(records(many / "four")) == PICTURES


def test_without_pictures_the_records_are_the_same_but_for_them(tiny: Run, many: Path) -> None:
    assert tiny("pictures", "-o", "with", "--max-failures", "1").code == 0
    assert tiny("pictures", "-o", "without", "--no-pictures", "--max-failures", "1").code == 0
    drawn = records(many / "with")
    for record in drawn:
        for one in record["explanations"]:
            one["picture"] = None
        record.pop("numbers", None)  # are of the viewer, which has no picture to lay them on
        record.pop("words", None)  # are on the picture
    bare = records(many / "without")
    for record in (*drawn, *bare):
        del record["digest"]
    assert bare == drawn
    assert {path.name for path in (many / "without").iterdir()} == {"index.html", "results.jsonl", "run.json"}
    page = (many / "without" / "index.html").read_text()
    assert page.count("<figcaption>") == PICTURES - 1, "what was found is told"
    assert page.count("<dt>peak</dt>") == PICTURES - 1
    assert "<img" not in page, "though it cannot be shown"
    assert 'class="links"' not in page
    again = tiny("pictures", "-o", "without", "--no-pictures", "--max-failures", "1")
    assert "10 of 11 images were done before" in again.err
    assert "pictures was False, and is now True" in tiny("pictures", "-o", "without").error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shard", "0/3"], "--shard '0/3' is no part of a whole"),
        (["--shard", "4/3"], "--shard '4/3'"),
        (["--shard", "half"], "--shard 'half'"),
        (["--batch-size", "0"], "--batch-size '0' is neither a number of pictures nor auto"),
        (["--batch-size", "many"], "--batch-size 'many'"),
        (["--batch-size", "65537"], "--batch-size '65537'"),
        (["--sample", "0"], "0"),
        (["--processes", "0"], "0"),
        (["--engine", "slurm"], "slurm"),
        (["--ray-address", "auto"], "--ray-address goes with --engine ray"),
        (["--max-failures", "120%"], "--max-failures '120%' is more than all"),
    ],
)
def test_what_makes_no_sense_is_said_in_two_lines(
    tiny: Run, many: Path, options: list[str], said: str
) -> None:
    done = tiny("pictures", "-o", "out", *options)
    assert done.code == 2
    assert said in done.error
    assert done.hint
    assert not (many / "out").exists()


def _processes(out: str) -> list[str]:
    return [
        "gradcam",
        "tiny.py:Slow",
        "pictures",
        *TINY_OPTIONS,
        "--batch-size",
        "1",
        "--max-failures",
        "1",
        "-o",
        out,
    ]


@pytest.mark.slow
def test_several_processes_do_what_one_does_also_when_one_of_them_dies(run: Run, many: Path) -> None:
    for number in range(20):
        spot_picture((96, 64), (2 * number, 30)).save(many / "pictures" / f"slow{number:02}.png")
    assert run(*_processes("one"), env=AWAKE).code == 0
    words = [sys.executable, "-m", "cnnexplain", *_processes("two"), "--processes", "2", "-v"]
    process = subprocess.Popen(
        words, cwd=many, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    next(line for line in process.stderr if "class 1" in line)  # the first is done
    explaining = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True
    )
    os.kill(int(explaining.stdout.split()[0]), signal.SIGKILL)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert contents(many / "two") == contents(many / "one")
    assert not (many / "two" / ".cnnexplain").exists()


def _children(parent: int) -> list[str]:
    return subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True).stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_several_processes_end_together(many: Path, sent: signal.Signals, code: int) -> None:
    for number in range(20):
        spot_picture((96, 64), (2 * number, 30)).save(many / "pictures" / f"slow{number:02}.png")
    words = [sys.executable, "-m", "cnnexplain", *_processes("out"), "--processes", "2", "-v"]
    process = subprocess.Popen(
        words, cwd=many, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    next(line for line in process.stderr if "class 1" in line)
    children = _children(process.pid)
    assert len(children) > 2, "two that explain, and one of Python's own"
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.send_signal(sent)
    told = process.stderr.read()
    assert process.wait(60) == code
    assert "Traceback" not in told
    if sent is not signal.SIGKILL:
        assert "error: interrupted after" in told
        drawn = len(list((many / "out").rglob("*.png")))
        assert sum(one["status"] == "ok" for one in records(many / "out")) == drawn, "nothing done is lost"
    until = time.monotonic() + 30
    while any(Path("/proc", child).exists() for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path("/proc", child).exists() for child in children)


def test_processes_that_die_again_and_again_end_the_run_in_words(run: Run, many: Path) -> None:
    (many / "deadly.py").write_text(
        "import os\nfrom tiny import Net\nclass Deadly(Net):\n    def forward(self, x):\n"
        "        if os.getppid() != int(os.environ['PARENT']):\n            os._exit(9)\n"
        "        return super().forward(x)\n"
    )
    done = run(
        *("gradcam", "deadly.py:Deadly", "pictures", *TINY_OPTIONS, "-o", "out"),
        *("--processes", "2", "--batch-size", "1"),
        env={"PARENT": str(os.getpid()), "PYTHONPATH": str(many)},
        preloaded=False,
    )
    assert done.code == 2, done.err
    assert "a process that explains pictures crashed 3 times in a row" in done.error
    assert "--processes" in done.hint


def test_a_record_whose_class_was_renamed_is_refused_and_one_of_an_earlier_version_is_not(
    tiny: Run, run: Run, many: Path
) -> None:
    assert tiny("pictures/a.png", "-o", "one").code == 0
    record = json.loads((many / "one" / "results.jsonl").read_text())
    record["predictions"][0]["label"] = "forged"
    (many / "one" / "results.jsonl").write_text(json.dumps(record) + "\n")
    done = run("merge", "one", "-o", "all")
    assert (done.code, "that of pictures/a.png was edited" in done.error) == (2, True), done.err
    del record["digest"]
    (many / "one" / "results.jsonl").write_text(json.dumps(record) + "\n")
    assert run("merge", "one", "-o", "all").code == 0
