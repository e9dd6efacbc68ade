"""Figures for papers from the shell: plain pictures, pixels per inch, shared scales, and what a run's folder says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from shell import Run


def described(out: Path) -> dict:
    return json.loads((out / "run.json").read_text())


def test_plain_figures_have_the_size_of_the_picture_and_pixels_per_inch(tiny: Run, work: Path) -> None:
    done = tiny("pictures", "-o", "out", "--figure", "plain", "--dpi", "300")
    assert done.code == 0, done.err
    with Image.open(work / "pictures" / "a.png") as photograph:
        side = max(photograph.size)
    for name in "abc":
        with Image.open(work / "out" / f"{name}.png.gradcam.png") as figure:
            assert figure.width % photograph.width == 0 or side > 640
            assert figure.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert not list((work / "out").glob("*.numbers.css")), "the page has no photograph to lay them on"
    records = [json.loads(line) for line in (work / "out" / "results.jsonl").read_text().splitlines()]
    assert all("numbers" not in record for record in records)
    assert "a.png.gradcam.png" in (work / "out" / "index.html").read_text()
    again = tiny("pictures", "-o", "out", "--figure", "plain", "--dpi", "300")
    assert "3 of 3 images were done before" in again.err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--figure", "plain"], "figure was card, and is now plain"),
        (["--scale", "shared"], "scale was own, and is now shared"),
        (["--dpi", "300"], "dpi was None, and is now 300"),
    ],
)
def test_pictures_of_two_kinds_do_not_lie_in_one_folder(
    tiny: Run, work: Path, change: list[str], named: str
) -> None:
    assert tiny("pictures", "-o", "out", "--limit", "1").code == 0
    done = tiny("pictures", "-o", "out", "--limit", "1", *change)
    assert done.code == 2
    assert named in done.error


def test_scales_of_other_commands_are_their_own(run: Run, work: Path) -> None:
    model = ("tiny.py:Net", "--input-size", "64")
    options = {
        "activations": (["--scale", "layer"], "layer"),
        "filters": (["--scale", "shared"], "shared"),
        "gradcam": (["--scale", "shared"], "shared"),
    }
    for command, (words, scale) in options.items():
        images = [] if command == "filters" else ["pictures/a.png"]
        done = run(command, *model, *images, *words, "-o", command)
        assert done.code == 0, done.err
        assert described(work / command)["options"]["scale"] == scale
    done = run("activations", *model, "pictures/a.png", "--scale", "own", "-o", "other")
    assert done.code == 2
    assert "--scale 'own' is not one of channel, layer" in done.error
    done = run("gradcam", *model, "pictures/a.png", "-o", "set", env={"CNNEXPLAIN_SCALE": "shared"})
    assert described(work / "set")["options"]["scale"] == "shared"
    done = run("activations", *model, "pictures/a.png", "-o", "by", env={"CNNEXPLAIN_SCALE": "shared"})
    assert described(work / "by")["options"]["scale"] == "channel"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--figure", "plan"], "--figure 'plan' is not one of card, plain"),
        (["--scale", "0.5"], "--scale '0.5' is not one of own, shared"),
        (["--dpi", "0"], "--dpi 0 is too small"),
    ],
)
def test_other_words_are_refused(tiny: Run, words: list[str], problem: str) -> None:
    done = tiny("pictures", "-o", "out", *words)
    assert done.code == 2
    assert problem in done.error


@pytest.mark.parametrize("command", ["compare", "units", "summary", "deconv"])
def test_commands_that_cannot_use_them_do_not_show_them(run: Run, command: str) -> None:
    shown = run(command, "--help-all").out
    assert "--scale" not in shown
    assert ("--figure" in shown) is (command == "deconv")
