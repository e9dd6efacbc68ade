"""What pictures should be: folder names and CSV files; a picture without a class is never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import as_model, pooled

from cnnexplain.engine.model import Model
from cnnexplain.errors import CheckInputError
from cnnexplain.images.find import Source
from cnnexplain.runner.expected import expected

LABELS = ("tench, Tinca", "tiger cat", "Egyptian cat", "cup", "3d glasses")


@pytest.fixture
def model() -> Model:
    return as_model(pooled(), (16, 16), given_labels=LABELS)


def sources(*paths: Path | str) -> list[Source]:
    return [Source(str(path), "") for path in paths]


@pytest.mark.parametrize(
    ("folder", "index"),
    [("tiger cat", 1), ("tiger_cat", 1), ("Tiger_Cat", 1), ("3", 3), ("cup", 3), ("tench", 0)],
)
def test_a_folder_names_its_class(folder: str, index: int, model: Model, tmp_path: Path) -> None:
    path = tmp_path / folder / "a.png"
    assert expected("folder", sources(path), model) == {str(path): index}


@pytest.mark.parametrize(
    ("folder", "said"), [("cat", "cat"), ("dog", "dog"), ("17", "17"), ("top", "top"), ("top3", "top3")]
)
def test_a_folder_of_no_class_or_of_two_is_refused(
    folder: str, said: str, model: Model, tmp_path: Path
) -> None:
    with pytest.raises(CheckInputError, match=f"the folder of .*a.png: .*{said}"):
        expected("folder", sources(tmp_path / folder / "a.png"), model)


def csv(tmp_path: Path, text: str) -> str:
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    return str(tmp_path / "labels.csv")


def test_a_csv_file_names_classes(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.png").touch()
    file = csv(tmp_path, '\ufeffimage,label,note\nsub/a.png,"tench, Tinca",x\nb.png,2,y\n')
    found = expected(file, sources(tmp_path / "sub" / "a.png", tmp_path / "b.png"), model)
    assert list(found.values()) == [0, 2]
    monkeypatch.chdir(tmp_path)
    assert expected("labels.csv", sources("./sub/../b.png"), model) == {"./sub/../b.png": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no column 'image'"),
        ("image,label\n", "has no column 'image'"),
        ("image,class\na.png,cup\n", "has no column 'label'"),
        ("image;label\na.png;cup\n", "has no column 'image'"),
        ("image,label\nb.png,cup\n", "does not say what .*a.png is"),
        ("image,label\na.png,dog\n", "labels.csv: there is no class called 'dog'"),
        ("image,label\na.png,\n", "labels.csv"),
        ("image,label\na.png\n", "labels.csv"),
        ("image,label\na.png,99\n", "labels.csv"),
    ],
)
def test_a_csv_file_that_does_not_say_is_refused(
    text: str, problem: str, model: Model, tmp_path: Path
) -> None:
    with pytest.raises(CheckInputError, match=problem):
        expected(csv(tmp_path, text), sources(tmp_path / "a.png"), model)


def test_a_csv_file_that_is_none_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(CheckInputError, match="there is no "):
        expected(str(tmp_path / "none.csv"), sources("a.png"), model)
    with pytest.raises(CheckInputError, match="cannot be read"):
        expected(str(tmp_path), sources("a.png"), model)
    (tmp_path / "bytes.csv").write_bytes(b"image,label\n\xff,\x00\n")
    with pytest.raises(CheckInputError, match="cannot be read"):
        expected(str(tmp_path / "bytes.csv"), sources("a.png"), model)
