"""Whose error it was: ours, or one of the code that a model brought along."""

from __future__ import annotations

import os
import sysconfig
import traceback

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = tuple(
    {os.path.join(sysconfig.get_path(one), "") for one in ("stdlib", "platstdlib", "purelib", "platlib")}
)  # Python's own, and what is installed; what else lies under their prefix may be the user's
INSTALLED = tuple(
    f"{os.sep}{one}{os.sep}" for one in ("site-packages", "dist-packages")
)  # by users, by Debian


def place_in_own_code(error: BaseException) -> str | None:
    """The file and line of the user's own code that raised an error; None where ours did.

    What libraries raise is of whoever called them last.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = os.path.abspath(frame.f_code.co_filename)
        if frame.f_code.co_filename.startswith("<") or file.startswith(OURS + os.sep):
            return None
        if not file.startswith(LIBRARIES) and not any(one in file for one in INSTALLED):
            return f"{os.path.basename(file)}:{line}"
    return None
