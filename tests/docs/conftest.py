"""What the tests of the documentation share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_shell import DOCS, PRELOADED, Shell


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
