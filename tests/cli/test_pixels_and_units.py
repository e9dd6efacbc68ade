"""`cnnexplain saliency` and `cnnexplain deconv` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import PHOTOS, Run, files, records

import cnnexplain
from cnnexplain.commands._pixel_maps import MAPS

# Two convolutions with ReLUs written as calls, two poolings; and a network with nothing to override.
NETS = """
import torch
from torch import nn
import torch.nn.functional as F

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.one(x)), 2)
        x = F.max_pool2d(self.two(x).relu_(), 2)
        return self.head(x.mean((2, 3)))

class Straight(Plain):
    def forward(self, x):
        return self.head(self.two(self.one(x)).mean((2, 3)))
"""


@pytest.fixture
def nets(work: Path) -> Path:
    (work / "nets.py").write_text(NETS)
    return work


SMALL = ("--input-size", "32", "--crop-mode", "squash")


@pytest.mark.slow
def test_every_pixel_map_of_real_photos(run: Run, work: Path) -> None:
    done = run(
        "saliency", "bundled:efficientnet_lite0", PHOTOS / "chelsea.png", PHOTOS / "coffee.png", "-o", "out",
        "-m", ",".join(MAPS), "--samples", "3", "--save-raw",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "bn2 (the last map on the way to the classes before pooling" in done.err
    cat, coffee = records(work / "out")
    assert [one["target"]["label"] for one in (cat["explanations"][0], coffee["explanations"][0])] == [
        "tiger cat",
        "espresso",
    ]
    for record in (cat, coffee):
        by_method = {one["method"]: one for one in record["explanations"]}
        assert list(by_method) == list(MAPS)
        for name, one in by_method.items():
            with np.load(work / "out" / one["raw"], allow_pickle=False) as file:
                raw, drawn = file["values"], file["map"]
            assert raw.shape == (3, 224, 224)
            assert one["shape"] == list(drawn.shape) == [224, 224]
            assert one["layer"] == ("bn2" if name == "guided-gradcam" else "input")
            assert (raw.min() < 0) == (name != "vargrad")  # a variance has no sign
            assert (drawn.min() < 0) == (one["scale"] != "magnitude")
            with Image.open(work / "out" / one["picture"]) as card:
                assert card.width > 600
        complete = by_method["integrated-gradients"]["completeness"]
        assert abs(complete["gap"]) < 0.01 * abs(complete["difference"])
        assert complete["steps"] >= 50
        raw = np.load(work / "out" / by_method["integrated-gradients"]["raw"])["values"]
        assert float(raw.sum()) == pytest.approx(complete["sum"], rel=1e-3)
        for name, rule in (
            ("guided-backprop", "guided"),
            ("guided-gradcam", "guided"),
            ("deconvnet", "deconv"),
        ):
            found = by_method[name]["rectifiers"]
            assert found == {"rule": rule, "count": 33, "kinds": {"ReLU6": 33}}
            assert any("hardly" in one for one in by_method[name]["remarks"])
    report = (work / "out" / "index.html").read_text()
    assert "The guided rule held at 33 ReLU6." in report
    assert "Adebayo" in report


@pytest.mark.slow
def test_units_of_every_stage_of_a_real_network(run: Run, work: Path) -> None:
    done = run(
        "deconv",
        "bundled:efficientnet_lite0",
        PHOTOS / "chelsea.png",
        "-o",
        "out",
        "--top",
        "3",
        "--save-raw",
    )
    assert done.code == 0, done.err
    assert "rule  guided (no max-pooling" in done.err
    stages = ["bn1", "blocks.1", "blocks.2", "blocks.4", "bn2"]
    assert f"layers  {', '.join(stages)} (the last map of every size: 112x112" in done.err
    (record,) = records(work / "out")
    assert files(work / "out") == {
        "chelsea.png.deconv.png",
        *(f"chelsea.png.deconv.{layer}.{kind}" for layer in stages for kind in ("png", "npz")),
    }
    assert record["overview"] == "chelsea.png.deconv.png"
    assert [one["layer"] for one in record["explanations"]] == [layer for layer in stages for _ in range(3)]
    width, height = record["size"]
    areas = {}
    for one in record["explanations"]:
        assert one["target"] is None
        left, top, right, bottom = one["unit"]["sees"]
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        if one["peak"]:
            assert left <= one["peak"][0] < right
            assert top <= one["peak"][1] < bottom
        areas.setdefault(one["layer"], (right - left) * (bottom - top))
    assert list(areas.values()) == sorted(areas.values()), "deeper layers see more"
    raw = np.load(work / "out" / "chelsea.png.deconv.blocks.2.npz")
    assert raw["values"].shape == (3, 3, 224, 224)
    shown = [one["unit"] for one in record["explanations"] if one["layer"] == "blocks.2"]
    assert raw["channels"].tolist() == [one["channel"] for one in shown]
    assert raw["activations"] == pytest.approx([one["activation"] for one in shown], rel=1e-4)


def test_rectifiers_written_as_calls_are_counted(run: Run, nets: Path) -> None:
    done = run("saliency", "nets.py:Plain", "pictures/a.png", "-o", "out", "-m", "guided-backprop", *SMALL)
    assert done.code == 0, done.err
    ((found,),) = (record["explanations"] for record in records(nets / "out"))
    assert found["rectifiers"] == {"rule": "guided", "count": 2, "kinds": {"ReLU": 2}}
    assert found["remarks"][0] == "The guided rule held at 2 ReLU."


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (("saliency", "nets.py:Straight", "-m", "guided-backprop"), "no rectifier", "-m gradient"),
        (("saliency", "nets.py:Straight", "-m", "deconvnet"), "no rectifier", "integrated-gradients"),
        (("deconv", "nets.py:Straight"), "no rectifier", "--rule gradient"),
        (
            ("saliency", "nets.py:Plain", "-m", "integrated-gradient"),
            "is not one of",
            "integrated-gradients?",
        ),
        (("saliency", "nets.py:Plain", "-l", "two"), "--layer two has no use here", "-m guided-gradcam"),
        (("saliency", "nets.py:Plain", "--baseline", "blak"), "--baseline 'blak'", "black"),
        (("saliency", "nets.py:Plain", "--steps", "1"), "too small", "smallest value is 2"),
        (
            (
                "saliency",
                "nets.py:Plain",
                "-m",
                "integrated-gradients",
                "--input-size",
                "512",
                "--steps",
                "900",
                "--quadrature",
                "adaptive",
            ),
            "GiB",
            "gauss-legendre",
        ),
        (("deconv", "nets.py:Plain", "-l", "tow"), "no layer called 'tow'", "two"),
        (("deconv", "nets.py:Plain", "-l", "two", "--channel", "5"), "--channel 5", "from 0 to 4"),
        (("deconv", "nets.py:Plain", "-l", "two", "--whole"), "which channel", "--channel C"),
        (
            ("deconv", "nets.py:Plain", "-l", "two", "--channel", "1", "--whole", "--at", "3,4"),
            "--at",
            "either --at",
        ),
        (("deconv", "nets.py:Plain", "-l", "two", "--at", "middle"), "is not a place", "--at 120,80"),
        (("deconv", "nets.py:Plain", "-l", "head"), "layer 'head' returns a vector", "height and width"),
        (("deconv", "nets.py:Plain", "--rule", "giuded"), "--rule 'giuded'", "guided"),
    ],
)
def test_what_cannot_be_is_told_in_two_lines(
    run: Run, nets: Path, words: tuple[str, ...], problem: str, hint: str
) -> None:
    size = () if "--input-size" in words else SMALL
    done = run(*words[:2], "pictures/a.png", "-o", "out", *words[2:], *size)
    assert done.code == 2, done.err
    assert problem in done.error
    assert hint in done.hint
    assert "Traceback" not in done.err


def test_a_place_that_the_model_never_saw_fails_that_picture_alone(run: Run, nets: Path) -> None:
    Image.new("RGB", (96, 200), "white").save(nets / "pictures" / "tall.png")
    done = run(
        "deconv", "nets.py:Plain", "pictures", "-o", "out", "-l", "two", "--at", "40,180",
        "--max-failures", "3", "--input-size", "32", "--crop-mode", "squash",
    )  # fmt: skip
    assert done.code == 0, done.err
    *short, tall = records(nets / "out")
    assert tall["status"] == "ok"
    assert {one["status"] for one in short} == {"error"}
    assert "does not see x 40, y 180" in short[0]["error"]["message"]


def test_the_unit_under_a_pixel_and_a_channel_as_a_whole(run: Run, nets: Path) -> None:
    call = ("deconv", "nets.py:Plain", "pictures/a.png", "-l", "one", "--channel", "2", *SMALL)
    assert run(*call, "-o", "at", "--at", "70,20").code == 0
    ((unit,),) = (record["explanations"] for record in records(nets / "at"))
    left, top, right, bottom = unit["unit"]["sees"]
    assert left <= 70 < right
    assert top <= 20 < bottom
    assert right - left == 9, "three pixels of 32, of which each is three of the picture's"
    assert unit["unit"]["channel"] == 2
    assert run(*call, "-o", "whole", "--whole").code == 0
    ((unit,),) = (record["explanations"] for record in records(nets / "whole"))
    assert unit["unit"]["sees"] == [0, 0, 96, 64]
    assert unit["unit"]["cell"] is None


def test_a_folder_with_sheets_is_continued_and_replaced(run: Run, nets: Path) -> None:
    call = ("deconv", "nets.py:Plain", "pictures", "-o", "out", *SMALL)
    assert run(*call).code == 0
    before = files(nets / "out")
    assert "a.png.deconv.png" in before
    (nets / "out" / "a.png.deconv.png").unlink()
    again = run(*call)
    assert again.code == 0
    assert "2 of 3 images were done before" in again.err
    assert files(nets / "out") == before
    other = run(*call, "-l", "two")
    assert other.code == 2
    assert "layer was one, two, and is now two" in other.error
    assert run(*call, "-l", "two", "--overwrite").code == 0
    assert files(nets / "out") == {f"{name}.png.deconv.two.png" for name in "abc"}


def test_noise_depends_on_the_seed_and_on_nothing_else(run: Run, nets: Path) -> None:
    spot = Image.open(nets / "pictures" / "a.png").rotate(180)
    spot.save(nets / "pictures" / "d.png")

    def maps(out: str, *options: str) -> dict[str, np.ndarray]:
        done = run("saliency", "nets.py:Plain", "pictures", "-o", out, "-m", "smoothgrad", "--samples", "4",
                   "--save-raw", *SMALL, *options)  # fmt: skip
        assert done.code == 0, done.err
        return {path.name: np.load(path)["values"] for path in (nets / out).glob("*.npz")}

    first = maps("a")
    alone = maps("b", "--batch-size", "1", "--limit", "4")
    seeded = maps("c", "--seed", "7")
    for name, values in first.items():
        np.testing.assert_allclose(alone[name], values, rtol=1e-4, atol=1e-7)
        assert np.abs(seeded[name] - values).max() > 0


def test_the_same_from_python() -> None:
    explainer = cnnexplain.load("bundled:efficientnet_lite0")
    photo = PHOTOS / "coffee.png"
    pixel = explainer.explain(photo, "saliency", method="guided-backprop,gradient", target="espresso")
    assert [one.method for one in pixel.heatmaps] == ["guided-backprop", "gradient"]
    assert pixel.heatmap(method="gradient").values.shape == (224, 224)
    assert explainer.picture(pixel).size[0] > 600
    units = explainer.explain(photo, "deconv", layer=("blocks.1", "blocks.2"), top=2, rule="deconv,guided")
    found = [(one.layer, one.rule) for one in units.reconstructions]
    assert found == [(layer, rule) for layer in ("blocks.1", "blocks.2") for rule in ("deconv", "guided") * 2]
    *sheets, strip = explainer.pictures(units, max_side=320)
    assert [len(one.shows) for one in sheets] == [4, 4]
    assert strip.shows == ()
    one = units.reconstructions[1]
    left, top, right, bottom = one.sees
    assert one.values.shape == (3, bottom - top, right - left)
    assert one.max > 0


def test_settings_for_all_commands_and_for_one(run: Run, nets: Path) -> None:
    (nets / "pyproject.toml").write_text(
        '[tool.cnnexplain]\nlayer = ["two"]\ninput-size = "32"\ncrop-mode = "squash"\n'
        '[tool.cnnexplain.deconv]\nrule = ["guided", "gradient"]\nchannel = ["1", "3"]\n'
        '[tool.cnnexplain.saliency]\nmethod = ["guided-gradcam"]\nlayer = "one"\n'
    )
    for command in ("gradcam", "deconv", "saliency"):
        done = run(command, "nets.py:Plain", "pictures/a.png", "-o", command)
        assert done.code == 0, done.err
    ((cam,),) = (record["explanations"] for record in records(nets / "gradcam"))
    assert (cam["method"], cam["layer"]) == ("gradcam", "two")
    ((pixels,),) = (record["explanations"] for record in records(nets / "saliency"))
    assert (pixels["method"], pixels["layer"]) == ("guided-gradcam", "one")
    (units,) = (record["explanations"] for record in records(nets / "deconv"))
    assert [(one["method"], one["layer"], one["unit"]["channel"]) for one in units] == [
        (rule, "two", channel) for channel in (1, 3) for rule in ("guided", "gradient")
    ]
    (nets / "pyproject.toml").write_text('[tool.cnnexplain.deconv]\nmethod = "gradcam"\n')
    wrong = run("deconv", "nets.py:Plain", "pictures/a.png", "-o", "wrong")
    assert wrong.code == 2
    assert "[tool.cnnexplain.deconv] in" in wrong.error
    assert "has 'method', which is no option" in wrong.error


def test_channels_may_be_written_with_commas(run: Run, nets: Path) -> None:
    call = ("deconv", "nets.py:Plain", "pictures/a.png", "-l", "two", *SMALL)
    assert run(*call, "--channel", "3,1", "--channel", "3", "-o", "out").code == 0
    ((*units,),) = (record["explanations"] for record in records(nets / "out"))
    assert [one["unit"]["channel"] for one in units] == [3, 1]
    wrong = run(*call, "--channel", "3,x", "-o", "wrong")
    assert wrong.code == 2
    assert "--channel is 'x'" in wrong.error


def test_a_run_that_was_wrong_from_its_first_picture_does_not_hold_the_folder(run: Run, nets: Path) -> None:
    call = ("deconv", "nets.py:Plain", "pictures/a.png", "-o", "out", *SMALL)
    assert run(*call, "-l", "head").code == 2
    assert run(*call, "-l", "two").code == 0
    assert run(*call, "-l", "one").code == 2


def test_the_channels_are_those_that_are_strongest_where_one_points(run: Run, nets: Path) -> None:
    call = ("deconv", "nets.py:Plain", "pictures/a.png", "-l", "two", *SMALL)
    assert run(*call, "--at", "70,12", "--top", "5", "-o", "out").code == 0
    ((*units,),) = (record["explanations"] for record in records(nets / "out"))
    found = [one["unit"]["activation"] for one in units]
    assert found == sorted(found, reverse=True)
    assert len({tuple(one["unit"]["cell"]) for one in units}) == 1
    assert sorted(one["unit"]["channel"] for one in units) == [0, 1, 2, 3, 4]


def test_settings_of_other_commands_do_no_harm(run: Run, nets: Path) -> None:
    (nets / "pyproject.toml").write_text('[tool.cnnexplain]\nlayer = ["one", "two"]\n')
    assert run("gradcam", "nets.py:Plain", "pictures/a.png", "-o", "out", *SMALL).code == 0
    (nets / "pyproject.toml").write_text("[tool.cnnexplain.salincy]\nsteps = 3\n")
    wrong = run("gradcam", "nets.py:Plain", "pictures/a.png", "-o", "other", *SMALL)
    assert wrong.code == 2
    assert "did you mean 'saliency'?" in wrong.hint
