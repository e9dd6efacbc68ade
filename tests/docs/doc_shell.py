"""A shell in which the commands of the documentation run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))  # pages.py, reference.py and make.py stand beside what they read and write


@dataclass(frozen=True)
class Shell:
    """Bash in one folder, with `cnnexplain` on its path."""

    folder: Path
    programs: Path

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
            timeout=1200,  # far more than any takes, on a machine that is slow or busy with something else
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script."""
        file = self.folder / ".script.py"
        file.write_text(code, "utf-8")
        return self.run(f"preloaded-python {file.name}")
