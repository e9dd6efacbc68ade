"""What pictures should be: names of folders and lines of CSV, as people write them and as they come broken."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from timm.data import ImageNetInfo

from cnnexplain.engine.model import Model
from cnnexplain.errors import CheckInputError
from cnnexplain.images.find import ImagePath
from cnnexplain.runner.checking import labels as module
from cnnexplain.runner.checking.labels import expected, written_labels

IMAGENET = tuple(ImageNetInfo().label_descriptions())
CLOTHES = ("top", "tank top", "red dress", "7")


def model(labels: tuple[str, ...] = IMAGENET) -> Model:
    return cast("Model", SimpleNamespace(labels=labels))


def by_folder(name: str, labels: tuple[str, ...] = IMAGENET) -> int:
    (found,) = expected(
        written_labels("folder", [ImagePath(f"photos/{name}/one.png", name)]), model(labels)
    ).values()
    return found


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("n02123045", 281),
        ("n02123045-tabby", 281),
        ("n02123045_tabby_cat", 281),
        ("282", 282),
        ("tiger_cat", 282),
        ("Tiger Cat", 282),
        ("Egyptian_cat", 285),
    ],
)
def test_folders_are_named_in_many_ways(name: str, index: int) -> None:
    assert by_folder(name) == index


@pytest.mark.parametrize(
    ("name", "index"), [("top", 0), ("tank_top", 1), ("Red_Dress", 2), ("7", 3), ("1", 1)]
)
def test_the_name_of_a_class_goes_before_every_other_reading(name: str, index: int) -> None:
    assert by_folder(name, CLOTHES) == index


def test_synsets_may_be_the_names_of_classes_themselves() -> None:
    assert by_folder("n02123045", ("n00000001", "n02123045")) == 1


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("n02123045", CLOTHES, "not ImageNet's"),
        ("n02123045", tuple(f"class {index}" for index in range(1000)), "not ImageNet's"),
        ("n99999999", IMAGENET, "none of the model's 1000 classes"),
        ("crane", IMAGENET, "fits 2 classes"),
        ("top3", CLOTHES, "is no class"),
        ("tigercatt", IMAGENET, "no class called"),
        ("1000", IMAGENET, "1000 is not a class"),
        ("-1", IMAGENET, "not a class"),
        ("x" * 5000, IMAGENET, "no class called"),
    ],
)
def test_what_is_no_class_is_said_in_two_short_lines(name: str, labels: tuple[str, ...], words: str) -> None:
    with pytest.raises(CheckInputError) as raised:
        module.class_index(name, labels, "the folder of a.png")
    assert words in raised.value.problem
    assert "--target" not in raised.value.problem + raised.value.hint
    assert len(raised.value.problem) < 400
    assert "\n" not in raised.value.problem + raised.value.hint


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ImagePath]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b, c.png"):
        (tmp_path / "photos" / name).touch()
    return [ImagePath(os.path.join("photos", name), "") for name in ("a.png", "b, c.png")]


def read(content: str | bytes, sources: list[ImagePath], name: str = "labels.csv") -> dict[str, int]:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return expected(written_labels(name, sources), model())


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('image,label\nphotos/a.png,281\n"photos/b, c.png",espresso\n', "labels.csv"),
        ('image,label\na.png,tabby\n"b, c.png",967\n', "photos/labels.csv"),
        (
            '\ufeffLabel , Image,note\r\nn02123045,photos/a.png,x\r\nespresso,"photos/b, c.png",\r\n',
            "labels.csv",
        ),
        (
            'image,label\n\nphotos/../photos/a.png,281\nother.png,nonsense\n"photos/b, c.png",967\n',
            "labels.csv",
        ),
        ('image,label\nphotos/a.png,281\nphotos/a.png,281\n"photos/b, c.png",967\n', "labels.csv"),
    ],
    ids=[
        "as given",
        "relative to the file",
        "order, mark and line ends",
        "others and blank lines",
        "twice the same",
    ],
)
def test_a_list_is_read(content: str, name: str, photos: list[ImagePath]) -> None:
    assert list(read(content, photos, name).values()) == [281, 967]


def test_absolute_paths_and_links_lead_to_the_same_picture(photos: list[ImagePath], tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "photos")
    linked = [ImagePath("linked/a.png", ""), photos[0]]
    found = read(f"image,label\n{tmp_path}/photos/a.png,281\n", linked)
    assert found == {"linked/a.png": 281, photos[0].path: 281}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"image\na.png\n", "no column 'label'"),
        (b"path,label\nphotos/a.png,281\n", "no column 'image'"),
        (b"image;label\nphotos/a.png;281\n", "no column 'image'"),
        (b"image,image,label\nphotos/a.png,x,281\n", "2 columns 'image'"),
        (b"image,label\n", "does not say what photos/a.png is"),
        (b"image,label\nphotos/aa.png,281\n", "does not say what photos/a.png is"),
        (b"image,label\nphotos/a.png\n", "line 2: there are 1 cells"),
        (b"image,label\nphotos/a.png,\n", "line 2: photos/a.png has no label"),
        (
            b"image,label\nphotos/a.png,281\nphotos/a.png,282\n",
            "line 3: photos/a.png is '282', but '281' before",
        ),
        (b"image,label\nphotos/a.png,2\x0081\n", "line 2 holds a NUL byte"),
        (b"image,label\nphotos/a.png,caf\xe9\n", "line 2 is not text in UTF-8"),
        (b"image,label\nphotos/a.png," + b"x" * 200_000 + b"\n", "line 2 cannot be read"),
        (b"image,label\nphotos/a.png," + b"x" * 9000 + b"\n", "does not say what"),
        (b'image,label\n"photos/a.png,281\n', "line 2: there are 1 cells"),
    ],
)
def test_a_broken_list_is_said_in_two_short_lines(
    content: bytes, words: str, photos: list[ImagePath]
) -> None:
    with pytest.raises(CheckInputError) as raised:
        read(content, photos)
    assert words in raised.value.problem
    assert len(raised.value.problem) < 400
    assert raised.value.hint
    assert "\n" not in raised.value.problem + raised.value.hint


def test_a_label_of_a_list_that_is_no_class_names_its_line(photos: list[ImagePath]) -> None:
    with pytest.raises(
        CheckInputError, match=r"labels\.csv, line 3: there is no class called 'expreso'"
    ) as raised:
        read('image,label\nphotos/a.png,281\n"photos/b, c.png",expreso\n', photos)
    assert "espresso" in raised.value.hint


def test_a_folder_that_is_no_class_is_to_be_renamed() -> None:
    with pytest.raises(CheckInputError) as raised:
        by_folder("tiger_catt")
    assert raised.value.hint.startswith(
        "rename the folder to a class's name or index; did you mean 'tiger cat'"
    )


@pytest.mark.parametrize(
    ("name", "labels", "hint"),
    [
        ("crane", IMAGENET, "134 (crane: large long-necked wading bird"),
        ("crane", IMAGENET, "517 (crane: lifts and moves heavy"),
        ("dress", ("red dress", "blue dress"), "is meant: 0 (red dress), 1 (blue dress)"),
        ("same", ("same", "same"), "is meant: 0 (same), 1 (same)"),
        ("c", tuple(f"c{index}" for index in range(20)), "7 (c7) and 12 more"),
    ],
)
def test_of_several_classes_all_are_named_and_none_is_picked(
    name: str, labels: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(CheckInputError, match="classes") as raised:
        by_folder(name, labels)
    assert raised.value.hint.startswith("rename the folder to the index that is meant: ")
    assert hint in raised.value.hint


def test_a_folders_path_is_told_from_the_word(tmp_path: Path) -> None:
    with pytest.raises(CheckInputError, match="is a folder, not a CSV file") as raised:
        written_labels(str(tmp_path), [])
    assert "--labels-from folder" in raised.value.hint
    assert "photos/tiger_cat/x.jpg" in raised.value.hint


def test_what_is_no_list_at_all_is_refused(photos: list[ImagePath], monkeypatch: pytest.MonkeyPatch) -> None:
    for place, words in (
        ("none.csv", "there is no none.csv"),
        ("photos", "'photos' is a folder, not a CSV file"),
    ):
        with pytest.raises(CheckInputError, match=words):
            written_labels(place, photos)
    monkeypatch.setattr(module, "LARGEST", 2**10)
    with pytest.raises(CheckInputError, match="is larger than"):
        written_labels("/dev/zero", photos)


def test_a_long_list_takes_no_time(photos: list[ImagePath]) -> None:
    lines = "".join(f"folder/{number}.png,281\n" for number in range(20_000))
    with pytest.raises(CheckInputError, match="does not say"):
        read("image,label\n" + lines, photos)
