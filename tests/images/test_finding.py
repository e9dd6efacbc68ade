"""From what a person types to the pictures that are meant."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnexplain.errors import NoImagesError, OptionError
from cnnexplain.images.find import ImageOptions, ImagePath, find

TREE = (
    "a.jpg", "b.PNG", "notes.txt", "noext", ".hidden.jpg", "sub/c.jpeg", "sub/deep/d.webp", "sub/e[1].jpg",
    "sub/e1.jpg", "Zoo/f.tiff", "x.jpg.part",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `photos` in it."""
    for name in TREE:
        place = tmp_path / "photos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"not looked at")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def paths(*arguments: str, outside: Path | None = None, **options: object) -> list[str]:
    return [source.path for source in find(arguments, ImageOptions(**options), outside)]


IN_PHOTOS = [
    "photos/.hidden.jpg",
    "photos/a.jpg",
    "photos/b.PNG",
    "photos/Zoo/f.tiff",
    "photos/sub/c.jpeg",
    "photos/sub/e1.jpg",
    "photos/sub/e[1].jpg",
    "photos/sub/deep/d.webp",
]


@pytest.mark.parametrize("folder", ["photos", "photos/", "./photos", "sub/../photos"])
def test_a_folder_is_read_to_its_depths_in_order_of_names(tree: Path, folder: str) -> None:
    (tree / "sub").mkdir()
    assert [os.path.normpath(one) for one in paths(folder)] == IN_PHOTOS


def test_each_picture_knows_its_folder_below_the_argument(tree: Path) -> None:
    found = find(["photos", "photos/../empty/../photos/a.jpg"], ImageOptions())
    assert {source.folder for source in found} == {"", "Zoo", "sub", "sub/deep"}
    assert ImagePath("photos/sub/deep/d.webp", "sub/deep") in found
    assert find(["photos/sub"], ImageOptions())[0] == ImagePath("photos/sub/c.jpeg", "")


def test_a_file_that_is_named_is_taken_whatever_its_name(tree: Path) -> None:
    assert paths("photos/notes.txt", "photos/noext") == ["photos/notes.txt", "photos/noext"]


def test_the_order_is_that_of_the_arguments_and_nothing_comes_twice(tree: Path) -> None:
    found = paths(
        "photos/sub/e1.jpg", "photos", "photos/a.jpg", str(tree / "photos" / "a.jpg"), "photos//a.jpg"
    )
    assert found == ["photos/sub/e1.jpg", *(one for one in IN_PHOTOS if one != "photos/sub/e1.jpg")]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("photos/*.jpg", ["photos/a.jpg"]),
        ("photos/[ab].*", ["photos/a.jpg", "photos/b.PNG"]),
        ("photos/sub/e[0-9].jpg", ["photos/sub/e1.jpg"]),
        (
            "photos/**/*.jp*g",
            ["photos/a.jpg", "photos/sub/c.jpeg", "photos/sub/e1.jpg", "photos/sub/e[1].jpg"],
        ),
        ("ph*s/Zoo", ["photos/Zoo/f.tiff"]),
    ],
)
def test_a_quoted_glob_is_understood(tree: Path, pattern: str, found: list[str]) -> None:
    assert paths(pattern) == found


def test_a_name_with_brackets_is_a_name_first(tree: Path) -> None:
    assert paths("photos/sub/e[1].jpg") == ["photos/sub/e[1].jpg"]
    (tree / "photos/sub/e[1].jpg").unlink()
    assert paths("photos/sub/e[1].jpg") == ["photos/sub/e1.jpg"], "then a glob"


NAMES = ["photos/a.jpg", "photos/b.PNG"]


@pytest.mark.parametrize(
    ("content", "null"),
    [
        (b"photos/a.jpg\nphotos/b.PNG\n", False),
        (b"photos/a.jpg\nphotos/b.PNG", False),
        (b"photos/a.jpg\r\n\r\nphotos/b.PNG\r\n", False),
        (b"\n\nphotos/a.jpg\n\nphotos/b.PNG\nphotos/a.jpg\n", False),
        (b"photos/a.jpg\0photos/b.PNG\0", True),
        (b"photos/a.jpg\0\0photos/b.PNG", True),
    ],
)
def test_a_list_of_names_is_read(
    tree: Path, typed: Callable[[bytes], None], content: bytes, null: bool
) -> None:
    (tree / "list").write_bytes(content)
    assert paths(files_from=Path("list"), null=null) == NAMES
    typed(content)
    assert paths(files_from=Path("-"), null=null) == NAMES
    if not null:
        typed(content)
        assert paths("-") == NAMES


def test_names_in_a_list_are_taken_as_they_are(tree: Path) -> None:
    """Spaces, brackets, new lines and bytes that are no text; no globs, or a find | cnnexplain would misread."""
    odd = [b"photos/ two  spaces .jpg", b"photos/sub/e[1].jpg", b"photos/new\nline.jpg", b"photos/\xff.jpg"]
    for name in odd:
        Path(os.fsdecode(name)).write_bytes(b"")
    (tree / "list").write_bytes(b"\0".join([*odd, b"photos/*.jpg"]))
    assert paths(files_from=Path("list"), null=True) == [*map(os.fsdecode, odd), "photos/*.jpg"]


def test_names_typed_and_names_listed_go_together(tree: Path) -> None:
    (tree / "list").write_bytes(b"photos/Zoo\nphotos/b.PNG\n")
    assert paths("photos/b.PNG", files_from=Path("list")) == ["photos/b.PNG", "photos/Zoo/f.tiff"]


@pytest.mark.parametrize("limit", [1, 3, 8, 99])
def test_a_limit_takes_the_first(tree: Path, limit: int) -> None:
    assert paths("photos", "photos/noext", limit=limit) == [*IN_PHOTOS, "photos/noext"][:limit]


def test_links_to_folders_are_not_followed_and_links_to_pictures_are(tree: Path) -> None:
    (tree / "photos" / "loop").symlink_to(tree / "photos")
    (tree / "photos" / "link.jpg").symlink_to("a.jpg")
    assert sorted(paths("photos")) == sorted([*IN_PHOTOS, "photos/link.jpg"])
    assert paths("photos/loop/Zoo") == ["photos/loop/Zoo/f.tiff"], "unless they are named"


@pytest.mark.parametrize("out", ["photos/sub", "photos/../photos/sub", "link"])
def test_results_below_the_pictures_are_not_pictures(tree: Path, out: str) -> None:
    (tree / "link").symlink_to("photos/sub")
    assert paths("photos", outside=Path(out)) == [one for one in IN_PHOTOS if "/sub/" not in one]


def test_a_missing_name_is_kept_where_others_are_there(tree: Path) -> None:
    assert paths("gone.jpg", "photos/a.jpg") == ["gone.jpg", "photos/a.jpg"]


def test_a_folder_that_cannot_be_read_is_kept_to_be_reported(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def guarded(path: str) -> object:
        if os.fspath(path).endswith("Zoo"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert paths("photos") == [*(one for one in IN_PHOTOS if "Zoo" not in one), "photos/Zoo"]


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["photos/aa.jpg"], "no picture called 'photos/aa.jpg'", "did you mean photos/a.jpg?"),
        (["gone/aa.jpg"], "no picture called 'gone/aa.jpg'", "name a picture"),
        (["photos/a.jpg/b.jpg"], "no picture called", "name a picture"),
        (["zebra.jpg"], "no picture called 'zebra.jpg'", "name a picture"),
        (["a\0b.jpg"], "no picture called", "name a picture"),
        (["empty"], "no pictures in 'empty'", ".jpg"),
        (["empty", "photos/*.gif"], "no pictures in 'empty', 'photos/*.gif'", ".jpg"),
        (["one.jpg", "two.jpg"], "'one.jpg', 'two.jpg'", "glob"),
        (["a\0*.jpg"], "no pictures in", ".jpg"),
    ],
)
def test_where_there_are_none_it_says_where_it_looked(
    tree: Path, arguments: list[str], problem: str, hint: str
) -> None:
    with pytest.raises(NoImagesError) as caught:
        paths(*arguments)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_folder_that_may_not_be_listed_has_no_near_misses(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(NoImagesError, match="no picture called"):
        paths("photos/aa.jpg")


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"gone.jpg\n", b"empty\n"])
def test_a_list_with_no_pictures_is_no_pictures(
    tree: Path, typed: Callable[[bytes], None], content: bytes
) -> None:
    (tree / "list").write_bytes(content)
    with pytest.raises(NoImagesError):
        paths(files_from=Path("list"))
    typed(content)
    with pytest.raises(NoImagesError):
        paths("-")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "no pictures were named"),
        ({"files_from": Path("gone")}, "cannot be read"),
        ({"files_from": Path("photos")}, "cannot be read"),
        ({"null": True}, "-0 goes with a list of names"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(tree: Path, options: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        paths(**options)
