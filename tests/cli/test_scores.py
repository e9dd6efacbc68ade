"""What models end in, which of their outputs is meant, and what probabilities are: as the command tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from shell import TINY_OPTIONS, Finished, Run, environment, records, spot_picture

# Class "bright" answers to how bright the picture is, "dark" to the opposite; each as one of several ends.
ENDS = """
import torch
from torch import nn
from tiny import Net

class Softmax(Net):
    def forward(self, x):
        return super().forward(40 * x).softmax(1)

class Plain(Net):
    def forward(self, x):
        return super().forward(40 * x)

class Sigmoid(Net):
    def forward(self, x):
        return torch.sigmoid(super().forward(x) - 0.5)

class Grows(Net):
    def forward(self, x):
        scores = super().forward(x)
        return torch.cat((scores, scores), 1) if x[0].mean() > 0.9 else scores

class Two(Net):
    def forward(self, x):
        features = self.relu(self.blocks(x)).mean((2, 3))
        three = nn.functional.linear(features, torch.ones(3, 2))
        return {"light": self.head(features), "three": three}
"""


@pytest.fixture
def ends(work: Path) -> str:
    (work / "ends.py").write_text(ENDS)
    spot_picture().save(work / "spot.png")
    return "ends.py"


def told(done: Finished, what: str) -> str:
    return next((line for line in done.err.splitlines() if line.startswith(f"{what}  ")), "")


def test_softmax_is_told_everywhere(run: Run, work: Path, ends: str) -> None:
    done = run("gradcam", f"{ends}:Softmax", "spot.png", "-o", "out", *TINY_OPTIONS)
    assert done.code == 0, done.err
    assert told(done, "scores").startswith(
        "scores  what goes into the model's own softmax (its forward ends in"
    )
    (record,) = records(work / "out")
    assert (record["activation"], record["scores"]) == ("softmax", "what goes into the model's own softmax")
    described = json.loads((work / "out" / "run.json").read_text())
    assert described["model"]["activation"] == "softmax"
    assert described["model"]["scores"] == record["scores"]
    assert any(one["what"] == "scores" for one in described["choices"])
    page = (work / "out" / "index.html").read_text()
    assert "explained: what goes into the model&#39;s own softmax" in page
    plain = run("gradcam", f"{ends}:Plain", "spot.png", "-o", "plain", *TINY_OPTIONS)
    assert plain.code == 0, plain.err
    (other,) = records(work / "plain")
    assert "scores" not in other
    assert not told(plain, "scores")
    for key in ("predictions", "explanations"):
        assert record[key] == other[key]


def test_another_activation_is_another_run(run: Run, work: Path, ends: str) -> None:
    call = ("gradcam", f"{ends}:Plain", "spot.png", "-o", "out", *TINY_OPTIONS)
    assert run(*call).code == 0
    other = run(*call, "--activation", "sigmoid")
    assert other.code == 2
    assert "activation" in other.error
    assert run(*call).code == 0  # the first is continued
    assert run(*call, "--activation", "sofmax").hint == "hint: did you mean --activation softmax?"


def test_scores_that_are_no_probabilities(run: Run, work: Path, ends: str) -> None:
    done = run(
        "gradcam",
        f"{ends}:Plain",
        "spot.png",
        "-o",
        "out",
        *TINY_OPTIONS,
        "--activation",
        "none",
        "--save-raw",
    )
    assert done.code == 0, done.err
    (record,) = records(work / "out")
    assert record["activation"] == "none"
    assert {one["probability"] for one in record["predictions"]} == {None}
    assert record["explanations"][0]["target"]["probability"] is None
    assert "score " in told(done, "spot.png")
    page = (work / "out" / "index.html").read_text()
    assert "scores, which are no probabilities" in page
    assert "nan" not in page.casefold().replace("nano", "")
    refused = run(
        "gradcam",
        f"{ends}:Plain",
        "spot.png",
        "-o",
        "o2",
        *TINY_OPTIONS,
        "--activation",
        "none",
        "-t",
        "above:0.5",
    )
    assert refused.code == 2
    assert "no probabilities" in refused.error or "there are none" in refused.error


def test_parts_of_a_run_without_probabilities_are_joined(run: Run, work: Path, ends: str) -> None:
    (work / "photos").mkdir()
    for number in range(4):
        spot_picture(spot=(8 * number, 8)).save(work / "photos" / f"{number}.png")
    for part in ("1/2", "2/2"):
        out = f"part{part[0]}"
        done = run(
            "gradcam",
            f"{ends}:Plain",
            "photos",
            "-o",
            out,
            *TINY_OPTIONS,
            "--activation",
            "none",
            "--shard",
            part,
        )
        assert done.code == 0, done.err
    joined = run("merge", "part1", "part2", "-o", "whole")
    assert joined.code == 0, joined.err
    assert len(records(work / "whole")) == 4


def test_classes_above_a_probability_differ_by_picture(run: Run, work: Path, ends: str) -> None:
    """A bright picture, a dark one, and one of average grey, of which no class is likely."""
    for name, level in (("bright", 255), ("dark", 0), ("grey", 128)):
        Image.new("RGB", (64, 64), (level,) * 3).save(work / f"{name}.png")
    done = run(
        "gradcam",
        f"{ends}:Sigmoid",
        "bright.png",
        "dark.png",
        "grey.png",
        "-t",
        "above:0.5",
        "-o",
        "out",
        *TINY_OPTIONS,
    )
    assert done.code == 0, done.err
    found = {record["image"]: record for record in records(work / "out")}
    assert [one["target"]["index"] for one in found["bright.png"]["explanations"]] == [0]
    assert [one["target"]["index"] for one in found["dark.png"]["explanations"]] == [1]
    assert found["grey.png"]["explanations"] == []
    assert found["grey.png"]["status"] == "ok"
    assert "No class is as likely" in found["grey.png"]["notes"][0]
    assert "No class is as likely" in done.err
    assert "No class is as likely" in (work / "out" / "index.html").read_text()
    again = run(
        "gradcam",
        f"{ends}:Sigmoid",
        "bright.png",
        "dark.png",
        "grey.png",
        "-t",
        "above:0.5",
        "-o",
        "out",
        *TINY_OPTIONS,
    )
    assert "3 of 3 images were done before" in again.err


def test_an_output_is_chosen_by_name_or_number(run: Run, work: Path, ends: str) -> None:
    call = ("gradcam", f"{ends}:Two", "spot.png", *TINY_OPTIONS)
    refused = run(*call, "-o", "out")
    assert refused.code == 2
    assert "light (N, 2), three (N, 3)" in refused.error
    assert "--output light beside -o DIR" in refused.hint
    for number, (choice, classes) in enumerate(
        [
            (("-o", "out0", "--output", "light"), 2),
            (("--output=three", "-o", "out1"), 3),
            (("-oout2", "--output", "1"), 3),
            (("--model-output", "0", "--output", "out3"), 2),
        ]
    ):
        done = run(*call, *choice)
        assert done.code == 0, done.err
        described = json.loads((work / f"out{number}" / "run.json").read_text())
        assert described["model"]["classes"] == classes
    by_itself = run(*call, "--output", "three", "--json")  # no folder of that name was meant
    assert len(json.loads(by_itself.out)["predictions"]) == 3
    assert not (work / "three").exists()
    wrong = run(*call, "-o", "out", "--output", "tree")
    assert (wrong.code, wrong.hint) == (2, "hint: did you mean three?")


def test_an_output_is_a_setting_as_well(run: Run, work: Path, ends: str) -> None:
    call = ("gradcam", f"{ends}:Two", "spot.png", *TINY_OPTIONS)
    env = environment({"CNNEXPLAIN_MODEL_OUTPUT": "three"})
    assert run(*call, "-o", "a", env=env).code == 0
    (work / "pyproject.toml").write_text(
        '[tool.cnnexplain]\nmodel-output = "three"\nactivation = "sigmoid"\n'
    )
    assert run(*call, "-o", "b").code == 0
    assert records(work / "b")[0]["activation"] == "sigmoid"
    assert len(records(work / "a")[0]["predictions"]) == 3


def test_output_stays_the_folder_where_nothing_else_is_meant(run: Run, work: Path, ends: str) -> None:
    done = run("gradcam", f"{ends}:Plain", "spot.png", "--output", "light", *TINY_OPTIONS)
    assert done.out == "light/index.html\n"


def test_a_class_called_as_an_index(run: Run, work: Path, ends: str) -> None:
    (work / "names.txt").write_text("1\n0\n")
    done = run(
        "gradcam", f"{ends}:Plain", "spot.png", "-t", "1", "--labels", "names.txt", "-o", "out", *TINY_OPTIONS
    )
    assert told(done, "target") == "target  0 1 (what '1' names; class 1 is '0')"
    assert records(work / "out")[0]["explanations"][0]["target"]["index"] == 0


def test_no_class_is_named_twice(run: Run, work: Path, ends: str) -> None:
    done = run("gradcam", f"{ends}:Plain", "spot.png", "-t", "class 1", "-o", "out", *TINY_OPTIONS)
    assert told(done, "target") == "target  class 1 (what 'class 1' names)"
    page = (work / "out" / "index.html").read_text()
    assert "<small>class 1</small>" not in page


@pytest.mark.parametrize("command", ["gradcam", "deconv", "activations", "saliency"])
def test_a_picture_with_another_number_of_scores_fails_alone(
    run: Run, work: Path, ends: str, command: str
) -> None:
    """The first picture decides for its batch: halved, only that one is left without an explanation."""
    for name, level in (("a", 255), ("b", 40)):
        Image.new("RGB", (64, 64), (level,) * 3).save(work / f"{name}.png")
    rules = ("-m", "gradient") if command == "saliency" else ()
    done = run(command, f"{ends}:Grows", "a.png", "b.png", "-o", "out", *TINY_OPTIONS, *rules)
    assert done.code == 3, done.err
    first, second = records(work / "out")
    assert (first["status"], second["status"]) == ("error", "ok")
    assert "gives 2 scores at one time and 4 at another" in first["error"]["message"]
