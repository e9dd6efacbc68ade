"""`cnnexplain occlusion` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import TINY_OPTIONS, Run, files, records

WINDOWS = ("--window", "16", "--stride", "8")
# Not a number where a black image has grey in its middle, as under a window; and a score that only falls.
NETS = """
import torch
from tiny import Net

class Blind(Net):
    def forward(self, x):
        grey = (x[:, :, 28:36, 28:36].abs() < 0.01).flatten(1).all(1) & (x[:, 0, 0, 0] < -0.9)
        return torch.where(grey[:, None], torch.nan, super().forward(x))

class Against(Net):
    def forward(self, x):
        return super().forward(x) * torch.tensor([0.0, -1.0])
"""


@pytest.fixture
def nets(work: Path) -> Path:
    (work / "nets.py").write_text(NETS)
    return work


def test_the_map_the_winners_and_their_values(run: Run, work: Path) -> None:
    call = ("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, *WINDOWS, "--fill", "black")
    done = run(*call, "--save-raw", "-t", "0", "-o", "out")
    assert done.code == 0, done.err
    (record,) = records(work / "out")
    bright, winners = record["explanations"]
    assert (bright["kind"], bright["layer"], bright["shape"]) == ("map", "input", [64, 64])
    assert bright["occlusion"]["windows"] == [7, 7]
    x, y = bright["peak"]
    assert 64 <= x < 76
    assert 8 <= y < 20
    assert (winners["kind"], winners["shape"]) == ("winners", [7, 7])
    assert sum(one["share"] for one in winners["classes"]) == pytest.approx(1)
    assert files(work / "out") == {
        f"a.png.occlusion.{name}" for name in ("0.png", "0.npz", "sliding-winners.png", "sliding-winners.npz")
    }
    raw = np.load(work / "out" / winners["raw"], allow_pickle=False)
    assert raw["values"].shape == (7, 7)
    assert raw["values"].dtype == np.int64
    assert np.load(work / "out" / bright["raw"])["values"].shape == (64, 64)
    page = (work / "out" / "index.html").read_text()
    assert "winning classes, window by window" in page
    assert "7×7 windows of 16×16 pixels" in page


def test_random_masks_and_their_errors(run: Run, work: Path) -> None:
    call = ("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "-m", "rise", "--save-raw")
    assert run(*call, "--masks", "200", "--max-error", "0", "-o", "first").code == 0
    assert run(*call, "--masks", "200", "--max-error", "0", "-o", "again").code == 0
    assert run(*call, "--masks", "200", "--max-error", "0", "-o", "other", "--seed", "1").code == 0
    first, again, other = (records(work / out)[0]["explanations"][0] for out in ("first", "again", "other"))
    assert first["rise"]["masks"] == 200
    raw = np.load(work / "first" / first["raw"], allow_pickle=False)
    assert raw["values"].shape == raw["errors"].shape == (64, 64)
    assert float(raw["errors"].max()) == pytest.approx(first["rise"]["standard_error"], rel=1e-4)
    assert first["max"] == again["max"]
    assert first["max"] != other["max"]


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (("--window", "0"), "--window", "smallest value is 1"),
        (("--window", "65"), "--window 65 is larger than what the model sees, 64x64", "up to 64"),
        (("--stride", "0"), "--stride", "smallest value is 1"),
        (("--window", "8", "--stride", "9"), "--stride 9 is more than --window 8", "up to 8"),
        (("--stride", "9"), "--stride 9 is more than the window of 4", "--window"),
        (("--fill", "gray"), "--fill 'gray' is neither a fill nor a colour", "grey"),
        (("--fill", "#12345"), "neither a fill nor a colour", "'#ff8000'"),
        (("-m", "rise", "--masks", "1"), "--masks", "smallest value is 2"),
        (("-m", "rise", "--probability", "1"), "--probability", "largest value is 0.99"),
        (("-m", "rise", "--grid", "65"), "--grid", "largest value is 64"),
        (("-m", "sliding,rice"), "'rice'", "rise"),
        (("--score", "probability", "--activation", "none"), "--score probability", "leave --score out"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    run: Run, work: Path, words: tuple[str, ...], problem: str, hint: str
) -> None:
    done = run("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "-o", "out", *words)
    assert done.code == 2, done.err
    assert problem in done.error
    assert hint in done.hint
    assert not (work / "out").exists()


def test_settings_of_this_command_and_of_others(run: Run, work: Path) -> None:
    (work / "pyproject.toml").write_text(
        '[tool.cnnexplain]\nmethod = ["layercam"]\n[tool.cnnexplain.occlusion]\nwindow = 32\nstride = 16\n'
    )
    call = ("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS)
    done = run(*call, "-o", "out", env={"CNNEXPLAIN_FILL": "blur"})
    assert done.code == 0, done.err
    (entry, _) = records(work / "out")[0]["explanations"]
    assert (entry["method"], entry["occlusion"]["window"], entry["occlusion"]["fill"]) == (
        "sliding",
        32,
        "blur",
    )
    wrong = run(*call, "-o", "wrong", env={"CNNEXPLAIN_OCCLUSION_FILL": "blurred"})
    assert wrong.code == 2
    assert "set by CNNEXPLAIN_OCCLUSION_FILL" in wrong.error


def test_an_image_with_a_score_that_is_no_number_fails_alone(run: Run, nets: Path) -> None:
    Image.new("RGB", (64, 64)).save(nets / "pictures" / "d.png")
    done = run("occlusion", "nets.py:Blind", "pictures", *TINY_OPTIONS, *WINDOWS, "-o", "out")
    assert done.code == 3, done.err
    assert "with a window at x 24, y 24 the model's scores are not finite" in done.err
    assert [record["status"] for record in records(nets / "out")] == ["ok", "ok", "ok", "error"]


def test_where_nothing_speaks_for_the_class_no_layer_is_named(run: Run, nets: Path) -> None:
    done = run(
        "occlusion",
        "nets.py:Against",
        "pictures/a.png",
        *TINY_OPTIONS,
        *WINDOWS,
        "-t",
        "1",
        "-o",
        "out",
        "--fill",
        "#ffffff",
    )
    assert done.code == 0, done.err
    assert records(nets / "out")[0]["explanations"][0]["peak"] is None
    assert "nothing positive" in done.err


def test_parts_joined_and_runs_continued_are_one_run(run: Run, work: Path) -> None:
    call = ("occlusion", "tiny.py:Net", "pictures", *TINY_OPTIONS, *WINDOWS, "-m", "sliding,rise",
            "--masks", "70")  # fmt: skip
    assert run(*call, "-o", "whole").code == 0
    for part in "12":
        assert run(*call, "--shard", f"{part}/2", "-o", f"part{part}").code == 0
    assert run("merge", "part1", "part2", "-o", "joined").code == 0
    whole = records(work / "whole")
    assert records(work / "joined") == whole
    (work / "whole" / "b.png.occlusion.rise.png").unlink()
    again = run(*call, "-o", "whole")
    assert "2 of 3 images were done before" in again.err
    assert records(work / "whole") == whole
    other = run(*call, "-o", "whole", "--fill", "blur")
    assert other.code == 2
    assert "fill was grey, and is now blur" in other.error


def test_maps_and_winners_are_counted_together(run: Run, work: Path) -> None:
    done = run(
        "occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, *WINDOWS, "-t", "top2", "-o", "out"
    )
    assert "a.png  3 results" in done.err
    assert "window" not in done.err.split("a.png")[0], "nothing was chosen"
    chosen = run("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "--window", "16", "-o", "half")
    assert "stride  9 (about half of a window)" in chosen.err
    chosen = run("occlusion", "tiny.py:Net", "pictures/a.png", *TINY_OPTIONS, "-o", "usual")
    assert "window  4, stride 2 (15/8 at 224, for 64x64 in proportion)" in chosen.err


def test_without_any_option_map_and_winners_have_a_file_each(run: Run, work: Path) -> None:
    done = run("occlusion", "tiny.py:Net", "pictures/a.png", "--input-size", "64", "-o", "out")
    assert done.code == 0, done.err
    assert files(work / "out") == {"a.png.occlusion.png", "a.png.occlusion.sliding-winners.png"}
    heatmap, winners = records(work / "out")[0]["explanations"]
    assert heatmap["picture"] == "a.png.occlusion.png"
    assert winners["picture"] == "a.png.occlusion.sliding-winners.png"
