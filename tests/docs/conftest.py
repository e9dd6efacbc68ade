"""What the tests of the documentation share."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_shell import DOCS, Shell


@pytest.fixture(scope="module")
def shell(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder that holds nothing but `docs/`."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "docs").symlink_to(DOCS)
    return Shell(folder, programs)
