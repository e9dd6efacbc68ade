"""Classes that are named by folders, and what pictures should be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnnexplain.core.prediction import Prediction
from cnnexplain.core.records import is_listed
from cnnexplain.report.pages.answers import answer_fields
from cnnexplain.runner.answers import class_folders, named_by_folders
from cnnexplain.runner.checking.labels import class_index
from cnnexplain.runner.options import AnswerOptions


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as torchvision's `ImageFolder` takes it, with classes that sort otherwise than people would."""
    for name in ("dog", "cat", "Zebra", "10", "9"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos" / "list.csv").write_text("image,label\n")
    return tmp_path / "photos"


def test_the_classes_of_a_folder_are_those_of_image_folder(photos: Path) -> None:
    torchvision = pytest.importorskip("torchvision.datasets.folder")
    names, _ = torchvision.find_classes(str(photos))
    assert class_folders([str(photos)], None) == tuple(names) == ("10", "9", "Zebra", "cat", "dog")
    (photos / "dog" / "old").mkdir()  # not directly within
    assert class_folders([f"{photos}/"], None) == tuple(names)


def test_results_are_no_class_and_folders_must_agree(photos: Path, tmp_path: Path) -> None:
    (photos / "out").mkdir()
    five = ("10", "9", "Zebra", "cat", "dog")
    assert class_folders([str(photos)], photos / "out") == five
    assert class_folders([str(photos)], None) == ("10", "9", "Zebra", "cat", "dog", "out")
    for name in five:
        (tmp_path / "more" / name).mkdir(parents=True)
    both = [str(photos), str(tmp_path / "more")]
    assert class_folders(both, photos / "out") == five
    (tmp_path / "more" / "mouse").mkdir()
    assert class_folders(both, photos / "out") == ()
    assert class_folders([str(photos), str(photos / "list.csv")], None) == ()
    assert class_folders(["*.jpg"], None) == class_folders([], None) == class_folders(["-"], None) == ()


@pytest.mark.parametrize(
    ("given", "classes", "named"),
    [(None, 5, True), (None, 4, False), (None, 6, False), (list("abcde"), 5, False)],
)
def test_names_are_taken_where_there_are_none_and_they_fit(
    photos: Path, monkeypatch: pytest.MonkeyPatch, given: Any, classes: int, named: bool
) -> None:
    model = SimpleNamespace(own_labels=given, labels=given or [f"class {one}" for one in range(classes)])
    monkeypatch.setattr(
        "cnnexplain.runner.answers.renamed", lambda _, names: SimpleNamespace(own_labels=names)
    )
    found, choices = named_by_folders(model, class_folders([str(photos)], None), [str(photos)])  # type: ignore[arg-type]
    assert (found.own_labels == ("10", "9", "Zebra", "cat", "dog")) == named == bool(choices)
    if choices:
        assert (choices[0].setting, choices[0].value) == ("labels", "10, 9, Zebra, cat and dog")
        assert (
            choices[0].reason == f"the sorted names of the folders in {photos}, as many as there are classes"
        )


def test_names_of_folders_lose_their_control_characters_and_are_found_by_the_raw_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = ("cat\x1b[31m", "\u202egod", "mouse_1")
    for name in raw:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(
        "cnnexplain.runner.answers.renamed", lambda _, names: SimpleNamespace(own_labels=names)
    )
    model: Any = SimpleNamespace(own_labels=None, labels=["class 0", "class 1", "class 2"])
    found, (choice,) = named_by_folders(model, class_folders([str(tmp_path)], None), [str(tmp_path)])
    assert found.own_labels == ("cat[31m", "mouse_1", "god")
    assert choice.value == "cat[31m, mouse_1 and god"
    assert [class_index(one, found.own_labels, "here", folder=True) for one in raw] == [0, 2, 1]


def prediction(index: int, logit: float) -> Prediction:
    return Prediction(index, f"class {index}", 0.5, logit)


@pytest.mark.parametrize(
    ("logits", "expected", "right"),
    [
        ([(2, 3.0), (0, 1.0)], 2, True),
        ([(2, 3.0), (0, 1.0)], 0, False),
        ([(2, 3.0), (0, 1.0)], 1, False),  # not among the answers that are told
        ([(0, 1.0), (1, 1.0)], 0, False),  # says the same of both, and recognises neither
        ([(0, 1.0), (1, 1.0)], 1, False),
    ],
)
def test_right_is_the_expected_class_alone_in_front(
    logits: list[tuple[int, float]], expected: int, right: bool
) -> None:
    found = answer_fields([prediction(*one) for one in logits], expected, ["a", "b", "c"])
    assert found == {"expected": {"index": expected, "label": "abc"[expected]}, "right": right}


def test_what_is_not_known_is_not_said() -> None:
    assert answer_fields([prediction(0, 1.0)], None, ["a"]) == {}
    assert answer_fields([], 0, ["a"]) == {"expected": {"index": 0, "label": "a"}}  # after an error


def test_which_records_are_listed() -> None:
    records = [
        {"status": "ok", "right": True},
        {"status": "ok", "right": False},
        {"status": "ok"},
        {"status": "error"},
    ]
    for only, listed in {
        None: [True, True, True, True],
        "right": [True, False, False, True],
        "wrong": [False, True, False, True],
        "errors": [False, False, False, True],
    }.items():
        assert [is_listed(one, only) for one in records] == listed


@pytest.mark.parametrize("only", ["wrong", "right"])
def test_right_and_wrong_need_labels(only: str) -> None:
    from cnnexplain.errors import OptionError

    AnswerOptions("folder", only).require_sense()
    AnswerOptions(None, "errors").require_sense()
    with pytest.raises(OptionError, match=f"--only {only} needs to know"):
        AnswerOptions(None, only).require_sense()
