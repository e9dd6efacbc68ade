"""`cnnexplain units` as a user runs it: any way of dividing the work ends the same; what goes wrong is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from shell import DOCS, TINY_OPTIONS, Run, environment, spot_picture

CALL = ("units", "tiny.py:Net", "pictures", "-l", "relu", *TINY_OPTIONS, "--max-failures", "1")

VALIDATOR = jsonschema.Draft202012Validator(json.loads((DOCS / "unit.schema.json").read_text()))


@pytest.fixture(autouse=True)
def pictures(work: Path) -> None:
    for number in range(20):
        spot_picture((96, 64), (3 * number, 8)).save(work / "pictures" / f"more{number:02}.png")
    (work / "pictures" / "torn.png").write_bytes(b"\x89PNG\r\n")


def contents(out: Path) -> dict[str, bytes]:
    """What must be the same: the units' records and all pictures."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.name == "results.jsonl" or path.suffix == ".jpg"
    }


def units(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_shards_processes_and_a_run_that_was_killed_end_the_same(run: Run, work: Path) -> None:
    used = (*CALL, "--importance", "--importance-images", "10")
    assert run(*used, "-o", "whole").code == 0
    whole = contents(work / "whole")
    assert {name.partition("/")[0] for name in whole} == {"results.jsonl", "units", "thumbs"}
    for part in ("1/2", "2/2"):
        assert run(*used, "--shard", part, "-o", f"part{part[0]}").code == 0
    joined = run("merge", "part1", "part2", "-o", "joined", "--max-failures", "1")
    assert "without --shard" in joined.err
    again = run(*used, "-o", "joined")
    assert "24 of 24 images were done before" in again.err or "23 of 24" in again.err
    assert contents(work / "joined") == whole
    assert run(*used, "--processes", "2", "--batch-size", "6", "-o", "processes").code == 0
    assert contents(work / "processes") == whole
    words = [word.replace("tiny.py:Net", "tiny.py:Slow") for word in used]
    started = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *words, "--batch-size", "2", "-o", "killed"],
        cwd=work,
        env=environment({"NAP": "0.5"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = work / "killed" / ".cnnexplain" / "journal.jsonl"
    for _ in range(600):
        if journal.is_file() and journal.stat().st_size:
            break
        time.sleep(0.1)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (work / "killed" / "results.jsonl").exists()
    ended = run(*words, "--batch-size", "2", "-o", "killed", env={"NAP": "0"})
    assert "were done before" in ended.err
    slow = contents(work / "killed")
    lines, undisturbed = (map(json.loads, each.pop("results.jsonl").splitlines()) for each in (slow, whole))
    assert slow == whole
    other = {"model": "", "digest": ""}
    assert [{**one, **other} for one in lines] == [{**one, **other} for one in undisturbed]


def test_a_record_of_every_unit_with_its_pictures(run: Run, work: Path) -> None:
    done = run(*CALL, "-o", "out", "--top", "4", "--json")
    first, second = units(work / "out")
    assert [json.loads(line)["channel"] for line in done.out.splitlines() if '"unit"' in line] == [0, 1]
    assert (first["layer"], first["channel"], first["images"]) == ("relu", 0, 23)
    assert first["shape"] == [8, 8]
    assert [len(first[group]) for group in ("top", "median", "random")] == [4, 3, 3]
    assert [shown["patch"] for shown in (*first["top"], *first["median"], *first["random"])] == [*range(10)]
    top = first["top"][0]
    left, upper, right, lower = top["box"]
    assert left <= top["at"][0] < right
    assert upper <= top["at"][1] < lower
    assert first["tiles"] == {"side": 64, "columns": 10, "rows": 2}
    with Image.open(work / "out" / first["picture"]) as sheet:
        assert sheet.size == (640, 128)
    assert (work / "out" / top["thumb"]).is_file()
    assert first["importance"] is None
    assert {"inputs", "outputs"} == {*first["wiring"]}
    assert second["dead"] == (second["quantiles"][0] == second["quantiles"][-1])
    scans = [json.loads(line) for line in (work / "out" / "scan.jsonl").read_text().splitlines()]
    assert len(scans) == 24
    assert first["picture"] in (work / "out" / "index.html").read_text()


@pytest.mark.slow
def test_a_cluster_ends_the_same_as_one_process(run: Run, work: Path) -> None:
    pytest.importorskip("ray")
    words = (*CALL, "--batch-size", "2")
    assert run(*words, "-o", "whole").code == 0
    done = run(*words, "--engine", "ray", "--processes", "2", "-o", "cluster")
    assert done.code == 0, done.err
    assert contents(work / "cluster") == contents(work / "whole")


def test_what_comes_after_the_pass_shows_how_far_it_is(
    work: Path, run: Run, on_terminal: Callable[..., Any]
) -> None:
    watched = on_terminal(*CALL, "-o", "watched", terminal="stderr")
    assert watched.code == 0
    assert "showing relu" in watched.err
    plain = run(*CALL, "-o", "plain")
    shown = [unit[group] for unit in units(work / "plain") for group in ("top", "median", "random")]
    patches, back = sum(map(len, shown)), sum(map(len, shown[::3]))
    assert f"2 units of relu: {patches} patches, {back} of them projected back, out of" in plain.err
    assert "showing relu" not in plain.err


def test_what_channels_matter_and_read_stands_in_records_and_pages(run: Run, work: Path) -> None:
    done = run(*CALL, "-o", "out", "--no-deconv", "--importance", "--importance-images", "5")
    assert "importance  of 5 pictures at most (in each 2 channels set to zero, one at a time)" in done.err
    every = units(work / "out")
    for unit in every:
        assert list(VALIDATOR.iter_errors(unit)) == []
        assert unit["importance"]["images"] == 5
        assert sum(each["images"] for each in unit["importance"]["classes"]) == 5
    page = (work / "out" / "report" / "units-relu-1.html").read_text()
    assert "in the mean of 5 images" in page
    assert every[0]["wiring"]["inputs"] in page
    assert 'value="importance"' in (work / "out" / "report" / "layer-relu.html").read_text()
    refused = run(*CALL, "-o", "other", "--importance-images", "5")
    assert refused.code == 2
    assert "add --importance" in refused.err


def test_the_values_are_saved_and_units_are_in_the_log(run: Run, work: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = (*CALL, "-o", "out", "--no-deconv", "--importance", "--save-raw")
    assert run(*words).code == 0
    done = run(*words, "--tensorboard", "log")
    assert done.code == 0, done.err
    every = units(work / "out")
    assert {unit["raw"] for unit in every} == {"units/relu.npz"}
    assert all(list(VALIDATOR.iter_errors(unit)) == [] for unit in every)
    raw = np.load(work / "out" / "units" / "relu.npz")
    scans = [json.loads(line) for line in (work / "out" / "scan.jsonl").read_text().splitlines()]
    for unit in every:
        values, places = raw["values"][unit["channel"]], raw["images"][unit["channel"]]
        for rank, shown in enumerate(unit["top"]):
            assert values[rank] == pytest.approx(shown["activation"], rel=1e-5)
            assert scans[places[rank]]["image"] == shown["image"]
            cell = int(raw["cells"][unit["channel"], rank])
            assert [cell // unit["shape"][1], cell % unit["shape"][1]] == shown["cell"]
        assert raw["maxima"][:, unit["channel"]].max() == pytest.approx(unit["quantiles"][-1], rel=1e-5)
        assert raw["drops"][:, unit["channel"]].mean() == pytest.approx(unit["importance"]["mean"], rel=1e-4)
    assert (raw["images"] >= 0).sum() == (raw["values"] > -np.inf).sum()
    log = EventAccumulator(str(work / "log"), size_guidance={"images": 0}).Reload()
    shown = [unit for unit in every if unit["picture"]]
    assert [each.step for each in log.Images("units/relu")] == [unit["channel"] for unit in shown]
    for unit, fires, matters in zip(
        every, log.Scalars("units/relu/fires"), log.Scalars("units/relu/importance/mean"), strict=True
    ):
        assert fires.step == matters.step == unit["channel"]
        assert fires.value == pytest.approx(unit["fires"])
        assert matters.value == pytest.approx(unit["importance"]["mean"])
    assert run(*words, "--tensorboard", "log").code == 0
    again = EventAccumulator(str(work / "log"), size_guidance={"images": 0}).Reload()
    assert len(again.Images("units/relu")) == len(shown)


def test_units_that_are_there_are_not_made_again(run: Run, work: Path) -> None:
    assert run(*CALL, "-o", "out", "--no-deconv").code == 0
    first = contents(work / "out")
    sheet = work / "out" / units(work / "out")[0]["picture"]
    made = sheet.stat().st_mtime_ns
    assert run(*CALL, "-o", "out", "--no-deconv").code == 0
    assert sheet.stat().st_mtime_ns == made
    sheet.unlink()
    assert run(*CALL, "-o", "out", "--no-deconv").code == 0
    assert contents(work / "out") == first
    spot_picture((96, 64), (40, 30)).save(work / "pictures" / "more00.png")  # another one of that name
    assert run(*CALL, "-o", "out", "--no-deconv").code == 0
    assert contents(work / "out") != first


def test_a_folder_is_cleared_of_what_was_there(run: Run, work: Path) -> None:
    assert run(*CALL, "-o", "out").code == 0
    assert run(*CALL[:3], "-l", "blocks", *TINY_OPTIONS, "--max-failures", "1", "-o", "out").code == 2
    done = run("gradcam", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "-o", "out", "--overwrite")
    assert done.code == 0
    assert not list((work / "out").rglob("*.jpg"))
    assert not (work / "out" / "scan.jsonl").exists()


def test_what_is_known_of_classes(run: Run, work: Path) -> None:
    (work / "labels.csv").write_text(
        "image,label\n"
        + "".join(f"pictures/{path.name},0\n" for path in sorted((work / "pictures").iterdir()))
    )
    assert run(*CALL, "-o", "out", "--labels-from", "labels.csv").code == 0
    first = units(work / "out")[0]
    assert first["purity"]["label"] or first["dead"]
    assert all(shown["label"] for shown in first["top"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["units", "tiny.py:Net", "empty", "-l", "relu", *TINY_OPTIONS], 4, "empty"),
        (["units", "tiny.py:Net", "pictures", "-l", "head", *TINY_OPTIONS], 2, "vector"),
        ([*CALL, "--channel", "2"], 2, "--channel 2 is not in relu"),
        ([*CALL, "--max-failures", "0"], 3, "torn.png"),
        (["units", "tiny.py:Net", "pictures", "--json", *TINY_OPTIONS], 2, "needs a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    run: Run, work: Path, words: list[str], code: int, says: str
) -> None:
    (work / "empty").mkdir()
    given = words if "--json" in words else [*words, "-o", "out"]
    done = run(*given)
    assert done.code == code
    assert says in done.err
    assert done.err.count("error:") == done.err.count("hint:") == 1
    if code == 3:
        assert len(units(work / "out")) == 2, "what could be scanned is there"
