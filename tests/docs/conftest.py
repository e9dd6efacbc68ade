"""What the tests of the documentation share: a shell in which its commands run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))  # pages.py, reference.py and make.py stand beside what they read and write

PRELOADED = Path(__file__).with_name("preloaded.py")


@dataclass(frozen=True)
class Shell:
    """Bash in one folder, with `cnnexplain` on its path."""

    folder: Path
    programs: Path
    address: str

    def run(self, script: str, *, merged: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a script; `merged` puts both streams into one, as a terminal does."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CNNEXPLAIN_")}
        path = f"{self.programs}:{Path(sys.executable).parent}:{kept['PATH']}"
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**kept, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            timeout=300,
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script."""
        file = self.folder / ".script.py"
        file.write_text(code, "utf-8")
        return self.run(f"preloaded-python {file.name}")


@pytest.fixture(scope="session")
def programs() -> Iterator[tuple[Path, str]]:
    """A folder with `cnnexplain` in it, and the process behind that."""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: a socket's address must be short
        address = os.path.join(folder, "s")
        # One thread: on a busy machine several wait for each other far longer than these small models take.
        server = subprocess.Popen(
            [sys.executable, PRELOADED, address],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            for name, program in (("cnnexplain", "cnnexplain"), ("preloaded-python", "python")):
                file = Path(folder, name)
                file.write_text(
                    f'#!/bin/sh\nexec "{sys.executable}" -IS "{PRELOADED}" "{address}" {program} "$@"\n'
                )
                file.chmod(0o755)
            yield Path(folder), address
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def shell(programs: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder that holds nothing but `docs/`."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "docs").symlink_to(DOCS)
    return Shell(folder, *programs)
