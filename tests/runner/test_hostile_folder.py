"""An OUT that somebody prepared: links, pipes, edited records. Nothing outside is touched, nothing hangs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cnnexplain.errors import OutputError
from cnnexplain.runner.output.folder import OutputFolder

IDENTITY = {"command": "gradcam"}


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_neither_links_nor_pipes_are_written_through(tmp_path: Path, name: str, kind: str) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    place = tmp_path / "out" / ".cnnexplain" / name
    place.parent.mkdir(parents=True)
    (tmp_path / "out" / "run.json").write_text(json.dumps({"cnnexplain": "0.1", "identity": IDENTITY}))
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    folder = OutputFolder(tmp_path / "out")
    with pytest.raises(OutputError):
        folder.open(IDENTITY, overwrite=False).journal.add('{"image": "a"}')
    folder.close()
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["run.json", "results.jsonl", "index.html"])
def test_a_pipe_in_place_of_a_file_does_not_keep_a_run_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OutputError, match="not from cnnexplain"):
        OutputFolder(tmp_path).open(IDENTITY, overwrite=False)


def test_links_that_lead_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError):
        OutputFolder(tmp_path / "loop")
