"""The lock of a run's folder: one process at a time writes into it; a killed one lets go by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from cnnexplain.errors import OutputError
from cnnexplain.runner.output.journal import open_own

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A locked file. Raises `BlockingIOError` where another process holds it."""

    def __init__(self, path: Path) -> None:
        """`path` lies in a folder that may vanish meanwhile: `FileNotFoundError` then."""
        self._path = path
        while True:
            self._file = _opened(path)
            if fcntl is None:  # no such locks on Windows, which removes no file that is open
                self._file.close()
                return
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._file.close()
                raise BlockingIOError(f"{path} is locked") from error
            if self.is_there():
                return
            self._file.close()  # its run ended between our opening and our locking it

    def is_there(self) -> bool:
        """Whether the file still has its name, so that every other process would open the same one."""
        return self._file.closed or os.fstat(self._file.fileno()).st_nlink > 0

    def remove(self) -> None:
        """Remove the file, where it is ours, and let go of it; in this order, or another run's would go."""
        try:
            if self.is_there():
                self._path.unlink(missing_ok=True)
        finally:
            self._file.close()


def _opened(path: Path) -> IO[bytes]:
    try:
        return open_own(path)
    except OutputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from error
        raise
