"""Whose error it was: ours, or one of the code that a model brought along."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = tuple(
    os.path.join(one, "") for one in {*sysconfig.get_paths().values(), sys.base_prefix}
)  # Python's own, and what is installed


def place_in_own_code(error: BaseException) -> str | None:
    """The file and line of the user's own code that raised an error; None where ours did.

    What libraries raise is of whoever called them last.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = os.path.abspath(frame.f_code.co_filename)
        if frame.f_code.co_filename.startswith("<") or file.startswith(OURS + os.sep):
            return None
        if not file.startswith(LIBRARIES):
            return f"{os.path.basename(file)}:{line}"
    return None
