"""A stored run: what fits it, what is refused, and what is found to have changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import as_model, pooled

from cnnexplain.checks.baseline import Baseline
from cnnexplain.checks.suite.compared import likeness, shift
from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.core.verdict import Gallery, Measurement, Skipped
from cnnexplain.engine.model import Model
from cnnexplain.errors import CheckInputError, ModelError, OptionError, OutputError
from cnnexplain.runner.checking import baselines
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of

NAMES = ("a.png", "b/c.png", "b/ü.png")


def example(key: str, seed: int) -> Example:
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)
    return Example(f"photos/{key}", key, hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)


def fresh(seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return as_model(pooled().eval(), (32, 32))


def subject(model: Model | None = None, **fields: Any) -> Subject:
    examples = tuple(example(key, seed) for seed, key in enumerate(NAMES))
    return Subject(model or fresh(), **{"examples": examples, **fields})


def stored(one: Subject) -> bytes:
    with one.model.borrowed():
        return baselines.text(one)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A baseline of `subject()`."""
    path = tmp_path / "base.json"
    baselines.write(path, stored(subject()))
    return path


def chosen(**limits: Any) -> Chosen:
    return Chosen("baseline", Baseline(**limits), "error", asked=True)


def fit(file: Path, one: Subject, **limits: Any) -> None:
    with one.model.borrowed():
        baselines.require_fit(baselines.read(file), one, [chosen(**limits)])


def found(file: Path, model: Model, **limits: Any) -> Measurement:
    one = subject(model, baseline=baselines.read(file))
    with model.borrowed():
        return Baseline(**limits).measure(one)


def test_the_same_model_answers_to_the_last_bit(file: Path) -> None:
    fit(file, subject())
    same = found(file, fresh(), probability=0, correlation=1, shift=0)
    assert same.good, same.says
    assert same.value == 1
    assert same.drawing is None
    assert stored(subject()) == file.read_bytes()


def test_what_is_read_is_what_was_stored(file: Path) -> None:
    one = subject()
    with one.model.borrowed():
        maps, chances = one.maps.numpy(), one.chances
    read = baselines.read(file)
    assert list(read.answers) == list(NAMES)
    for place, key in enumerate(NAMES):
        answered = read.answers[key]
        np.testing.assert_array_equal(answered.values, maps[place])
        assert answered.best[0] == (int(chances[place].argmax()), float(chances[place].max()))
        assert len(answered.best) == 5


def test_another_batch_is_no_difference(file: Path) -> None:
    one = subject(rows=1, baseline=baselines.read(file))
    with one.model.borrowed():
        assert Baseline().measure(one).good


def damaged(kind: str) -> Model:
    model = fresh()
    with torch.no_grad():
        if kind == "another head":
            model.module.fc.weight.copy_(model.module.fc.weight.flip(0))
        elif kind == "channels the other way":
            model.module.features[0].weight.copy_(model.module.features[0].weight.flip(1))
        elif kind == "a filter zeroed":
            model.module.features[4].weight[:3].zero_()
        elif kind == "overflow":
            model.module.fc.weight.fill_(3e38)
    return model


@pytest.mark.parametrize("kind", ["another head", "channels the other way", "a filter zeroed"])
def test_a_damaged_model_is_told_from_the_stored_one(kind: str, file: Path) -> None:
    bad = found(file, damaged(kind), same=("model",))
    assert not bad.good, bad.says
    assert re.match(r"\d of 3 pictures differ from the stored run", bad.says)
    assert "--update-baseline" in bad.do
    assert isinstance(bad.drawing, Gallery)
    assert bad.drawing.thumbnails[0].caption.startswith("stored: ")
    assert bad.table is not None
    assert len(bad.table.rows) == 3


def test_maps_alone_may_differ(file: Path) -> None:
    """A stored map in another order of cells: the same answers, for other reasons."""
    read = baselines.read(file)
    turned = {
        key: replace(one, values=np.ascontiguousarray(one.values[::-1, ::-1]))
        for key, one in read.answers.items()
    }
    one = subject(baseline=replace(read, answers=turned))
    with one.model.borrowed():
        bad = Baseline().measure(one)
        assert not bad.good
        assert "0 with another best class, probabilities changed by up to 0 " in bad.says
        assert Baseline(correlation=-1, shift=1000).measure(one).good
        assert not Baseline(correlation=-1).measure(one).good, "the peak has moved"


def test_the_worst_picture_stands_first(file: Path) -> None:
    read = baselines.read(file)
    worst = replace(read.answers["b/c.png"], best=((0, 1.0),))
    one = subject(baseline=replace(read, answers={**read.answers, "b/c.png": worst}))
    with one.model.borrowed():
        table = Baseline().measure(one).table
    assert table is not None
    assert table.rows[0][0] == "photos/b/c.png"
    assert table.rows[0][3].startswith("1.0000 → ")


def test_what_breaks_a_limit_stands_before_what_does_not_and_is_named(file: Path) -> None:
    """One with a far less similar map breaks nothing here; of two that do, the further one is the first."""
    read = baselines.read(file)
    answers = dict(read.answers)
    for key, change in (("a.png", 0.3), ("b/c.png", 0.1)):
        index, chance = answers[key].best[0]
        answers[key] = replace(answers[key], best=((index, abs(chance - change)),))
    calm = NAMES[2]
    turned = np.ascontiguousarray(read.answers[calm].values[::-1, ::-1])
    answers[calm] = replace(answers[calm], values=turned)
    one = subject(baseline=replace(read, answers=answers))
    with one.model.borrowed():
        table = Baseline(correlation=-1, shift=1000).measure(one).table
        every = Baseline().measure(one).table
    assert table is not None
    assert every is not None
    assert [row[:2] for row in table.rows] == [
        ("photos/a.png", "probability"),
        ("photos/b/c.png", "probability"),
        (f"photos/{calm}", "-"),
    ]
    assert dict(row[:2] for row in every.rows)[f"photos/{calm}"] == "rank correlation, peak"


def test_two_classes_as_good_as_equal_may_change_places(file: Path) -> None:
    one = subject()
    with one.model.borrowed():
        chances = one.chances
    read, answers = baselines.read(file), {}
    for place, key in enumerate(NAMES):
        second = int(chances[place].topk(2).indices[1])
        answers[key] = replace(
            read.answers[key], best=((second, float(chances[place, second])),), values=None
        )
    gap = float((chances.topk(2).values[:, 0] - chances.topk(2).values[:, 1]).max())
    one = subject(baseline=replace(read, answers=answers))
    with one.model.borrowed():
        assert Baseline(probability=gap + 1e-6).measure(one).good
        bad = Baseline(probability=gap - 1e-6).measure(one)
    assert not bad.good
    assert "1 of 3 pictures differ" in bad.says
    assert "no maps to compare" in bad.says


def test_scores_that_overflow_are_no_pass(file: Path) -> None:
    with pytest.raises(ModelError, match="scores are not finite"):
        found(file, damaged("overflow"))


def test_another_version_is_told_and_may_be_refused(file: Path) -> None:
    changed(file, lambda body: body["versions"].update(torch="1.0"))
    good = found(file, fresh())
    assert good.good
    assert f"stored with torch 1.0 instead of {torch.__version__.split('+')[0]}" in good.says
    fit(file, subject())
    with pytest.raises(CheckInputError, match=r"does not fit: torch was 1\.0, now "):
        fit(file, subject(), same=("versions",))


def test_without_a_map_there_are_answers(tmp_path: Path) -> None:
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    model = as_model(flat.eval(), (32, 32))
    path = tmp_path / "base.json"
    baselines.write(path, stored(subject(model)))
    fit(path, subject(model))
    good = found(path, model)
    assert good.good
    assert "there are no maps to compare" in good.says


class Closed(torch.nn.Sequential):
    """Answers as ever, and lets no gradient through."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return super().forward(x)


def test_stored_maps_that_nothing_is_held_against_are_no_pass(file: Path) -> None:
    model = fresh()
    closed = replace(model, module=Closed(OrderedDict(model.module.named_children())))
    bad = found(file, closed, same=("weights",))
    assert not bad.good
    assert bad.says == "cannot be compared: maps are stored, and the model gives none now"


# What does not fit.


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda one: replace(one, model=replace(one.model, name="other")),
            "the model was Sequential, now other",
        ),
        (lambda one: replace(one, model=fresh(1)), "the weights were [0-9a-f]{64}, now [0-9a-f]{64}"),
        (
            lambda one: replace(one, model=replace(one.model, own_labels=list("abcde"))),
            "the classes were 5 classes",
        ),
        (
            lambda one: replace(
                one, model=replace(one.model, preprocess=replace(one.model.preprocess, mean=(0.4, 0.5, 0.5)))
            ),
            r"the preprocessing was another: mean \[0\.485, .*, now \[0\.4, 0\.5, 0\.5\]",
        ),
        (lambda one: replace(one, examples=one.examples[:2]), "the picture b/ü.png is missing"),
        (lambda one: replace(one, examples=one.examples[:1]), "2 pictures are, first b/c.png, missing"),
        (
            lambda one: replace(one, examples=(*one.examples, example("d.png", 9))),
            "the picture d.png is not in it",
        ),
        (
            lambda one: replace(one, examples=(*one.examples[:2], example("b/ü.png", 9))),
            "the picture b/ü.png is not the same as then",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    change: Callable[[Subject], Subject], named: str, file: Path
) -> None:
    with pytest.raises(CheckInputError, match=named):
        fit(file, change(subject()))


def test_what_need_not_be_the_same_is_left_out(file: Path) -> None:
    with pytest.raises(CheckInputError) as refused:
        fit(file, subject(fresh(1)))
    assert "leave weights out of same" in refused.value.hint
    fit(file, subject(fresh(1)), same=("model", "preprocessing", "images"))
    other = subject(examples=(*subject().examples[:2], example("b/ü.png", 9)))
    fit(file, other, same=("model", "weights", "preprocessing"))
    with pytest.raises(CheckInputError, match="is missing"):
        fit(file, subject(examples=subject().examples[:2]), same=("model",))


def test_a_baseline_for_nothing_is_refused(file: Path) -> None:
    with pytest.raises(OptionError, match="is not carried out"):
        baselines.require_fit(baselines.read(file), subject(), [])


def test_pictures_of_one_name_cannot_be_told_apart() -> None:
    twice = subject(examples=(example("a.png", 1), example("a.png", 2)))
    with pytest.raises(CheckInputError, match=r"two pictures are called a\.png"):
        stored(twice)


def test_what_is_not_finite_is_not_stored() -> None:
    for model in (fresh(), damaged("overflow")):
        if model.module.fc.weight[0, 0] < 1:
            model.module.fc.bias.data[0] = float("nan")
        with pytest.raises((Skipped, ModelError)):
            stored(subject(model))


# What is no baseline.


def changed(file: Path, change: Callable[[Any], object]) -> None:
    """Change what a baseline says, as somebody who means harm would: its checksum is right."""
    found = json.loads(file.read_text())
    change(found)
    body = {name: found.get(name) for name in ("made_of", "versions", "pictures")}
    found["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(found))


DEEP = b'{"cnnexplain-baseline": ' + b"[" * 200_000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{}", "it is another kind of file"),
        (b'<testsuites name="cnnexplain check"/>', "it is another kind of file"),
        (b'{"cnnexplain-baseline": 2}', "written by another version"),
        (b'{"cnnexplain-baseline": 1}', "ends too early or is damaged"),
        (b'{"cnnexplain-baseline": 1, "made_of": NaN}', "it holds NaN"),
        (b'{"cnnexplain-baseline": 1, "a": 1, "a": 2}', "it says something twice"),
        (b'{"cnnexplain-baseline": 1' + b"0" * 5000 + b"}", "ends too early or is damaged"),
        (b'{"cnnexplain-baseline": "\xff"}', "ends too early or is damaged"),
        (DEEP, "ends too early or is damaged"),
        (
            b'{"cnnexplain-baseline": 1, "made_of": {}, "versions": {}, "pictures": [], "sha256": ""}',
            "was changed",
        ),
    ],
)
def test_other_files_are_no_baselines(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(content)
    with pytest.raises(CheckInputError, match=why) as refused:
        baselines.read(path)
    assert "--update-baseline" in refused.value.hint


def test_every_part_of_a_baseline_is_none(file: Path) -> None:
    whole = file.read_bytes()
    for end in (*range(30, len(whole) - 2, 307), len(whole) - 2):
        file.write_bytes(whole[:end])
        with pytest.raises(CheckInputError, match="no whole baseline"):
            baselines.read(file)
    for place in range(30, len(whole) - 2, 307):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckInputError, match="no whole baseline"):
            baselines.read(file)
    lines = whole.decode().splitlines()
    file.write_text("\n".join((*lines[:4], *lines[5:])))  # a picture less
    with pytest.raises(CheckInputError, match="was changed"):
        baselines.read(file)


def picture(change: Callable[[dict[str, Any]], object]) -> Callable[[Any], object]:
    return lambda found: change(found["pictures"][1])


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(pictures=[]),
        lambda found: found.update(pictures={}),
        lambda found: found.update(pictures="abc"),
        lambda found: found.update(pictures=[None]),
        lambda found: found.update(pictures=None),
        lambda found: found.update(versions=[1]),
        lambda found: found.update(versions={"torch": 2}),
        lambda found: found.update(made_of={}),
        lambda found: found.update(made_of=["model"]),
        lambda found: found["made_of"].update(weights=None),
        lambda found: found["made_of"].update(layer=""),
        lambda found: found["pictures"].append(found["pictures"][0]),
        picture(lambda one: one.pop("map")),
        picture(lambda one: one.update(map=None)),
        picture(lambda one: one.update(map=[[1.0]])),
        picture(lambda one: one["map"].update(shape=[16, 17])),
        picture(lambda one: one["map"].update(shape=[-16, -16])),
        picture(lambda one: one["map"].update(shape=[16.0, 16])),
        picture(lambda one: one["map"].update(shape=[10**9, 10**9])),
        picture(lambda one: one["map"].update(shape=256)),
        picture(lambda one: one["map"].update(float32="!")),
        picture(lambda one: one["map"].update(float32="AADAfw==", shape=[1, 1])),
        picture(lambda one: one["map"].update(float32=7)),
        picture(lambda one: one.update(best=[])),
        picture(lambda one: one.update(best=[[1, 2.0]])),
        picture(lambda one: one.update(best=[[True, 0.5]])),
        picture(lambda one: one.update(best=[["1", 0.5]])),
        picture(lambda one: one.update(best=[[-1, 0.5]])),
        picture(lambda one: one.update(best=[[1, "x"]])),
        picture(lambda one: one.update(best=[[1, 10**400]])),
        picture(lambda one: one.update(best=[1, 2])),
        picture(lambda one: one.update(best={"1": 2})),
        picture(lambda one: one.update(sha256="x")),
        picture(lambda one: one.update(image=None)),
    ],
)
def test_a_baseline_that_lies_about_itself_is_refused(change: Callable[[Any], object], file: Path) -> None:
    changed(file, change)
    with pytest.raises(CheckInputError, match="no whole baseline"):
        baselines.read(file)


def test_a_class_that_there_is_none_of_is_refused(file: Path) -> None:
    changed(file, picture(lambda one: one.update(best=[[77, 0.5]])))
    with pytest.raises(CheckInputError, match="there are none of"):
        fit(file, subject())


def test_maps_of_another_size_are_never_good(file: Path) -> None:
    changed(file, picture(lambda one: one["map"].update(float32="AACAPw==", shape=[1, 1])))
    one = subject(baseline=baselines.read(file))
    with one.model.borrowed():
        verdict = verdict_of(chosen(), one)
    assert verdict.status == "fail"
    assert "16x16 cells, and the stored ones of 1x1" in verdict.says


def test_a_missing_file_a_folder_and_a_link_to_nothing_are_no_baselines(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "link"):
        with pytest.raises(CheckInputError, match="there is no baseline"):
            baselines.read(path)


@pytest.mark.parametrize("content", [b"", b"[tool.cnnexplain]\n", b'{"cnnexplain": "0.1.0"}'])
def test_only_a_baseline_is_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="not from cnnexplain"):
        baselines.write(path, stored(subject()))
    assert path.read_bytes() == content


# The measures themselves.


def test_ranks_are_compared_and_not_values() -> None:
    rising = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert likeness(rising, rising**3) == pytest.approx(1)
    assert likeness(rising, -rising) == pytest.approx(-1)
    flat = np.zeros((3, 3), np.float32)
    assert likeness(flat, flat) == 1
    assert likeness(flat, rising) == likeness(rising, flat) == 0


def test_rounding_is_no_difference_of_ranks_or_peaks() -> None:
    """Most of a map may be nearly nothing: its order is noise."""
    noise = np.random.default_rng(0)
    one = noise.normal(0, 1e-7, (7, 7)).astype(np.float32)
    other = noise.normal(0, 1e-7, (7, 7)).astype(np.float32)
    one[2, 3] = other[2, 3] = 1
    one[5, 5], other[5, 5] = 1 + 1e-6, 1 - 1e-6
    assert likeness(one, other) == pytest.approx(1)
    assert shift(one, other, (224, 224)) == 0


def test_spearman_by_hand() -> None:
    a = np.array([[1, 2], [3, 4]], np.float32)
    b = np.array([[1, 3], [2, 4]], np.float32)
    assert likeness(a, b) == pytest.approx(1 - 6 * 2 / (4 * 15))
    ties = np.array([[1, 1], [2, 3]], np.float32)
    assert likeness(a, ties) == pytest.approx(4.5 / np.sqrt(5 * 4.5))


def test_a_shift_is_told_in_pixels_of_the_input() -> None:
    one, other = np.zeros((4, 8), np.float32), np.zeros((4, 8), np.float32)
    one[0, 1], other[3, 5] = 1, 1
    assert shift(one, other, (40, 160)) == pytest.approx(np.hypot(30, 80))
    other[0, 2] = 1  # as high, and nearer
    assert shift(one, other, (40, 160)) == 20
