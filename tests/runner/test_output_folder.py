"""OUT: files appear whole or not at all, a run is continued, and what others wrote is never touched."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest

from cnnexplain.errors import ImageError, OutputError
from cnnexplain.runner.output import files
from cnnexplain.runner.output import folder as folders
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.journal import Journal

IDENTITY = {"command": "gradcam", "model": "resnet50", "images": "3 with fingerprint abc"}
PICTURE = b"\x89PNG cnnexplain 0.1 pixels"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def started(out: Path, **more: Any) -> tuple[OutputFolder, Journal]:
    """A run that is under way."""
    folder = OutputFolder(out)
    folder.open({**IDENTITY, **more}, overwrite=False)
    folder.write_run({"cnnexplain": "0.1", "identity": {**IDENTITY, **more}})
    return folder, folder.journal


def finished(out: Path, *pictures: str) -> None:
    folder, journal = started(out)
    for name in pictures:
        folder.write(name, lambda file: file.write(PICTURE))
    records = [json.dumps({"image": name, "explanations": [{"picture": name}]}) for name in pictures]
    folder.conclude(
        {"cnnexplain": "0.1", "identity": IDENTITY}, records, [("index.html", "<!-- cnnexplain -->")]
    )
    journal.remove()
    folder.close()


@pytest.mark.parametrize(
    ("run", "killed"),
    [
        ({"status": "running"}, True),
        ({"status": "interrupted", "killed": True}, True),  # before anybody had looked for the reason
        ({"status": "interrupted"}, False),
        ({"status": "finished"}, False),
        ({}, False),
    ],
)
def test_a_run_knows_of_one_before_that_ended_without_a_word(
    out: Path, run: dict[str, Any], killed: bool
) -> None:
    started(out)[0].close()
    (out / "run.json").write_text(json.dumps({"cnnexplain": "0.1", "identity": IDENTITY, **run}))
    folder = OutputFolder(out)
    assert not folder.was_killed
    folder.open(IDENTITY, overwrite=False)
    assert folder.was_killed is killed
    folder.close()


def test_a_refused_run_leaves_the_files_that_the_other_is_writing(out: Path) -> None:
    first, journal = started(out)

    def meanwhile(file: IO[bytes]) -> None:
        for _ in range(2):  # a lock that was taken away would let the second in
            with (
                closing(OutputFolder(out)) as second,
                pytest.raises(OutputError, match="another run is writing"),
            ):
                second.open(IDENTITY, overwrite=True)
        file.write(PICTURE)

    first.write("cat.png", meanwhile)
    journal.remove()
    first.close()
    assert everything(out) == ["cat.png", "run.json"]


def test_a_lock_that_was_removed_holds_nobody_off(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends between the moment when the next one opens its lock and when it takes it."""
    first, _ = started(out)
    lock = fcntl.flock

    def late(file: IO[bytes], how: int) -> None:
        first.close()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    second = OutputFolder(out)
    second.open(IDENTITY, overwrite=False)
    monkeypatch.undo()
    assert (out / ".cnnexplain" / "lock").exists()
    with closing(OutputFolder(out)) as third, pytest.raises(OutputError, match="another run is writing"):
        third.open(IDENTITY, overwrite=False)
    second.close()
    assert everything(out) == ["run.json"]


def everything(place: Path) -> list[str]:
    return sorted(str(one.relative_to(place)) for one in place.rglob("*") if one.is_file())


@pytest.mark.parametrize("instead", ["nothing", "a file", "a folder"])
@pytest.mark.parametrize("then", ["a picture", "a page", "records"])
def test_an_out_that_is_moved_during_the_run_is_said_and_nothing_is_made_in_its_place(
    out: Path, instead: str, then: str
) -> None:
    folder, _ = started(out)
    out.rename(out.with_name("moved"))
    if instead == "a file":
        out.write_text("somebody's")
    elif instead == "a folder":
        out.mkdir()
        (out / "a.png").write_text("somebody's")
    writing: dict[str, Callable[[], None]] = {
        "a picture": lambda: folder.write("a.png", lambda file: file.write(PICTURE)),
        "a page": lambda: folder._write_page(f"{folders.PAGES}/page-2.html", "<!-- cnnexplain -->"),
        "records": lambda: folder.conclude({}, [], []),
    }
    with pytest.raises(OutputError, match=f"^{re.escape(str(out))} was removed, moved or replaced while"):
        writing[then]()
    folder.close()
    found = [] if instead == "nothing" else [out] if instead == "a file" else [out, out / "a.png"]
    assert sorted(path for path in (out, *out.rglob("*")) if path.exists()) == found


def test_checking_makes_nothing(out: Path) -> None:
    OutputFolder(out / "deep" / "er")
    assert not out.exists()


def test_a_finished_run_leaves_its_files_and_nothing_else(out: Path) -> None:
    finished(out, "cat.png", "sub/deep/dog.png")
    assert everything(out) == ["cat.png", "index.html", "results.jsonl", "run.json", "sub/deep/dog.png"]
    assert (out / "cat.png").read_bytes() == PICTURE


def test_a_file_has_the_usual_permissions(out: Path) -> None:
    finished(out, "cat.png")
    other = out / "other"
    other.touch()
    assert (out / "cat.png").stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError("a defect"), OSError(28, "No space left on device")])
def test_a_file_that_fails_midway_leaves_what_was_there(out: Path, error: Exception) -> None:
    finished(out, "cat.png")
    folder, journal = started(out)

    def torn(file: Any) -> None:
        file.write(b"half")
        raise error

    for name in ("cat.png", "dog.png"):
        with pytest.raises((RuntimeError, OutputError)) as caught:
            folder.write(name, torn)
        if isinstance(error, OSError):
            assert isinstance(caught.value, OutputError)
            assert "No space left on device" in caught.value.problem
    assert (out / "cat.png").read_bytes() == PICTURE
    visible = [name for name in everything(out) if not name.startswith(".cnnexplain")]
    assert visible == ["cat.png", "index.html", "results.jsonl", "run.json"]
    journal.remove()
    folder.close()
    assert everything(out) == visible, "and the end takes the torn ones away"


def test_a_picture_that_is_not_ours_is_left_alone(out: Path) -> None:
    folder, _ = started(out)
    (out / "cat.png").write_bytes(b"\x89PNG my holidays")
    (out / "dog.png").mkdir()
    for name in ("cat.png", "dog.png"):
        with pytest.raises(ImageError, match="is not from cnnexplain"):
            folder.write(name, lambda file: file.write(PICTURE))
    assert (out / "cat.png").read_bytes() == b"\x89PNG my holidays"
    assert (out / "dog.png").is_dir()


@pytest.mark.parametrize("name", ["index.html", "results.jsonl", "run.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_report_that_is_not_ours_is_left_alone(out: Path, name: str, overwrite: bool) -> None:
    out.mkdir()
    (out / name).write_text('{"my": "own"}')
    with pytest.raises(OutputError, match=name):
        OutputFolder(out).open(IDENTITY, overwrite=overwrite)
    assert everything(out) == [name]
    assert (out / name).read_text() == '{"my": "own"}'


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"3", b'"cnnexplain"', b'{"cnnexplain": "0.1", "identity": "torn"}'],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_strange_run_json_raises_nothing_but_words(out: Path, content: bytes, overwrite: bool) -> None:
    out.mkdir()
    (out / "run.json").write_bytes(content)
    if overwrite and b"torn" in content:
        OutputFolder(out).open(IDENTITY, overwrite=True)  # ours after all, and to be replaced
        return
    with pytest.raises(OutputError):
        OutputFolder(out).open(IDENTITY, overwrite=overwrite)
    assert (out / "run.json").read_bytes() == content


def test_a_run_of_another_kind_is_refused_and_the_difference_named(out: Path) -> None:
    finished(out, "cat.png")
    before = {name: (out / name).read_bytes() for name in everything(out)}
    with pytest.raises(OutputError, match="model was resnet50, and is now vgg16") as caught:
        OutputFolder(out).open({**IDENTITY, "model": "vgg16"}, overwrite=False)
    assert "--overwrite" in caught.value.hint
    with pytest.raises(OutputError, match="extra was nothing, and is now 1"):
        OutputFolder(out).open({**IDENTITY, "extra": "1"}, overwrite=False)
    with pytest.raises(OutputError, match="images was different"):
        OutputFolder(out).open({**IDENTITY, "images": "x" * 500}, overwrite=False)
    assert {name: (out / name).read_bytes() for name in everything(out)} == before


def test_the_same_run_is_continued(out: Path) -> None:
    finished(out, "cat.png")
    assert [one["image"] for one in OutputFolder(out).open(IDENTITY, overwrite=False).journal.records()] == [
        "cat.png"
    ]


def test_overwriting_removes_what_is_ours_and_nothing_else(out: Path, tmp_path: Path) -> None:
    finished(out, "cat.png", "sub/dog.png", "gone.png", "link.png", "theirs.png")
    outside = tmp_path / "outside.png"
    outside.write_bytes(PICTURE)
    (out / "gone.png").unlink()
    (out / "link.png").unlink()
    (out / "link.png").symlink_to(outside)
    (out / "theirs.png").write_bytes(b"my holidays")
    (out / "notes.txt").write_text("cnnexplain was here")
    with (out / "results.jsonl").open("a") as records:
        for name in ("../outside.png", str(outside), "notes", "", ".", "sub"):
            records.write(json.dumps({"image": "x", "explanations": [{"picture": name}]}) + "\n")
    folder = OutputFolder(out)
    folder.open({**IDENTITY, "model": "vgg16"}, overwrite=True)
    folder.close()
    assert everything(out) == ["link.png", "notes.txt", "theirs.png"]
    assert outside.read_bytes() == PICTURE


@pytest.mark.parametrize(
    "record", [b'{"explanations": null}', b'{"explanations": [3]}', b"3", b"null", b"\xff", b'{"a']
)
def test_overwriting_survives_strange_records(out: Path, record: bytes) -> None:
    finished(out, "cat.png")
    with (out / "results.jsonl").open("ab") as records:
        records.write(record + b"\n")
    folder = OutputFolder(out)
    folder.open({**IDENTITY, "model": "vgg16"}, overwrite=True)
    folder.close()
    assert everything(out) == []


@pytest.mark.parametrize("name", ["sub/cat.png", "sub/deep/cat.png", ".cnnexplain"])
def test_a_link_that_leads_out_is_refused_and_nothing_is_made_beyond(
    out: Path, tmp_path: Path, name: str
) -> None:
    beyond = tmp_path / "beyond"
    beyond.mkdir()
    if name == ".cnnexplain":
        out.mkdir()
        (out / name).symlink_to(beyond)
        with pytest.raises(OutputError, match="leads out"):
            OutputFolder(out).open(IDENTITY, overwrite=False)
    else:
        folder, _ = started(out)
        (out / "sub").symlink_to(beyond)
        with pytest.raises(OutputError, match="leads out"):
            folder.write(name, lambda file: file.write(PICTURE))
    assert list(beyond.iterdir()) == []


def test_a_folder_that_was_written_to_is_refused_once_it_is_a_link(out: Path, tmp_path: Path) -> None:
    beyond = tmp_path / "beyond"
    beyond.mkdir()
    folder, _ = started(out)
    folder.write("sub/cat.png", lambda file: file.write(PICTURE))
    (out / "sub").rename(tmp_path / "moved")
    folder.write("sub/dog.png", lambda file: file.write(PICTURE))
    assert (out / "sub/dog.png").read_bytes() == PICTURE, "one that was taken away is made again"
    (out / "sub").rename(tmp_path / "again")
    (out / "sub").symlink_to(beyond)
    with pytest.raises(OutputError, match="leads out"):
        folder.write("sub/bird.png", lambda file: file.write(PICTURE))
    assert list(beyond.iterdir()) == []


def test_a_file_that_another_process_began_under_a_name_is_left_alone(out: Path) -> None:
    folder, _ = started(out)
    folder.write("cat.png", lambda file: file.write(PICTURE))
    numbers = range(1000)  # more than were used so far
    begun = [out / ".cnnexplain" / f"part-{os.getpid()}-{number}" for number in numbers]
    for path in begun:
        path.touch()
    folder.write("dog.png", lambda file: file.write(PICTURE))
    assert all(path.stat().st_size == 0 for path in begun)
    assert (out / "dog.png").read_bytes() == PICTURE


def test_an_out_that_is_itself_a_link_is_used(out: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    out.symlink_to(tmp_path / "real")
    finished(out, "sub/cat.png")
    assert "sub/cat.png" in everything(tmp_path / "real")


def test_a_line_that_a_killed_run_left_unfinished_is_left_out(out: Path) -> None:
    folder, journal = started(out)
    journal.add('{"image": "a"}')
    folder.close()  # as the system does for a process that was killed
    with (out / ".cnnexplain" / "journal.jsonl").open("ab") as file:
        file.write(b'{"image": "b", "sta')
    again = OutputFolder(out).open(IDENTITY, overwrite=False).journal
    assert [one["image"] for one in again.records()] == ["a"]
    again.add('{"image": "c"}')
    again.add('{"image": "a", "better": true}')
    assert [one["image"] for one in again.records()] == ["a", "c", "a"]
    assert (out / ".cnnexplain" / "journal.jsonl").read_bytes().count(b"\n") == 4, (
        "the torn line stands alone"
    )


@pytest.mark.parametrize("kind", ["a file", "below a file", "a dangling link"])
def test_an_out_that_is_no_folder_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    place = {"a file": "file", "below a file": "file/out", "a dangling link": "link/out"}[kind]
    with pytest.raises(OutputError, match="is not a folder"):
        OutputFolder(tmp_path / place)


def test_an_out_that_may_not_be_written_is_refused_at_once(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    if os.geteuid() == 0:  # whom no permission stops
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        out.chmod(0o500)
    with pytest.raises(OutputError, match="not yours to write to"):
        OutputFolder(out / "new")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place where nobody can make a folder")
def test_an_out_that_cannot_be_made_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)  # as somebody sees it whom no permission stops
    with pytest.raises(OutputError, match="cannot be made"):
        OutputFolder(Path("/proc/self/out")).open(IDENTITY, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_page_that_cannot_be_removed_is_said_in_words(
    out: Path, monkeypatch: pytest.MonkeyPatch, *, overwrite: bool
) -> None:
    folder, _ = started(out)
    old = out / folders.PAGES / "page-2.html"
    folder.conclude(
        {"cnnexplain": "0.1", "identity": IDENTITY},
        [],
        [(f"{folders.PAGES}/{old.name}", "<!-- cnnexplain -->")],
    )
    monkeypatch.setattr(folders, "PAGE_NAMES", re.compile(re.escape(old.name)))
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == old.name:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    folder.close()
    again, end = OutputFolder(out), {"cnnexplain": "0.1", "identity": IDENTITY}
    if not overwrite:
        again.open(IDENTITY, overwrite=False)
    with pytest.raises(OutputError, match=r"page-2\.html cannot be removed: Permission denied"):
        again.open(IDENTITY, overwrite=True) if overwrite else again.conclude(end, [], [])


def test_a_file_that_cannot_be_read_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(PICTURE)
    assert files.written_by_us(tmp_path / "a.png")
    monkeypatch.setattr(Path, "open", refuse)
    assert not files.written_by_us(tmp_path / "a.png")
