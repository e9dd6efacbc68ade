"""`--tensorboard DIR` as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import TINY_OPTIONS, Run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["deconv"])
def test_every_command_writes_events_and_says_nothing_of_it(run: Run, work: Path, command: str) -> None:
    done = run(
        command, "tiny.py:Net", "pictures", "-q", "-o", "out", "--tensorboard", "tb/one", *TINY_OPTIONS
    )
    assert (done.code, done.out, done.err) == (0, "out/index.html\n", "")
    (events,) = (work / "tb" / "one").iterdir()
    found = EventAccumulator(str(events), size_guidance={"images": 0}).Reload()
    shown = [found.Images(tag)[0].encoded_image_string for tag in found.Tags()["images"]]
    assert sorted(shown) == sorted(path.read_bytes() for path in (work / "out").glob("*.png"))
    assert all(tag.startswith(f"{command}/") for tag in found.Tags()["images"])
    assert found.Tags()["graph"]
    assert not any("tfevents" in name for name in files(work / "out"))


def test_records_go_to_stdout_as_ever(tiny: Run, work: Path) -> None:
    plain = tiny("pictures", "-o", "out", "--json")
    board = tiny("pictures", "-o", "other", "--json", "--tensorboard", "tb")
    assert (board.code, board.out) == (0, plain.out)
    assert len(board.out.splitlines()) == 3


def test_without_the_package_it_says_how_to_get_it_before_anything_is_done(tiny: Run, work: Path) -> None:
    (work / "tensorboard.py").write_text("raise ModuleNotFoundError('No module', name='tensorboard')")
    before = files(work)
    done = tiny("pictures", "-o", "out", "--tensorboard", "tb", preloaded=False)
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines() == [
        "error: --tensorboard needs a package that is not installed: tensorboard",
        "hint: pip install 'cnnexplain[tensorboard]'",
    ]
    assert {name for name in files(work) if "__pycache__" not in name} == before
    assert not (work / "out").exists()
    assert tiny("pictures", "-o", "out", preloaded=False).code == 0  # and is not needed without the option


@pytest.mark.parametrize("place", ["pictures/a.png", "pictures/a.png/deep/er"])
def test_a_folder_that_cannot_be_is_two_lines(tiny: Run, work: Path, place: str) -> None:
    before = files(work)
    done = tiny("pictures", "-o", "out", "--tensorboard", place)
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert "pictures/a.png is not a folder" in done.error
    assert "--tensorboard" in done.hint
    assert {name for name in files(work) if "__pycache__" not in name} == before


def test_it_can_be_set_in_the_project_and_makes_no_other_run(tiny: Run, work: Path) -> None:
    assert tiny("pictures", "-o", "out").code == 0
    (work / "pyproject.toml").write_text('[tool.cnnexplain]\ntensorboard = "board"\n')
    done = tiny("pictures", "-o", "out")
    assert done.code == 0
    assert "3 of 3 images were done before" in done.err
    found = EventAccumulator(str(work / "board"), size_guidance={"images": 0}).Reload()
    assert found.Tags()["images"] == ["gradcam/a.png", "gradcam/b.png", "gradcam/c.png"]
    assert "tensorboard" not in json.loads((work / "out" / "run.json").read_text())["identity"]
