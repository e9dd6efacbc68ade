"""Another package adds a command with a result and a reducer, a formula, a check and a source, and touches nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

PLUGIN = Path(__file__).with_name("plugin")
Shell = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def shell(tmp_path: Path, programs: Path) -> Shell:
    """Runs the command where the package can be imported, on a dark and a bright picture."""
    for name, colour in (("dark", 51), ("light", 204)):
        Image.new("RGB", (32, 32), (colour,) * 3).save(tmp_path / f"{name}.png")

    def run(
        *arguments: str, code: int = 0, path: Path = PLUGIN, preloaded: bool = True
    ) -> subprocess.CompletedProcess:
        program = [programs / "cnnexplain"] if preloaded else [sys.executable, "-m", "cnnexplain"]
        places = [str(path), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "COLUMNS": "200", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def test_a_command_with_its_result_its_picture_and_its_reducer(tmp_path: Path, shell: Shell) -> None:
    assert "How bright the sky is." in shell("--help", preloaded=False).stdout
    assert "--times" in shell("weather", "--help").stdout
    call = ("weather", "almanac:sun", "dark.png", "light.png")
    done = shell(*call, "-o", "out")
    assert "sky 0.20" in done.stderr
    assert "clouds  the darkest of 2 has 0.20" in done.stderr
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    (sky,) = records[1]["explanations"]
    assert (sky["kind"], sky["brightness"], sky["picture"]) == ("sky", 0.8, "light.png.weather.png")
    with Image.open(tmp_path / "out" / sky["picture"]) as picture:
        assert picture.getpixel((4, 4)) == (204, 204, 255)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["clouds"] == {"darkest": 0.2, "images": 2}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "light.png.weather.png" in page
    assert "What was recorded" in page  # a plain table: the package has no page of its own
    assert "2 of 2 images were done before" in shell(*call, "-o", "out").stderr


def test_parts_of_such_a_run_are_joined_with_and_without_the_package(tmp_path: Path, shell: Shell) -> None:
    call = ("weather", "almanac:sun", "dark.png", "light.png")
    whole = shell(*call, "--json").stdout
    for part in ("1", "2"):
        shell(*call, "--shard", f"{part}/2", "-o", f"part{part}")
    shell("merge", "part1", "part2", "-o", "all", preloaded=False)
    assert json.loads((tmp_path / "all" / "run.json").read_text())["clouds"] == {"darkest": 0.2, "images": 2}
    kept = [json.loads(line) for line in (tmp_path / "all" / "results.jsonl").read_text().splitlines()]
    assert [record["image"] for record in kept] == [json.loads(line)["image"] for line in whole.splitlines()]
    shell("merge", "part1", "part2", "-o", "without", path=tmp_path)
    assert "clouds" not in json.loads((tmp_path / "without" / "run.json").read_text())
    assert "What was recorded" in (tmp_path / "without" / "index.html").read_text()


def test_a_formula_a_check_and_a_source(tmp_path: Path, shell: Shell) -> None:
    call = ("gradcam", "almanac:moon", "light.png", "-m", "sumcam,gradcam", "-o", "out")
    shell(*call, preloaded=False)  # formulas are put together while the command is imported
    (record,) = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [entry["method"] for entry in record["explanations"]] == ["sumcam", "gradcam"]
    assert {prediction["label"] for prediction in record["predictions"]} == {"rain", "shine"}
    assert "did you mean almanac:moon?" in shell("gradcam", "almanac:mon", "light.png", code=2).stderr
    checked = shell("check", "almanac:moon", "light.png", "--only", "sunny")
    assert "the model is called moon" in checked.stderr + checked.stdout


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, shell: Shell) -> None:
    broken = tmp_path / "broken" / "cnnexplain_broken-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: cnnexplain-broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[cnnexplain.commands]\nrain = cnnexplain_rain:Rain\n")
    said = shell("rain", "almanac:sun", "light.png", code=2, path=tmp_path / "broken").stderr
    assert said.splitlines() == [
        "error: rain of the package cnnexplain-broken cannot be imported: "
        "ModuleNotFoundError: No module named 'cnnexplain_rain'",
        "hint: update cnnexplain-broken, or remove it: pip uninstall cnnexplain-broken",
    ]
