"""`--json` without `-o`: the records, and nothing else; and where results go when no folder was named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import TINY_OPTIONS, Run, records, spot_picture

# Channel 1 answers to what is darker than the mean: where that is 0, in no picture.
METHODS = {
    "gradcam": ("-t", "top2"),
    "activations": ("-l", "relu", "--mean", "0"),
    "deconv": ("-l", "blocks", "--top", "1"),
    "saliency": ("-m", "gradient"),
}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but what Python itself leaves."""
    found = (one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
    return {str(one.relative_to(folder)): one.read_bytes() for one in found}


@pytest.mark.parametrize("command", METHODS)
def test_the_records_are_those_of_a_run_with_a_folder_and_nothing_is_written(
    run: Run, work: Path, command: str
) -> None:
    before = tree(work)
    words = (command, "tiny.py:Net", "pictures", *TINY_OPTIONS, *METHODS[command], "--json")
    done = run(*words)
    assert done.code == 0, done.err
    assert tree(work) == before
    found = [json.loads(line) for line in done.out.splitlines()]
    assert run(*words, "--no-pictures", "-o", "out").code == 0
    assert found == records(work / "out")
    assert len(found) == 3
    assert all(one["picture"] is None for record in found for one in record["explanations"])
    assert ("relu: 1 of 2 channels fired in none of 3 images" in done.err) == (command == "activations")


def test_failures_are_counted_and_several_processes_write_nothing_either(run: Run, work: Path) -> None:
    (work / "pictures" / "b.png").write_text("no picture")
    (work / "pictures" / "d.png").write_text("no picture")
    before = tree(work)
    for more in ((), ("--processes", "2", "--batch-size", "1")):
        words = ("gradcam", "tiny.py:Net", "pictures", *TINY_OPTIONS, "--json", "-q", *more)
        done = run(*words)
        assert (done.code, done.hint) == (3, "hint: their records say why; --max-failures N allows some")
        assert done.error.startswith("error: 2 of 4 images failed; pictures/b.png: ")
        by_name = {one["image"]: one["status"] for one in map(json.loads, done.out.splitlines())}
        assert by_name == {
            f"pictures/{name}.png": "error" if name in "bd" else "ok" for name in ("a", "b", "c", "d")
        }
        assert run(*words, "--max-failures", "50%").code == 0
    assert tree(work) == before


@pytest.mark.parametrize("words", [("--save-raw",), ("--tensorboard", "runs")])
def test_what_needs_files_says_so(run: Run, words: tuple[str, ...]) -> None:
    done = run("gradcam", "tiny.py:Net", "pictures", *words, "--json")
    assert (done.code, done.hint) == (2, "hint: add -o out")
    assert words[0] in done.error


def test_filters_without_a_folder(run: Run, work: Path) -> None:
    before = tree(work)
    done = run("filters", "tiny.py:Net", "--json", "-q")
    assert done.code == 0, done.err
    assert [one["layer"] for one in json.loads(done.out)["explanations"]] == ["blocks"]
    assert tree(work) == before


def test_the_folder_that_is_taken_where_none_is_named(run: Run, work: Path) -> None:
    spot_picture().save(work / "pictures" / "d.png")
    words = ("gradcam", "tiny.py:Net", "pictures", "-q", *TINY_OPTIONS)
    done = run(*words)
    assert (done.code, done.out) == (0, "cnnexplain-out/index.html\n"), done.err
    assert len(records(work / "cnnexplain-out")) == 4
    assert run("filters", "tiny.py:Net", "-q").error.startswith(
        "error: cnnexplain-out holds another run: command was gradcam"
    )
    # What it holds is no picture to explain, and a folder that was configured is one that was named.
    (work / "pyproject.toml").write_text('[tool.cnnexplain]\noutput = "named"\n')
    assert run("gradcam", "tiny.py:Net", ".", "-q", "--json", *TINY_OPTIONS).code == 0
    assert len(records(work / "named")) == 8
    (work / "pyproject.toml").unlink()
    done = run("gradcam", "tiny.py:Net", ".", "-q", "--overwrite", *TINY_OPTIONS)
    assert done.code == 0, done.err
    assert {one["image"] for one in records(work / "cnnexplain-out")} >= {"./pictures/a.png"}
