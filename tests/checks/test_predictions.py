"""Checks of predictions: each has a model that it finds, one that it leaves alone, and a case where it cannot tell."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import digits
import numpy as np
import pytest
import skimage.data
import sklearn.datasets
import torch
import torch.nn.functional as F
from scipy.stats import binomtest, permutation_test
from torch import Tensor, nn

from cnnexplain import checks
from cnnexplain.checks.suite import paired as _paired
from cnnexplain.checks.suite.order import exchange
from cnnexplain.checks.suite.repeated import apart
from cnnexplain.checks.suite.subject import Example, Subject
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.verdict import Confusion, Gallery, Profile, Verdict
from cnnexplain.engine.model import Model
from cnnexplain.images.decode import decode
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of
from cnnexplain.runner.model import build
from cnnexplain.runner.options import DeviceOptions

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg")
SIZE = (32, 32)
COLOURS = ("red", "green", "blue")
MADE_FOR = 0.57  # the root of the mean square of `pictures` in -1..1


def verdict(name: str, subject: Subject, **limits: float) -> Verdict:
    kind = checks.check(name)
    with subject.model.borrowed():
        return verdict_of(Chosen(name, kind(**limits), kind.level, True), subject)


class Colourful(nn.Module):
    """Says which channel is the strongest: right where a picture is mostly red, green or blue."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(4 * torch.eye(3)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))


class Peaked(nn.Module):
    """Recognises by colour what has numbers of the size it was made for, and says nothing of larger or smaller ones."""

    def forward(self, x: Tensor) -> Tensor:
        size = x.square().mean((1, 2, 3)).sqrt()
        fits = torch.exp(-60 * (size - MADE_FOR).square())[:, None]
        return 12 * fits * F.normalize(x.mean((2, 3)) - x.mean((1, 2, 3))[:, None])


class Noisy(nn.Module):
    """One that does not heed eval(), as `kind` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.inner = kind, Colourful()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "dropout":
            x = F.dropout(x, 0.5, training=True)
        if self.kind == "batch statistics":
            x = F.batch_norm(x, None, None, training=True)
        if self.kind == "only batches" and len(x) == 1:
            raise ValueError("Expected more than 1 value per channel when training")
        return self.inner(self.norm(x))


def pictures(count: int = 12, labelled: bool = True, grey: bool = False) -> tuple[Example, ...]:
    """Patches of noise in turn mostly red, green and blue."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        pixels = random.integers(0, 120, (*SIZE, 3), dtype=np.uint8)
        pixels[..., number % 3] += 100
        if grey:
            pixels[:] = pixels[..., :1]
        label = number % 3 if labelled else None
        found.append(Example(f"{number}.png", f"{number}.png", "", pixels, label))
    return tuple(found)


def subject(module: nn.Module, examples: tuple[Example, ...] | None = None, **fields: object) -> Subject:
    made = {"mean": (0.5,), "std": (0.5,), **fields}
    preprocess = Preprocess(SIZE, 3, SIZE, **made)
    labels = COLOURS if isinstance(module, (Colourful, Noisy)) else None
    return Subject(Model(module, "m", preprocess, labels), pictures() if examples is None else examples)


def swapped(module: Colourful) -> Colourful:
    with torch.no_grad():
        module.conv.weight.copy_(module.conv.weight.flip(1))
    return module


@pytest.mark.parametrize("kind", ["nothing", "dropout", "batch statistics"])
def test_what_does_not_heed_eval_is_found_by_the_check_for_it(kind: str) -> None:
    found = {name: verdict(name, subject(Noisy(kind))) for name in ("deterministic", "batch-invariant")}
    assert found["deterministic"].status == ("fail" if kind == "dropout" else "pass")
    # Where the same picture gets other answers each time, its company is not to blame.
    expected = {"nothing": "pass", "dropout": "skipped", "batch statistics": "fail"}[kind]
    assert found["batch-invariant"].status == expected
    if kind != "nothing":
        first = next(one for one in found.values() if one.status == "fail")
        assert first.value
        assert first.value > 0.01
        assert first.table
        assert first.table.rows
        assert first.do


@pytest.mark.parametrize("kind", ["nothing", "batch statistics"])
def test_one_picture_has_its_negative_for_company(kind: str) -> None:
    found = verdict("batch-invariant", subject(Noisy(kind), pictures(1)))
    assert found.status == ("pass" if kind == "nothing" else "fail")


def test_a_model_that_fails_on_one_picture_alone_is_found() -> None:
    found = verdict("batch-invariant", subject(Noisy("only batches")))
    assert found.status == "fail"
    assert "alone fails" in found.says


def test_rounding_does_not_count_however_small_the_scores() -> None:
    module = digits.fresh("well")
    with torch.no_grad():
        for weight in module.head.parameters():
            weight.mul_(1e-6)
    for name in ("deterministic", "batch-invariant"):
        assert verdict(name, digits.subject(module)).status == "pass"


class Scaled(Noisy):
    """Scores of another size, or far from zero."""

    def __init__(self, kind: str, factor: float, offset: float) -> None:
        super().__init__(kind)
        self.factor, self.offset = factor, offset

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor + self.offset


@pytest.mark.parametrize(("factor", "offset"), [(1e25, 0.0), (1.0, 1e4)], ids=["large", "far from zero"])
def test_neither_size_nor_offset_hides_what_changes_or_makes_rounding_count(
    factor: float, offset: float
) -> None:
    steady = subject(Scaled("nothing", factor, offset))
    assert verdict("deterministic", steady).status == verdict("batch-invariant", steady).status == "pass"
    assert verdict("deterministic", subject(Scaled("dropout", factor, offset))).status == "fail"
    mixed = verdict("batch-invariant", subject(Scaled("batch statistics", factor, offset)))
    assert mixed.status == "fail"
    assert mixed.value is not None
    assert mixed.value > 0.1


def test_one_score_that_is_zero_by_accident_is_no_alarm() -> None:
    """The rounding of its parts is no smaller for that they cancel, and other pictures' scores tell how large it is."""
    among = torch.tensor([[2e-8], [1.3], [-0.7], [0.4]])
    again = among + 1e-7
    assert float(apart(among, again, among).max()) < 1e-6
    assert float(apart(among[:1], again[:1], among).max()) < 1e-6
    assert float(apart(among[:1], among[:1] + 0.1, among).max()) > 0.05
    assert apart(among, among.clone().fill_(math.nan), among).isinf().all()


def test_what_is_the_same_to_the_last_bit_is_said_to_be() -> None:
    found = verdict("batch-invariant", subject(Colourful()))
    if found.value == 0:
        assert found.says == "scores are the same alone and in a batch"
    else:
        assert "but for" in found.says


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("bgr", [False, True])
def test_swapped_channels_are_found_with_labels_only(labelled: bool, bgr: bool) -> None:
    """By colour alone red is as certain as blue: without labels there is nothing to tell them apart by."""
    module = swapped(Colourful()) if bgr else Colourful()
    found = verdict("channel-order", subject(module, pictures(labelled=labelled)))
    assert found.status == ("skipped" if not labelled else "fail" if bgr else "pass")
    if not labelled:
        assert "cannot tell" in found.says
        assert "labels would say more" in found.says
    elif bgr:
        assert "4 of 12 as fed and 12 of 12" in found.says
        assert found.says.endswith("with red and blue swapped (guesses among 3 classes give 33.3%)")
        assert isinstance(found.drawing, Gallery)
        as_fed, other = found.drawing.thumbnails[:2]
        assert np.array_equal(as_fed.pixels[..., ::-1], other.pixels)


def test_a_model_that_is_surer_of_swapped_channels_is_found_without_labels() -> None:
    class Warm(nn.Module):
        """Certain of what is red, and of nothing else."""

        def forward(self, x: Tensor) -> Tensor:
            return 5 * F.relu(x.mean((2, 3))[:, [2, 2, 2]]) * torch.tensor([1.0, 0, 0])

    red = tuple(
        one for one in pictures(24, labelled=False) if one.name in {f"{n}.png" for n in range(0, 24, 3)}
    )
    assert verdict("channel-order", subject(Warm(), red, mean=(0.0,))).status == "fail"


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (pictures(5), "it takes 6 at least"),
        (pictures(8, grey=True), "the pictures are grey"),
        ((*pictures(4), *pictures(8, grey=True)), "4 pictures with colours"),
    ],
    ids=["few", "grey", "few with colours"],
)
def test_too_little_evidence_is_no_verdict(examples: tuple[Example, ...], words: str) -> None:
    found = verdict("channel-order", subject(swapped(Colourful()), examples))
    assert found.status == "skipped"
    assert words in found.says


def test_a_grey_model_has_no_channels_to_swap() -> None:
    assert "no red, green and blue" in verdict("channel-order", digits.subject("well")).says


def test_a_model_that_guesses_is_not_told_how_to_be_fed() -> None:
    for name in ("channel-order", "normalisation"):
        labels = (replace(one, label=(one.label + 1) % 3) for one in pictures())
        found = verdict(name, subject(Colourful(), tuple(labels)))
        assert found.status == "skipped"
        assert "no more than guesses among 3 classes would be (33.3%)" in found.says


USUAL = {"-1..1": (0.5, 0.5), "0..1": (0.0, 1.0), "0..255": (0.0, 1 / 255)}


@pytest.mark.parametrize("kind", ["well", "plain"])
@pytest.mark.parametrize("fed", [None, *USUAL])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_wrong_normalisation_is_found_and_the_right_one_is_left_alone(
    kind: str, fed: str | None, labelled: bool
) -> None:
    """Digits were normalised by their own mean and deviation, which pictures' own come near."""
    given = digits.subject(kind, 48, labelled)
    if fed:
        mean, std = USUAL[fed]
        given = replace(given, model=given.fed((mean,), (std,)))
    found = verdict("normalisation", given)
    if not labelled:
        # Both networks become ever more certain with the contrast, of whatever they see: no pass, and no false alarm.
        assert found.status == "skipped" or (fed is not None and found.status == "fail")
        assert "guesses" not in found.says
    elif fed is None:
        assert found.status == "pass"
        assert found.says.endswith("(guesses among 10 classes give 10.0%)")
        assert isinstance(found.drawing, Profile)
        assert not found.drawing.marked
    elif (kind, fed) != ("well", "-1..1"):  # which is as good
        assert found.status == "fail"
        assert isinstance(found.drawing, Profile)
        assert found.drawing.marked
        assert len(found.drawing.names) == len(found.drawing.values)


@pytest.mark.parametrize(("fed", "status"), [("0..255", "fail"), ("own", "pass"), ("few", "skipped")])
def test_without_labels_certainty_tells_where_contrast_alone_does_not_raise_it(fed: str, status: str) -> None:
    examples = pictures(7 if fed == "few" else 12, labelled=False)
    mean, std = (0.0, 1 / 255) if fed == "0..255" else (0.5, 0.5)
    assert verdict("normalisation", subject(Peaked(), examples, mean=(mean,), std=(std,))).status == status


def test_one_way_of_several_is_better_by_accident_no_more_often_than_one_alone_would_be() -> None:
    """Seven of eight pictures agree, which is an accident in less than 2 of a hundred, but not of four tries."""
    module = Peaked()
    outcomes = {}
    for count in (8, 12):
        given = subject(module, pictures(count, labelled=True), mean=(0.0,), std=(1 / 255,))
        seen = given.logits
        own = _paired.answers(given, torch.zeros_like(seen))
        other = F.one_hot(given.labels, 3) * 1.0
        other[0] = other[0].roll(1) * 0.5
        others = {name: _paired.answers(given, other) for name in ("ImageNet", "-1..1", "0..1", "each")}
        assert _paired.likely(own.gains(others["0..1"])) <= 0.02
        check = checks.check("normalisation")()
        outcomes[count] = check._outcomes(given, own, others)["0..1"]
    assert outcomes == {8: "cannot tell", 12: "better"}


def test_expected_labels_count_and_name_what_is_mistaken() -> None:
    examples = [replace(one, label=(one.label + (number < 8)) % 3) for number, one in enumerate(pictures())]
    found = verdict("expected-labels", subject(Colourful(), tuple(examples)))
    assert found.status == "fail"
    assert found.value == pytest.approx(4 / 12)
    assert isinstance(found.drawing, Confusion)
    assert found.drawing.names == COLOURS
    counts = np.zeros((3, 3), int)
    for number in range(12):
        counts[(number % 3 + (number < 8)) % 3, number % 3] += 1
    assert np.array_equal(found.drawing.counts, counts)
    assert found.table
    assert len(found.table.rows) == 8
    chances = [float(row[2]) for row in found.table.rows]
    assert chances == sorted(chances)
    assert verdict("expected-labels", subject(Colourful(), tuple(examples)), top1=0.3).status == "pass"


def test_expected_labels_counts_the_first_five() -> None:
    class Second(nn.Module):
        """Always says 2, and then 3, 4, 5 and 6."""

        def forward(self, x: Tensor) -> Tensor:
            logits = torch.arange(10.0).flip(0).expand(len(x), 10)
            return logits.roll(2, 1)

    examples = tuple(replace(one, label=label) for one, label in zip(pictures(4), (2, 2, 6, 7), strict=True))
    model = Model(Second(), "m", Preprocess(SIZE, 3, SIZE))
    found = verdict("expected-labels", Subject(model, examples))
    assert "2 of 4 pictures" in found.says
    assert "3 within the first five" in found.says
    assert found.status == "pass"
    assert verdict("expected-labels", Subject(model, examples), top5=0.8).status == "fail"


def test_a_model_that_says_nothing_recognises_nothing() -> None:
    module = Colourful()
    nn.init.zeros_(module.conv.weight)
    assert verdict("expected-labels", subject(module)).value == 0


def test_places_are_told_by_scores_where_probabilities_are_all_zero() -> None:
    class Sure(nn.Module):
        """Always says 0, then 1, and so on, with probabilities of one and nothing else."""

        def forward(self, x: Tensor) -> Tensor:
            return 150 * torch.arange(10.0).flip(0).expand(len(x), 10)

    examples = tuple(replace(one, label=label) for one, label in zip(pictures(4), (1, 7, 4, 0), strict=True))
    found = verdict("expected-labels", Subject(Model(Sure(), "m", Preprocess(SIZE, 3, SIZE)), examples))
    assert "1 of 4 pictures" in found.says
    assert "3 within the first five" in found.says
    assert found.table
    assert [row[3] for row in found.table.rows] == ["8", "5", "2"]


def test_a_picture_that_is_not_recognised_is_drawn_as_mistaken() -> None:
    """Of equal scores none counts, in the figure and in the drawing alike."""
    module = Colourful()
    nn.init.zeros_(module.conv.weight)
    found = verdict("expected-labels", subject(module))
    assert isinstance(found.drawing, Confusion)
    assert found.drawing.counts.diagonal().sum() == found.value == 0
    assert found.drawing.counts.sum() == 12
    assert found.table
    assert all(row[1] != row[4] for row in found.table.rows)


def test_many_classes_are_drawn_together() -> None:
    model = Model(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)), "m", Preprocess(SIZE, 3, SIZE))
    examples = tuple(replace(one, label=number) for number, one in enumerate(pictures(40)))
    found = verdict("expected-labels", Subject(model, examples))
    assert isinstance(found.drawing, Confusion)
    assert len(found.drawing.names) == 12
    assert found.drawing.names[-1].endswith("other classes")
    assert found.drawing.counts.sum() == 40


class Names(nn.Module):
    """Says the class that a grey picture's brightness stands for, of twelve."""

    def forward(self, x: Tensor) -> Tensor:
        level = x.mean((1, 2, 3))[:, None]
        return -200 * (level - torch.linspace(0, 1, 12)).abs()


def brightnesses(order: Callable[[int], int], each: int = 4, wrong: int = 0) -> Subject:
    """Pictures of all classes, whose labels were put into another order; the first few say something wrong."""
    found = []
    for number in range(12 * each):
        true = number % 12
        pixels = np.full((*SIZE, 3), round(255 * true / 11), np.uint8)
        label = (order(true) + 5) % 12 if number < wrong else order(true)
        found.append(Example(f"{number}.png", f"{number}.png", "", pixels, label))
    names = [f"class {chr(97 + (7 * number) % 12)}" for number in range(12)]
    fed = Preprocess(SIZE, 3, SIZE, "squash", "nearest", (0.0,) * 3, (1.0,) * 3)
    return Subject(Model(Names(), "m", fed, names), tuple(found))


TEXTS = sorted(range(12), key=str)
BY_NAME = sorted(range(12), key=lambda number: (7 * number) % 12)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (lambda true: {2: 5, 5: 2}.get(true, true), "'class c' means 'class l', 'class l' means 'class c'"),
        (lambda true: (true + 1) % 12 if true in (3, 7, 9) else true, None),  # two names for one class
        (lambda true: 11 - true, "the labels are in reverse order"),
        (TEXTS.index, "the labels are numbered by the order of 0, 1, 10, 11, 2"),
        (lambda true: TEXTS[true], "the model's classes are in the order of 0, 1, 10, 11, 2"),
        (BY_NAME.index, "the labels are numbered in alphabetical order"),
    ],
)
def test_labels_in_another_order_are_named(order: Callable[[int], int], says: str | None) -> None:
    found = verdict("expected-labels", brightnesses(order))
    assert "guesses among 12 classes give 8.3%" in found.says
    if says is None:
        assert "another order" not in found.says
        return
    assert found.status == "fail"
    assert f"labels are in another order: {says}" in found.says
    assert found.says.endswith("which makes 48 of 48")
    assert "the model's order" in found.do


def test_labels_with_a_class_for_the_background_are_one_too_high() -> None:
    whole = brightnesses(lambda true: true + 1)
    eleven = tuple(one for number, one in enumerate(whole.examples) if number % 12 < 11)
    found = verdict("expected-labels", replace(whole, examples=eleven))
    assert "every label is 1 too high, as with a class for the background, which makes 44 of 44" in found.says


def test_few_pictures_and_usual_mistakes_are_no_other_order() -> None:
    assert (
        "another order" not in verdict("expected-labels", brightnesses(lambda true: 11 - true, each=2)).says
    )
    right = verdict("expected-labels", brightnesses(lambda true: true, wrong=10))
    assert right.status == "pass"
    assert "another order" not in right.says


def test_other_mistakes_do_not_hide_an_exchange() -> None:
    """Three of 48 pictures are mistaken otherwise: of the classes 2 and 5 seven pictures are left, all exchanged."""
    swapped = brightnesses(lambda true: {2: 5, 5: 2}.get(true, true), wrong=3)
    found = verdict("expected-labels", swapped)
    assert found.status == "fail"
    assert "'class c' means 'class l', 'class l' means 'class c', which makes 45 of 48" in found.says


def predicted(counts: dict[int, dict[int, int]]) -> tuple[list[int], list[int]]:
    """Labels, and what pictures are taken for, of which there are so many by label and class."""
    pairs = [
        (label, other) for label, row in counts.items() for other, many in row.items() for _ in range(many)
    ]
    return [label for label, _ in pairs], [other for _, other in pairs]


def confused(classes: int, order: dict[int, int], right: int = 75) -> dict[int, dict[int, int]]:
    """A model that is right for so many of 100 pictures of each class and else says the next, labels put in order."""
    return {
        order.get(one, one): {
            one: right,
            (one + 1) % classes: 60 - right // 2,
            (one + 2) % classes: 40 - right + right // 2,
        }
        for one in range(classes)
    }


TEN = [f"class {chr(97 + (7 * number) % 10)}" for number in range(10)]


@pytest.mark.parametrize("right", [55, 75, 80])
@pytest.mark.parametrize(
    "moved",
    [{2: 7, 7: 2}, {4: 5, 5: 4}, {1: 4, 4: 8, 8: 1}, {0: 1, 1: 0, 5: 9, 9: 5}, {0: 3, 3: 6, 6: 9, 9: 0}],
)
def test_classes_exchanged_in_a_model_with_many_mistakes_are_named(moved: dict[int, int], right: int) -> None:
    found = exchange(*predicted(confused(10, moved, right)), TEN)
    if right == 55:  # no clear majority
        assert found is None
        return
    assert found is not None
    assert found.meant == {label: one for one, label in moved.items()}
    assert found.right == 10 * right
    assert not found.order


@pytest.mark.parametrize(("classes", "step"), [(10, 1), (10, 9), (10, 3), (3, 1), (100, 1)])
def test_a_shift_round_the_end_is_called_a_shift(classes: int, step: int) -> None:
    order = {one: (one + step) % classes for one in range(classes)}
    names = [f"{(one * 7) % classes:03}" for one in range(classes)]
    found = exchange(*predicted(confused(classes, order)), names)
    assert found is not None
    assert found.right == 75 * classes
    by = "1 too low" if step == classes - 1 else f"{step} too high"
    assert (
        found.words(names) == f"every label is {by}, and the classes at one end stand for those at the other"
    )


def test_a_weak_model_shows_a_usual_order_of_many_classes() -> None:
    counts = {99 - one: {one: 3, (one + 11) % 100: 2, (one + 50) % 100: 2} for one in range(100)}
    found = exchange(*predicted(counts), [f"{(one * 7) % 100:03}" for one in range(100)])
    assert found is not None
    assert found.order == "the labels are in reverse order"
    assert found.right == 300


@pytest.mark.parametrize(
    "counts",
    [
        {2: {2: 45, 3: 55}, 3: {3: 48, 2: 52}},  # alike
        {2: {2: 3, 3: 7}, 3: {3: 4, 2: 6}},  # by accident
        {2: {2: 10, 3: 90}, 3: {3: 70, 2: 30}},  # one is taken for the other, and that one for itself
        {2: {2: 5, 3: 95}, 3: {3: 45, 2: 55}},  # a majority of one of the two only
        {2: {3: 100}, 3: {3: 2, 9: 98}, 9: {9: 100}},
        {2: {3: 100}},  # nothing shows what 3 means
    ],
)
def test_confused_classes_are_no_exchange(counts: dict[int, dict[int, int]]) -> None:
    others = {one: {one: 97, (one + 1) % 10: 3} for one in (0, 1, 4, 5, 6, 7, 8)}
    assert exchange(*predicted(others | counts), TEN) is None
    assert exchange(*predicted(counts), TEN) is None


def test_one_answer_for_all_is_no_exchange() -> None:
    for classes in (2, 3, 10):
        for always in range(classes):
            counts = {one: {always: 10 * (one + 1)} for one in range(classes)}
            assert exchange(*predicted(counts), TEN[:classes]) is None, (classes, always)


class Half(nn.Module):
    """Right for every other picture; else certain, or not, of something else."""

    def __init__(self, right: bool, size: float) -> None:
        super().__init__()
        self.right, self.size = right, size

    def forward(self, x: Tensor) -> Tensor:
        level = (x.mean((1, 2, 3)) * 11).round().long()
        wrong = (level * 5 + 1) % 12
        chosen = torch.where((torch.arange(len(x)) % 4 == 0) & self.right, level, wrong % 2 + 3)
        return self.size * nn.functional.one_hot(chosen, 12).float()


@pytest.mark.parametrize(
    ("right", "size", "advice"),
    [
        (True, 9.0, "it has learnt some of it"),
        (False, 9.0, "the weights are of another training"),
        (False, 0.1, "whether its weights were loaded"),
    ],
)
def test_what_to_do_depends_on_how_a_model_fails(right: bool, size: float, advice: str) -> None:
    given = brightnesses(lambda true: true)
    found = verdict("expected-labels", replace(given, model=replace(given.model, module=Half(right, size))))
    assert found.status == "fail"
    assert advice in found.do


class Corner(nn.Module):
    """Says where diagonal stripes lie: a shift by one pixel, down and across, takes each to where others were."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
        waves = torch.stack(
            [torch.cos(2 * math.pi * (rows + columns + phase) / self.period) for phase in (0, 2)]
        )
        return 60 * torch.einsum("nhw,khw->nk", x.mean(1), waves) / 1024


def striped(count: int) -> tuple[Example, ...]:
    """Diagonal stripes, four pixels wide and apart, with a little noise."""
    random = np.random.default_rng(1)
    places = np.add.outer(np.arange(32), np.arange(32))
    found = []
    for number in range(count):
        stripes = 120 + 90 * np.cos(2 * np.pi * places / 4)[:, :, None]
        pixels = (stripes + random.integers(-20, 20, (*SIZE, 3))).clip(0, 255).astype(np.uint8)
        found.append(Example(f"{number}.png", f"{number}.png", "", pixels))
    return tuple(found)


@pytest.mark.parametrize(
    ("module", "count", "status"),
    [
        (Corner(4), 8, "warn"),
        (Corner(4), 3, "skipped"),
        (Colourful(), 8, "pass"),
        (Colourful(), 1, "skipped"),
    ],
    ids=["shifted", "too few", "steady", "one nearly even"],
)
def test_answers_that_hang_on_the_place_are_found(module: nn.Module, count: int, status: str) -> None:
    found = verdict("flip-and-shift", subject(module, striped(count)))
    assert found.status == status
    if status == "warn":
        assert "shifted by 1 pixel" in found.says
        assert isinstance(found.drawing, Gallery)
        assert len(found.drawing.thumbnails) == 8


def test_fewer_pictures_than_could_fail_are_too_few() -> None:
    for count, said in ((5, "cannot tell: 5 pictures, and it takes 6 at least"), (6, "probability moves")):
        assert said in verdict("flip-and-shift", subject(Colourful(), striped(count))).says


def test_answers_that_hang_on_the_side_are_found() -> None:
    class Sided(nn.Module):
        """Says whether the left half is the brighter one."""

        def forward(self, x: Tensor) -> Tensor:
            sides = torch.stack([x[..., :16].mean((1, 2, 3)), x[..., 16:].mean((1, 2, 3))], 1)
            return 40 * sides

    examples = []
    for one in pictures(8, labelled=False):
        pixels = one.pixels.copy()
        pixels[:, :16] //= 2
        examples.append(replace(one, pixels=pixels))
    found = verdict("flip-and-shift", subject(Sided(), tuple(examples)))
    assert found.status == "warn"
    assert "mirrored" in found.says


def test_answers_that_all_change_are_found_however_uncertain_they_are() -> None:
    class Unsure(Corner):
        """The same, with probabilities of a half."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 1000

    found = verdict("flip-and-shift", subject(Unsure(4), striped(12)))
    assert found.value is not None
    assert found.value < 0.35
    assert "12 of 12 answers change, where 75% may" in found.says
    assert found.status == "warn"
    assert verdict("flip-and-shift", subject(Unsure(4), striped(12)), answers=1.0).status == "pass"
    assert verdict("flip-and-shift", subject(Unsure(4), striped(2))).status == "skipped"


def test_mirrored_digits_are_no_digits() -> None:
    """And a shift by one pixel of eight is no small one."""
    found = verdict("flip-and-shift", digits.subject("well"))
    assert found.status == "skipped"
    assert "strange to the model" in found.says


@pytest.mark.parametrize("count", [2, 5, 12, 40])
def test_the_paired_test_is_scipys(count: int) -> None:
    differences = torch.randn(count, generator=torch.Generator().manual_seed(count)) + 0.3
    ours = _paired.likely(differences)
    theirs = permutation_test(
        (differences.double().numpy(), np.zeros(count)),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=20000,
        rng=np.random.default_rng(0),
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.01 if count > 12 else 1e-9)


@pytest.mark.parametrize(
    ("right", "count", "classes"), [(0, 8, 3), (3, 8, 3), (7, 8, 3), (2, 8, 1000), (90, 200, 3)]
)
def test_guesses_are_told_by_the_binomial_distribution(right: int, count: int, classes: int) -> None:
    logits = F.one_hot(torch.zeros(count, dtype=torch.long), classes) * 9.0
    labels = torch.tensor([0] * right + [1] * (count - right))
    chance = binomtest(right, count, 1 / classes, alternative="greater").pvalue
    ways = [_paired.Performance(logits, labels)]
    _paired.require_seeing(ways, chance * 1.01)
    with pytest.raises(_paired.Skipped):
        _paired.require_seeing(ways, chance * 0.99)


ALL = (
    "deterministic",
    "batch-invariant",
    "channel-order",
    "normalisation",
    "expected-labels",
    "flip-and-shift",
)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["one logit", "NaN", "four channels", "wide"])
def test_any_model_gets_a_verdict_and_is_given_back(name: str, kind: str) -> None:
    channels = 4 if kind == "four channels" else 3
    size = (24, 48) if kind == "wide" else SIZE
    module = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 1 if kind == "one logit" else 2),
    )  # fmt: skip
    if kind == "NaN":
        module[0].weight.data[0, 0, 0, 0] = math.nan
    module.train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random = np.random.default_rng(0)
    examples = tuple(
        Example(f"{n}", f"{n}", "", random.integers(0, 255, (*size, channels), dtype=np.uint8), n % 2)
        for n in range(8)
    )
    model = Model(module, "m", Preprocess(size, channels, size))
    for shown in (examples, examples[:1]):
        found = verdict(name, Subject(model, shown))
        assert found.says
        assert kind != "NaN" or found.status == "skipped"
    assert module.training
    for key, value in module.state_dict().items():
        assert torch.equal(value.nan_to_num(7), before[key].nan_to_num(7)), key


@pytest.fixture(scope="module")
def real() -> Subject:
    """The bundled model and eight photographs, labelled with what it says of them itself."""
    model, *_ = build("bundled:efficientnet_lite0", ModelOptions(), DeviceOptions(device="cpu"))
    files = [Path(skimage.data.__file__).with_name(name) for name in PHOTOS]
    files += [
        Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")
    ]
    shown = [model.preprocess.apply(decode(str(file)))[0] for file in files]
    examples = [Example(file.name, "", "", pixels) for file, pixels in zip(files, shown, strict=True)]
    made = Subject(model, tuple(examples))
    with model.borrowed():
        labels = made.best.tolist()
    return replace(
        made, examples=tuple(replace(one, label=label) for one, label in zip(examples, labels, strict=True))
    )


def test_a_real_model_trained_on_bgr_is_found(real: Subject) -> None:
    weight = real.model.module.conv_stem.weight
    assert verdict("channel-order", real).status == "pass"
    kept = weight.detach().clone()
    try:
        weight.data.copy_(kept.flip(1))
        damaged = replace(real)
        found = verdict("channel-order", damaged)
    finally:
        weight.data.copy_(kept)
    assert found.status == "fail"


def test_a_real_model_fed_wrongly_is_found(real: Subject) -> None:
    found = verdict("normalisation", replace(real, model=real.fed((0.0,), (1 / 255,))))
    assert found.status == "fail"
    assert "--mean 0.5 --std 0.5" in found.do


def test_dropout_forced_on_in_a_real_model_is_found(real: Subject) -> None:
    handle = real.model.module.classifier.register_forward_pre_hook(
        lambda module, inputs: (F.dropout(inputs[0], 0.2, training=True),)
    )
    try:
        assert verdict("deterministic", replace(real)).status == "fail"
    finally:
        handle.remove()
    assert verdict("deterministic", replace(real)).status == "pass"


def test_the_command_reads_folders_and_tells_what_is_mistaken(tmp_path: Path) -> None:
    for folder in ("n02123159", "lemon"):
        (tmp_path / folder).mkdir()
        picture = Path(skimage.data.__file__).with_name("chelsea.png").read_bytes()
        (tmp_path / folder / "cat.png").write_bytes(picture)
    command = ["check", "bundled:efficientnet_lite0", str(tmp_path), "--labels-from", "folder", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cnnexplain", *command, "--only", "expected-labels"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(done.stdout)["checks"]
    assert found["status"] == "fail"  # of two pictures one is among the first five
    assert found["table"]["rows"][0][1] == "lemon"
    assert found["table"]["rows"][0][4] == "tiger cat"
