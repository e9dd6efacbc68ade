"""Pictures in folders named after their classes: which are recognised, which are drawn, and that all is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from shell import Finished, Run, records

# Blue, green and red in the alphabet's order: how much there is of each, in squares of 8 pixels.
COLOURS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 8, stride=8, bias=False)
        self.head = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            weight = torch.full((3, 3), -0.5)
            weight[0, 2] = weight[1, 1] = weight[2, 0] = 1
            self.conv.weight.copy_(weight[:, :, None, None].expand(3, 3, 8, 8) / 64)
            self.head.weight.copy_(8 * torch.eye(3))

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))
"""
FED = ("--input-size", "64", "--crop-pct", "1", "--mean", "0", "--std", "1")
INK = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def data(work: Path) -> Path:
    """Two pictures of each colour, 2.png of green a blue one, and 3.png of red a grey one."""
    (work / "colours.py").write_text(COLOURS)
    for name, ink in INK.items():
        (work / "data" / name).mkdir(parents=True)
        for number in range(2):
            square(ink, (8 + 16 * number, 8)).save(work / "data" / name / f"{number}.png")
    square(INK["blue"], (8, 40)).save(work / "data" / "green" / "2.png")
    square((40, 40, 40), (8, 8)).save(work / "data" / "red" / "3.png")
    return work / "data"


def square(ink: tuple[int, int, int], place: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", (64, 64), (40, 40, 40))
    picture.paste(ink, (*place, place[0] + 16, place[1] + 16))
    return picture


@pytest.fixture
def call(run: Run, data: Path) -> Run:
    """Run `gradcam` with the network of colours; `data` is made."""

    def carry_out(*words: object, **settings: object) -> Finished:
        return run("gradcam", "colours.py:Net", *words, *FED, **settings)

    return carry_out


RIGHT = {"blue/0.png", "blue/1.png", "green/0.png", "green/1.png", "red/0.png", "red/1.png"}


def test_folders_name_the_classes_and_say_what_is_right(call: Run, work: Path) -> None:
    done = call("data", "-o", "out", "--labels-from", "folder")
    assert done.code == 0, done.err
    assert "labels  blue, green and red (the sorted names of the folders in data, as many as" in done.err
    assert "2.png  2 maps; wrong, should be green\n   blue " in done.err
    assert "right  6 of 8 images, 75.0% (by chance 33.3%)\n" in done.err
    found = {one["image"].removeprefix("data/"): one for one in records(work / "out")}
    assert {name for name, one in found.items() if one["right"]} == RIGHT
    assert found["green/2.png"]["expected"] == {"index": 1, "label": "green"}
    assert found["green/2.png"]["predictions"][0]["label"] == "blue"
    assert found["red/3.png"]["expected"] == {
        "index": 2,
        "label": "red",
    }  # all classes score the same: not right
    run = json.loads((work / "out" / "run.json").read_text())
    assert run["answers"] == {"right": 6, "labelled": 8, "chance": 0.333333}
    assert [one["value"] for one in run["choices"] if one["what"] == "labels"] == ["blue, green and red"]
    assert "right  6 of 8 images" in call("data", "-o", "out", "--labels-from", "folder").err


def test_a_list_says_the_same_and_another_list_is_another_run(call: Run, work: Path) -> None:
    rows = [f"data/{name}/{number}.png,{name}" for name in INK for number in range(2)]
    rows += ["data/green/2.png,1", "data/red/3.png,red"]
    (work / "labels.csv").write_text("\n".join(["image,label", *rows]))
    assert call("data", "-o", "out", "--labels-from", "labels.csv", "-q").code == 0
    assert {one["image"].removeprefix("data/") for one in records(work / "out") if one["right"]} == RIGHT
    (work / "labels.csv").write_text("\n".join(["image,label", *rows[:-2], "data/green/2.png,0", rows[-1]]))
    done = call("data", "-o", "out", "--labels-from", "labels.csv")
    assert done.code == 2
    assert "labels-from was labels.csv (fingerprint" in done.error
    done = call("data", "-o", "out")
    assert (done.code, "labels-from" in done.error) == (2, True)
    (work / "labels.csv").write_text("image,label\ndata/green/2.png,blau\n")
    done = call("data", "-o", "new", "--labels-from", "labels.csv")
    assert (done.code, done.error) == (2, "error: labels.csv does not say what data/blue/0.png is")
    assert not (work / "new").exists()


@pytest.mark.parametrize("command", ["gradcam", "saliency", "deconv", "activations"])
def test_every_picture_command_knows(run: Run, data: Path, work: Path, command: str) -> None:
    done = run(command, "colours.py:Net", "data", "--labels-from", "folder", "--json", "-q", *FED)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert {one["image"].removeprefix("data/") for one in found if one["right"]} == RIGHT


@pytest.mark.parametrize("command", ["gradcam", "saliency"])
def test_what_is_wrong_is_explained_for_both_classes(run: Run, data: Path, work: Path, command: str) -> None:
    two = Image.new("RGB", (64, 64), (40, 40, 40))  # more blue than red, and both
    two.paste((255, 0, 0), (8, 8, 16, 16))
    two.paste((0, 0, 255), (40, 40, 64, 64))
    two.save(data / "red" / "both.png")
    done = run(command, "colours.py:Net", "data", "-o", "out", "--labels-from", "folder", *FED)
    assert done.code == 0, done.err
    found = {one["image"].removeprefix("data/"): one["explanations"] for one in records(work / "out")}
    assert {name for name, maps in found.items() if len(maps) > 1} == found.keys() - RIGHT
    blue, red = found["red/both.png"]
    assert (blue["target"]["label"], red["target"]["label"]) == ("blue", "red")
    assert blue["picture"] == f"red/both.png.{command}.png"
    assert red["picture"] == f"red/both.png.{command}.2.png"
    assert min(blue["peak"]) >= 40
    assert max(red["peak"]) < 16
    assert all((work / "out" / one["picture"]).is_file() for one in (blue, red))
    page = (work / "out" / "index.html").read_text()
    assert 'id="cell-2-0"' in page
    assert page.count(f"red/both.png.{command}.2.png") >= 2  # in its card and in the gallery
    alone = run(command, "colours.py:Net", "data", "-o", "other", *FED)
    assert alone.code == 0, alone.err
    for one in records(work / "other"):  # the map of the best class is what it is without labels
        maps = found[one["image"].removeprefix("data/")]
        assert one["explanations"] == maps[:1]


@pytest.mark.parametrize(("only", "drawn"), [("wrong", 2), ("right", 6), ("errors", 0)])
def test_only_some_are_drawn_and_listed_and_all_are_recorded(
    call: Run, work: Path, only: str, drawn: int
) -> None:
    (work / "data" / "blue" / "broken.png").write_text("no picture")
    words = ("data", "-o", "out", "--labels-from", "folder", "--only", only, "--max-failures", "1", "--json")
    done = call(*words)
    assert done.code == 0, done.err
    every = records(work / "out")
    assert len(every) == 9
    listed = [json.loads(line) for line in done.out.splitlines()]
    assert len(listed) == drawn + 1
    pictures = {str(one.relative_to(work / "out")) for one in (work / "out").rglob("*.png")}
    assert pictures == {found["picture"] for one in listed for found in one["explanations"]}
    assert len(pictures) == (2 * drawn if only == "wrong" else drawn)  # of both classes
    failed = next(one for one in every if one["status"] == "error")
    assert (failed["expected"]["label"], "right" in failed) == ("blue", False)
    again = call(*words)
    assert "8 of 9 images were done before" in again.err
    told = [json.loads(line) for line in again.out.splitlines()]  # what failed is tried again, and comes last
    assert sorted(told, key=lambda one: one["image"]) == sorted(listed, key=lambda one: one["image"])


def test_processes_and_parts_know_it_too(call: Run, run: Run, work: Path) -> None:
    words = ("data", "--labels-from", "folder", "--no-pictures", "-q", "--batch-size", "1")
    assert call(*words, "-o", "one").code == 0
    assert call(*words, "-o", "several", "--processes", "2").code == 0
    assert records(work / "one") == records(work / "several")
    for part in "12":
        assert call(*words, "-o", f"part{part}", "--shard", f"{part}/2").code == 0
    done = run("merge", "part1", "part2", "-o", "whole")
    assert done.code == 0, done.err
    assert "right  6 of 8 images, 75.0% (by chance 33.3%)" in done.err
    assert records(work / "whole") == records(work / "one")
    answers = json.loads((work / "whole" / "run.json").read_text())["answers"]
    assert answers == json.loads((work / "one" / "run.json").read_text())["answers"]
