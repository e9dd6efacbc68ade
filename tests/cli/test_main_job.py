"""`cnnexplain gradcam MODEL PICTURES -o OUT`, on real photos with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from shell import PHOTOS, Finished, Run

import cnnexplain

SCHEMA = Path(__file__).parents[2] / "docs" / "record.schema.json"
HEAD_OF_THE_CAT = (90, 20, 330, 290)
INSIDE_THE_CUP = (170, 30, 440, 240)


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def done(run: Run, work: Path) -> Finished:
    return run(
        "gradcam", "bundled:efficientnet_lite0", PHOTOS / "chelsea.png", PHOTOS / "coffee.png", "-o", "out",
        "--save-raw",
    )  # fmt: skip


def test_names_the_cat_and_the_espresso_and_finds_them(done: Finished, work: Path) -> None:
    assert done.code == 0, done.err
    assert done.out == "out/index.html\n"
    cat, coffee = records(work / "out")
    assert [(one["label"], one["probability"]) for one in cat["predictions"][:3]] == [
        ("tiger cat", pytest.approx(0.39, abs=0.01)),
        ("Egyptian cat", pytest.approx(0.36, abs=0.01)),
        ("tabby, tabby cat", pytest.approx(0.17, abs=0.01)),
    ]
    assert (coffee["predictions"][0]["label"], coffee["predictions"][0]["probability"]) == (
        "espresso",
        pytest.approx(0.95, abs=0.01),
    )
    for record, (left, top, right, bottom) in ((cat, HEAD_OF_THE_CAT), (coffee, INSIDE_THE_CUP)):
        x, y = record["explanations"][0]["peak"]
        assert left < x < right
        assert top < y < bottom


def test_what_lands_in_out_is_what_the_contract_says(done: Finished, work: Path) -> None:
    out = work / "out"
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in records(out):
        validator.validate(record)
        (found,) = record["explanations"]
        assert found["shape"] == [7, 7]
        assert Image.open(out / found["picture"]).size[0] > 600
        raw = np.load(out / found["raw"])
        assert raw["values"].dtype == np.float32
        assert raw["values"].shape == (7, 7)
        assert found["max"] == pytest.approx(float(raw["values"].max()), rel=1e-5)
        assert found["min"] == pytest.approx(float(raw["values"].min()), rel=1e-5)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            "index.html", "results.jsonl", "run.json",
            "chelsea.png.gradcam.png", "chelsea.png.gradcam.npz",
            "coffee.png.gradcam.png", "coffee.png.gradcam.npz",
            "chelsea.png.gradcam.numbers.css", "coffee.png.gradcam.numbers.css",
        ]
    )  # fmt: skip
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["images"] == {"count": 2, "ok": 2, "error": 0}
    assert len(run["model"]["weights_sha256"]) == 64
    assert run["model"]["preprocess"]["input_size"] == [224, 224]
    assert run["seconds"] > 0
    assert "torch" in run["versions"]
    report = (out / "index.html").read_text()
    assert "tiger cat" in report
    assert "chelsea.png.gradcam.png" in report
    assert report.count("<script") == 1  # the viewer


def test_says_on_stderr_what_was_chosen_and_why(done: Finished) -> None:
    assert "layer  bn2 (the last map" in done.err
    assert "device  " in done.err
    assert "\033" not in done.err


def test_the_same_numbers_come_out_of_python(done: Finished, work: Path) -> None:
    explanation = cnnexplain.load("bundled:efficientnet_lite0").explain(PHOTOS / "chelsea.png", "gradcam")
    raw = np.load(work / "out" / "chelsea.png.gradcam.npz")["values"]
    assert np.abs(explanation.heatmaps[0].values - raw).max() < 1e-5 * np.ptp(raw)
    assert explanation.heatmaps[0].peak == tuple(records(work / "out")[0]["explanations"][0]["peak"])
    assert explanation.predictions[0].label == "tiger cat"


def test_several_methods_classes_and_layers_make_one_picture_each(run: Run, work: Path) -> None:
    done = run(
        "gradcam", "bundled:efficientnet_lite0", PHOTOS / "coffee.png", "-o", "out",
        "-m", "gradcam,layercam", "-m", "hirescam", "-l", "blocks.4", "-l", "bn2", "-t", "top2", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (record,) = [json.loads(line) for line in done.out.splitlines()]
    assert len(record["explanations"]) == 3 * 2 * 2
    pictures = {found["picture"] for found in record["explanations"]}
    assert "coffee.png.gradcam.layercam.blocks.4.968.png" in pictures
    assert len(pictures) == 12
    assert all((work / "out" / name).is_file() for name in pictures)


@pytest.mark.parametrize(
    ("target", "label"), [("281", "tabby, tabby cat"), ("Persian cat", "Persian cat"), ("zebra", "zebra")]
)
def test_any_class_can_be_asked_for(run: Run, work: Path, target: str, label: str) -> None:
    done = run(
        "gradcam",
        "bundled:efficientnet_lite0",
        PHOTOS / "chelsea.png",
        "-o",
        "out",
        "--target",
        target,
        "--json",
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["explanations"][0]["target"]["label"] == label


def test_an_ambiguous_label_lists_the_candidates(run: Run) -> None:
    done = run("gradcam", "bundled:efficientnet_lite0", PHOTOS / "chelsea.png", "-o", "out", "-t", "cat")
    assert done.code == 2
    assert "281 'tabby, tabby cat'" in done.error
    assert "282 'tiger cat'" in done.error
    assert "--target" in done.hint
