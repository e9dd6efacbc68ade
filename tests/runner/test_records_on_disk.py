"""Records of a run stay on disk: found one by one, in order, whatever an earlier run left."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cnnexplain.errors import OutputError
from cnnexplain.runner.output.journal import Journal, Records

IMAGES = ["a", "b", "c", "d"]


def record(image: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    return {"image": image, "status": status, "explanations": [], **more}


def journal_of(out: Path, *lines: str) -> Path:
    (out / ".cnnexplain").mkdir(exist_ok=True)
    file = out / ".cnnexplain" / "journal.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_they_come_in_the_order_of_the_images_however_they_were_added(tmp_path: Path) -> None:
    records = Records(4, Journal(tmp_path))
    for position in (2, 0, 3):
        records.add(position, record(IMAGES[position], note="ä" * position))
    assert len(records) == 3
    assert [one["image"] for one in records] == ["a", "c", "d"]
    assert (records[1]["image"], records[-1]["image"]) == ("c", "d")
    assert [one["image"] for one in records[1:]] == ["c", "d"]
    assert list(records.missing()) == [1]
    assert records.at(1) is None
    assert [json.loads(line)["image"] for line in records.lines()] == ["a", "c", "d"]
    with pytest.raises(IndexError):
        records[3]
    assert (records.failed, records.first_failed) == (0, None)
    records.add(1, record("b", "error"))
    assert (records.failed, records.first_failed) == (1, record("b", "error"))
    assert [one["image"] for one in records] == IMAGES


def test_what_an_earlier_run_left_is_kept_where_it_holds(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(f"{json.dumps(record('a'))}\n{json.dumps(record('b'))}\n")
    journal_of(
        tmp_path, json.dumps(record("b", "error")), json.dumps(record("d")), json.dumps(record("x")), '{"im'
    )
    records = Records(4, Journal(tmp_path))
    records.keep(IMAGES, lambda _, one: one["status"] == "ok")
    assert [one["image"] for one in records] == ["a", "d"]
    assert list(records.missing()) == [1, 2], "the later record of b says that it failed"
    records.add(2, record("c"))
    assert [one["image"] for one in records] == ["a", "c", "d"]
    (tmp_path / "results.jsonl").unlink()  # as when it is written anew
    assert [one["image"] for one in records] == ["a", "c", "d"]


def test_two_images_that_are_written_alike_keep_records_of_their_own(tmp_path: Path) -> None:
    journal_of(tmp_path, json.dumps(record("same", stem=1)), json.dumps(record("same", stem=0)))
    records = Records(2, Journal(tmp_path))
    records.keep(["same", "same"], lambda position, one: one["stem"] == position)
    assert [records.at(position) for position in range(2)] == [record("same", stem=0), record("same", stem=1)]


def test_a_line_that_is_taken_in_parts_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    journal.add(json.dumps(record("a")))
    file, taken = journal._writing, []

    class Slow:
        def write(self, content: bytes) -> int:
            taken.append(content)
            assert file is not None
            return file.write(content[:5])

    monkeypatch.setattr(journal, "_writing", Slow())
    place = journal.add(json.dumps(record("b")))
    assert len(taken) > 5
    assert json.loads(journal.line(place)) == record("b")

    class Full:
        def write(self, _content: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "_writing", Full())
    with pytest.raises(OutputError, match="No space left on device"):
        journal.add("{}")


def test_memory_does_not_grow_with_records(tmp_path: Path) -> None:
    many = 30_000
    records = Records(many, Journal(tmp_path))
    long = record("x", note="n" * 1000)
    line = json.dumps(long)
    tracemalloc.start()
    for position in range(many):
        records.add(position, long)
    assert sum(1 for _ in records) == many
    assert sum(map(len, records.lines())) == many * len(line)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000, "30 MB of records, and 16 bytes of memory for each"
