"""Figures for papers from the shell: plain pictures, pixels per inch, shared scales, and what a run's folder says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from shell import TINY_OPTIONS, Run


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
        (["--figure", "plan"], "--figure 'plan' is not one of card, plain, svg, pdf, latex"),
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
    assert ("--figure" in shown) is (command != "units")


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (
            "compare tiny.py:Net pictures/a.png --figure plain",
            "--figure plain leaves out words",
            "--figure pdf",
        ),
        (
            "gradcam tiny.py:Net pictures/a.png --no-pictures --figure pdf",
            "--figure says how pictures look, and --no-pictures draws none",
            "leave one of them out",
        ),
        ("summary tiny.py:Net --figure latex", "--figure latex leaves out words", "--figure pdf"),
        ("units tiny.py:Net pictures --dpi 300", "--dpi has no use in units", "leave --dpi out"),
        ("units tiny.py:Net pictures --figure svg", "--figure has no use in units", "leave --figure out"),
        (
            "compare tiny.py:Net pictures/a.png --scale shared",
            "--scale has no use in compare",
            "leave --scale out",
        ),
        (
            "deconv tiny.py:Net pictures/a.png --scale shared",
            "--scale has no use in deconv",
            "leave --scale out",
        ),
        ("maximize tiny.py:Net -t 0 --scale shared", "--scale has no use in maximize", "leave --scale out"),
    ],
)
def test_what_changes_nothing_is_refused_in_two_lines(run: Run, words: str, problem: str, hint: str) -> None:
    done = run(*words.split(), "-o", "out")
    assert done.code == 2
    first, second = done.err.splitlines()
    assert problem in first
    assert hint in second


def test_settings_for_all_commands_are_passed_over_there(run: Run, work: Path) -> None:
    env = {"CNNEXPLAIN_FIGURE": "latex", "CNNEXPLAIN_SCALE": "shared", "CNNEXPLAIN_DPI": "300"}
    done = run("summary", "tiny.py:Net", "--input-size", "64", "-o", "set", env=env)
    assert done.code == 0, done.err
    assert described(work / "set")["options"]["figure"] == "card"


def test_settings_give_way_to_what_was_typed_of_pictures(run: Run, work: Path) -> None:
    words = ["gradcam", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "-o"]
    assert run(*words, "none", "--no-pictures", env={"CNNEXPLAIN_FIGURE": "latex"}).code == 0
    assert not (work / "none" / "figures.tex").exists()
    assert run(*words, "some", "--figure", "svg", env={"CNNEXPLAIN_PICTURES": "0"}).code == 0
    assert list((work / "some").glob("*.svg"))


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_files_with_text_lie_beside_the_pictures(run: Run, work: Path, ending: str) -> None:
    calls = {
        "gradcam": ("pictures/a.png", "-t", "top2"),
        "compare": ("pictures/a.png", "-m", "gradcam,layercam"),
        "filters": (),
        "summary": (),
        "maximize": ("-t", "0", "--steps", "2", "--size", "32"),
    }
    for command, more in calls.items():
        asked = (
            command,
            "tiny.py:Net",
            *more,
            *f"--input-size 64 --figure {ending} -o {command}-{ending}".split(),
        )
        done = run(*asked)
        assert done.code == 0, done.err
        out = work / f"{command}-{ending}"
        pictures = {file.stem for file in out.glob("*.png") if ".plain." not in file.name}
        files = {file.stem: file for file in out.glob(f"*.{ending}")}
        assert files.keys() == pictures
        assert all(b"cnnexplain" in file.read_bytes()[:512] for file in files.values())
        (record,) = map(json.loads, (out / "results.jsonl").read_text().splitlines())
        assert {file.name for file in files.values()} <= set(record["drawings"])
        page = (out / "index.html").read_text()
        assert [file.name for file in files.values() if f'"./{file.name}"' not in page] == []
        before = {name: file.read_bytes() for name, file in files.items()}
        next(iter(files.values())).unlink()
        assert run(*asked).code == 0
        assert {file.stem: file.read_bytes() for file in out.glob(f"*.{ending}")} == before, "made again"
        assert run(command, *asked[1:-4], "-o", asked[-1], "--overwrite").code == 0
        left = {file.name for file in out.glob(f"*.{ending}")}
        assert left == ({"summary.svg"} if (command, ending) == ("summary", "svg") else set())


def test_a_contact_sheet_for_latex(tiny: Run, work: Path) -> None:
    done = tiny("pictures", "-o", "out", "--figure", "latex", "-t", "top2")
    assert done.code == 0, done.err
    sheet = (work / "out" / "figures.tex").read_text()
    pictures = {file.name for file in (work / "out").glob("*.png")}
    assert {f"{path}.png" for path in re.findall(r"cnnexplainfolder/\{(.*?)\}\.png", sheet)} == pictures
    assert len(pictures) == 6
    assert not list((work / "out").glob("*.numbers.css"))
    assert tiny("pictures", "-o", "out", "--overwrite").code == 0
    assert not (work / "out" / "figures.tex").exists()
