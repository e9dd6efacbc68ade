"""Every way to say which class is meant, and what is said where none or several are."""

from __future__ import annotations

import pytest

from cnnexplain.core.target import TargetSpec, parse_target, settled
from cnnexplain.errors import CheckInputError, TargetError
from cnnexplain.runner.checking.labels import class_index

LABELS = [
    "tench, Tinca tinca", "tabby, tabby cat", "tiger cat", "Persian cat", "tiger", "crane", "crane", "Ärmel, ß"
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("top", TargetSpec(top=1)),
        ("TOP", TargetSpec(top=1)),
        (" top3 ", TargetSpec(top=3)),
        ("top99", TargetSpec(top=8)),
        ("0", TargetSpec(index=0)),
        ("007", TargetSpec(index=7)),
        ("tiger cat", TargetSpec(index=2)),
        ("TIGER CAT", TargetSpec(index=2)),
        ("tiger", TargetSpec(index=4)),  # the whole name goes before a part of another
        ("tabby cat", TargetSpec(index=1)),  # a synonym
        ("tinca", TargetSpec(index=0)),  # a part
        ("persian", TargetSpec(index=3)),
        ("ÄRMEL", TargetSpec(index=7)),
        ("SS", TargetSpec(index=7)),  # as German folds it
    ],
)
def test_a_class_may_be_written_so(text: str, spec: TargetSpec) -> None:
    assert parse_target(text, LABELS) == spec


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("cat", ["1 'tabby, tabby cat'", "2 'tiger cat'", "3 'Persian cat'"]),
        ("crane", ["5 'crane'", "6 'crane'"]),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(text: str, candidates: list[str]) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text, LABELS)
    assert f"fits {len(candidates)} classes: {', '.join(candidates)}" in caught.value.problem
    assert f"--target {candidates[0][0]}" in caught.value.hint


def test_many_candidates_are_counted() -> None:
    with pytest.raises(TargetError, match=r"fits 1000 classes: .* and 992 more"):
        parse_target("class", [f"class {index}" for index in range(1000)])


@pytest.mark.parametrize(
    ("text", "near"),
    [("tigr", "tiger"), ("persan cat", "Persian cat"), ("tabi cat", "tabby cat"), ("tpo", "")],
)
def test_a_slip_of_the_finger_gets_near_misses(text: str, near: str) -> None:
    with pytest.raises(TargetError, match="there is no class called") as caught:
        parse_target(text, LABELS)
    assert (f"'{near}'" if near else "from 0 to 7") in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "  ", "-1", "--5", "8", "999999999999999999", "9" * 5000, "-" * 50, "-", "+1", "1.5", "1e3", "٣", "²",
     "top0", "top-1", "top99999999", "top" + "9" * 5000, "top 3", "0x1", "\0", "\ud800", "zebra" * 999],
)  # fmt: skip
def test_nonsense_is_an_error_in_two_lines(text: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text, LABELS)
    assert caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("labels", "text", "index"),
    [
        (["9", "8", "7"], "0", 0),  # nothing is called 0
        (["9", "8", "7"], "9", 0),  # called so, and no index of these three
        (["3", "1", "2", "0"], "3", 0),  # called so, though there is a class with the index 3
        (["10", "20", "0"], "0", 2),
        ([str(index) for index in range(10)], "7", 7),  # both readings agree
        (["cat", "1", "1"], "1", 1),  # two are called so, and one of them has the index
    ],
)
def test_a_class_that_is_called_as_an_index_is_meant_by_its_name(
    labels: list[str], text: str, index: int
) -> None:
    spec = parse_target(text, labels)
    assert spec.index == index
    assert settled(spec.words).index == index  # what is written down is an index, whatever classes are called
    assert class_index(text, labels, "labels.csv") == index  # and a list of labels reads the same


def test_a_name_of_several_classes_is_no_index_of_another() -> None:
    with pytest.raises(TargetError, match="fits 2 classes"):
        parse_target("1", ["1", "x", "1"])
    with pytest.raises(TargetError, match="which has 3"):
        parse_target("9", ["a", "b", "c"])


@pytest.mark.parametrize(
    ("labels", "text", "whole"),
    [
        (["1, uno", "2, dos", "3, tres"], "1", ["'1, uno'", "'2, dos'"]),
        (["zero", "deux, 0"], "0", ["'deux, 0'", "zero"]),
        (["b", "4, 000, d"], "000", ["'4, 000, d'", "b"]),
    ],
)
def test_one_of_several_names_that_is_the_index_of_another_class_is_refused(
    labels: list[str], text: str, whole: list[str]
) -> None:
    with pytest.raises(TargetError, match="is one of the names of class") as caught:
        parse_target(text, labels)
    assert caught.value.hint == f"give the whole name: --target {whole[0]} or --target {whole[1]}"
    for written, index in zip(whole, (labels.index(whole[0].strip("'")), int(text)), strict=True):
        assert parse_target(written.strip("'"), labels).index == index
    with pytest.raises(CheckInputError, match="is one of the names of class"):
        class_index(text, labels, "labels.csv")


def test_one_of_several_names_that_is_no_other_index_is_taken() -> None:
    assert parse_target("2000", ["a", "2000, y2k"]).index == 1
    assert parse_target("1", ["a", "1, one"]).index == 1
    assert parse_target("1", ["1", "1, one"]).index == 0  # the exact name goes first
    assert parse_target("1", ["1, x", "1, y", "z"]).index == 1  # as with exact names
    with pytest.raises(TargetError, match="fits 2 classes"):
        parse_target("2", ["2, x", "2, y", "z"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("above 0.5", "above:0.5"),
        ("above=0.5", "above:0.5"),
        ("ABOVE.25", "above:0.25"),
        ("above 0,5", "above:0.5"),
        ("above 50%", "above:0.5"),
        ("over 50 %", "above:0.5"),
        (">0.5", "above:0.5"),
        (">= 0.9", "above:0.9"),
        ("top 3", "top3"),
        ("top-3", "top3"),
        ("top:5", "top5"),
    ],
)
def test_another_spelling_of_top_and_above_gets_the_right_one(text: str, meant: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text, LABELS)
    assert caught.value.hint == f"did you mean --target {meant}?"
    assert parse_target(text, [*LABELS, text]).index == len(LABELS)  # a class may be called so
    parse_target(meant, LABELS)


@pytest.mark.parametrize("text", ["above", "above 2", "above 150%", "top 0", "topcat 3", "over"])
def test_other_words_are_not_taken_for_top_and_above(text: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text, ["x", "y"])
    assert "--target" not in caught.value.hint


@pytest.mark.parametrize(("text", "above"), [("above:0.5", 0.5), ("ABOVE:.25", 0.25), ("above:0", 0.0)])
def test_classes_above_a_probability(text: str, above: float) -> None:
    spec = parse_target(text, LABELS)
    assert spec == TargetSpec(above=above)
    assert settled(spec.words) == spec


@pytest.mark.parametrize(
    "text", ["above:", "above:1", "above:1.5", "above:-1", "above:nan", "above:50%", "above:\0"]
)
def test_what_is_no_probability_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="no probability") as caught:
        parse_target(text, LABELS)
    assert "--target above:0.5" in caught.value.hint


@pytest.mark.parametrize("spec", [TargetSpec(), TargetSpec(top=4), TargetSpec(index=3)])
def test_what_is_written_down_reads_back(spec: TargetSpec) -> None:
    assert settled(spec.words) == spec
