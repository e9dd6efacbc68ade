"""`compare` from outside: its files, and what is said of a folder, whatever parts the run was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shell import TINY_OPTIONS, Run, records, spot_picture

CALL = ("compare", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--cells", "4", "--points", "3", "--orders", "3")


def described(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text())
    return found


def test_every_map_has_its_file_and_shards_come_to_the_same_means(run: Run, work: Path) -> None:
    for number in range(3):
        spot_picture((96, 64), (8 + 16 * number, 8)).save(work / "pictures" / f"more{number}.png")
    methods = ("-m", "gradcam,gradient")
    whole = run(*CALL, *methods, "-o", "whole")
    assert whole.code == 0, whole.err
    first = records(work / "whole")[0]["explanations"]
    assert [one["kind"] for one in first] == ["comparison", "map", "map"]
    assert len({one["picture"] for one in first}) == 3
    assert all((work / "whole" / one["picture"]).exists() for one in first)
    for part in (2, 1):
        assert run(*CALL, *methods, "-o", f"part{part}", "--shard", f"{part}/2").code == 0
    done = run("merge", "part1", "part2", "-o", "all")
    assert done.code == 0, done.err
    means = described(work / "whole")["compared"]
    assert described(work / "all")["compared"] == means
    assert (work / "all" / "results.jsonl").read_bytes() == (work / "whole" / "results.jsonl").read_bytes()
    assert means["references"]["random"]["images"] == len(records(work / "whole"))
    assert "gradient: advantage" in whole.err
    seconds = described(work / "whole")["work"]
    assert {"gradcam -m gradcam", "saliency -m gradient"} < set(seconds)
    assert "gradcam -m gradcam" in (work / "whole" / "index.html").read_text()
    assert "gradcam -m gradcam" in whole.err
    assert "Mean advantage over random orders" in (work / "whole" / "index.html").read_text()
    again = run(*CALL, *methods, "-o", "whole")
    assert "were done before" in again.err
    assert described(work / "whole")["compared"] == means


def test_methods_that_nobody_named_have_a_file_each(run: Run, work: Path) -> None:
    done = run(*CALL, "--scores", "curves", "--limit", "1", "-o", "out")
    assert done.code == 0, done.err
    (record,) = records(work / "out")
    names = [one["picture"].partition(".compare")[2] for one in record["explanations"]]
    assert names == [".png", ".gradcam.png", ".integrated-gradients.png", ".sliding.png"]
    compared = record["explanations"][0]["methods"]
    assert ["gap" in one for one in compared] == [False, True, False]
    page = (work / "out" / "index.html").read_text()
    assert "Methods compared" in page
    assert "Mean advantage" not in page, "of one image"
    assert "no better than" in page or "better than random" in page


def test_a_method_that_nobody_has_is_refused_with_the_one_that_was_meant(run: Run, work: Path) -> None:
    wrong = run(*CALL, "-m", "gradcam,slidng", "-o", "out")
    assert wrong.code == 2
    assert "hint: did you mean --method sliding?" in wrong.err
    assert not (work / "out").exists()
