"""A decoder that is led astray and ends the whole program, as one written in C may."""

from __future__ import annotations

import signal
from pathlib import Path

_CODE = """
import os
from PIL import Image
opened = Image.open
def opening(path, *rest, **more):
    if "deadly" in str(path):
        {}
    return opened(path, *rest, **more)
Image.open = opening
"""


DIE = f"os.kill(os.getpid(), {int(signal.SIGSEGV)})"


def led_astray(folder: Path, what: str = DIE) -> Path:
    """A file for the start of every process that has `folder` on its path: pictures called deadly do `what`."""
    folder.mkdir(exist_ok=True)
    file = folder / "sitecustomize.py"
    file.write_text(_CODE.format(what))
    return file
