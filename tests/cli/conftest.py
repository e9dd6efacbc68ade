"""The command as a user runs it: in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from shell import TINY, TINY_OPTIONS, Finished, Run, environment, spot_picture


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a tiny model of the user's own, tiny.py, and pictures: a bright spot on grey, top right."""
    (tmp_path / "tiny.py").write_text(TINY)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        spot_picture().save(pictures / name)
    return tmp_path


@pytest.fixture
def run(work: Path, programs: Path) -> Run:
    """Run `cnnexplain` with the given words in the folder `work`, by default without the time of its imports."""

    def carry_out(
        *words: object, env: Mapping[str, str] | None = None, stdin: bytes = b"", preloaded: bool = True
    ) -> Finished:
        # How Python writes text is settled when it starts.
        settled = any(name.startswith(("PYTHON", "LC_", "LANG")) for name in env or ())
        program = (
            [programs / "cnnexplain"] if preloaded and not settled else [sys.executable, "-m", "cnnexplain"]
        )
        done = subprocess.run(
            [
                *program,
                *(os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in words),
            ],
            cwd=work,
            env=environment(env),
            input=stdin,
            capture_output=True,
            timeout=300,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    return carry_out


@pytest.fixture
def on_terminal(work: Path, programs: Path) -> Callable[..., Finished]:
    """Run `cnnexplain` in the folder `work` with the stream `terminal` (stdout or stderr) on a terminal."""

    def carry_out(*words: str, terminal: str, **env: str) -> Finished:
        master, slave = pty.openpty()
        with tempfile.TemporaryFile() as file:
            streams: dict[str, Any] = {"stdout": file, "stderr": file, terminal: slave}
            process = subprocess.Popen(
                [programs / "cnnexplain", *words],
                cwd=work,
                env=environment({"COLUMNS": "80", "TERM": "xterm", **env}),
                **streams,
            )
            os.close(slave)
            shown = b""
            with contextlib.suppress(OSError):  # the other end is closed
                while more := os.read(master, 65536):
                    shown += more
            os.close(master)
            code = process.wait(60)
            file.seek(0)
            written = dict.fromkeys(("stdout", "stderr"), file.read()) | {terminal: shown}
        return Finished(code, written["stdout"].decode(), written["stderr"].decode())

    return carry_out


@pytest.fixture
def tiny(run: Run) -> Run:
    """Run `gradcam` with the tiny model."""

    def carry_out(*words: object, **settings: object) -> Finished:
        return run("gradcam", "tiny.py:Net", *words, *TINY_OPTIONS, **settings)

    return carry_out
