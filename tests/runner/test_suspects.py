"""Pictures decoded apart, by a process that ends in any way."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest
from PIL import Image

from cnnexplain.runner.suspects import deadly

# Python runs it at the start of every process that has it on its path.
LED_ASTRAY = """
import os
from PIL import Image
opened = Image.open
def opening(path, *rest, **more):
    if "deadly" in str(path):
        os.kill(os.getpid(), {})
    return opened(path, *rest, **more)
Image.open = opening
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    for name in ("well.png", "deadly.png", "last.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    return [
        str(tmp_path / name) for name in ("well.png", "torn.png", "deadly.png", "nowhere.png", "last.png")
    ]


def test_pictures_that_only_fail_are_no_suspects(paths: list[str]) -> None:
    assert deadly(paths, (9, 9)) == {}
    assert deadly([], (9, 9)) == {}
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("sent", "blamed"), [("SIGSEGV", True), ("SIGKILL", True), ("SIGTERM", False)])
def test_a_process_that_somebody_asked_to_end_says_nothing_of_a_picture(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str, blamed: bool
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LED_ASTRAY.format(int(signal.Signals[sent])))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = deadly([*paths, paths[2]], (9, 9))
    assert list(found) == [paths[2]] * blamed
    assert all(f"({sent})" in one.problem for one in found.values())
