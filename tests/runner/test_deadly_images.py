"""Pictures decoded apart, by a process that ends in any way."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from astray import DIE, led_astray
from PIL import Image

from cnnexplain.images.decoded import DecodeOptions
from cnnexplain.runner.workers.deadly_images import find_deadly

NEEDED = DecodeOptions(sides=(9, 9))


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    for name in ("well.png", "deadly.png", "last.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    return [
        str(tmp_path / name) for name in ("well.png", "torn.png", "deadly.png", "nowhere.png", "last.png")
    ]


def test_pictures_that_only_fail_are_no_suspects(paths: list[str]) -> None:
    assert find_deadly(paths, NEEDED) == {}
    assert find_deadly([], NEEDED) == {}
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (DIE, "(SIGSEGV)"),
        ("os.kill(os.getpid(), 9)", "(SIGKILL)"),
        ("os._exit(1)", "(exit code 1)"),
        ("os.kill(os.getpid(), 15)", None),
    ],
)
def test_a_process_that_somebody_asked_to_end_says_nothing_of_a_picture(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, told: str | None
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(led_astray(tmp_path / "astray", what).parent))
    found = find_deadly([*paths, paths[2]], NEEDED)
    assert list(found) == [paths[2]] * (told is not None)
    assert all(one.problem == f"decoding it ends the program {told}" for one in found.values())
