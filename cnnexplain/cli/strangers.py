"""Whether an error comes from this package, or from the code of a user's model."""

from __future__ import annotations

import os
import sysconfig
import traceback

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = tuple(
    {
        os.path.join(sysconfig.get_path(scheme), "")
        for scheme in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)  # Python's own and the installed packages; other folders under their prefix may be the user's
INSTALLED = tuple(
    f"{os.sep}{folder}{os.sep}" for folder in ("site-packages", "dist-packages")
)  # by users, by Debian


def place_in_own_code(error: BaseException) -> str | None:
    """The file and line of the user's own code that raised an error; None where ours did.

    An error that a library raises belongs to the code that called the library last.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = os.path.abspath(frame.f_code.co_filename)
        if frame.f_code.co_filename.startswith("<") or file.startswith(OURS + os.sep):
            return None
        if not file.startswith(LIBRARIES) and not any(folder in file for folder in INSTALLED):
            return f"{os.path.basename(file)}:{line}"
    return None
