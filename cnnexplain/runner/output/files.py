"""Files below a folder: each appears whole or not at all, and none that is not ours is replaced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO

from cnnexplain.errors import ImageError, OutputError
from cnnexplain.runner.output.journal import ASIDE

TEMPORARY = "part-"
MARK = b"cnnexplain"  # within the first bytes of every file that this program writes
MARK_WITHIN = 512

_numbers = count()  # of the files that this process began


class Files:
    """The files below OUT, as every process of a run writes them. Only the one that opened OUT may write its report."""

    def __init__(self, path: Path) -> None:
        self.as_named = path  # as messages name it
        self.path = path.absolute()  # code of the user's own may go to another folder
        self._aside = self.path / ASIDE
        self._within: dict[str, object] = {}  # which folders were seen to be below it, by their paths

    def write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write a picture or a map below the folder; a file that is not from cnnexplain is left alone."""
        self._fill(self._free(name), write)

    def take(self, name: str, source: Path) -> None:
        """Have a file of another folder here too, without a copy where the file system can."""
        path = self._free(name)
        if path.exists() and path.samefile(source):
            return
        part = self._aside / f"{TEMPORARY}{os.getpid()}"
        try:
            part.hardlink_to(source)
            part.replace(path)
        except OSError:  # another file system, or one without links
            self._fill(path, lambda file: file.write(source.read_bytes()))

    def _free(self, name: str) -> Path:
        """The path of a picture or a map, which can be written to."""
        path = self.path / name
        self._make(path.parent)
        if path.exists() and not written_by_us(path):
            raise ImageError(
                f"{self._named(path)} is there already and is not from cnnexplain",
                "move it away, or choose another folder with -o",
            )
        return path

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            problem = f"{self._named(path)} cannot be removed: {error.strerror or error}"
            raise OutputError(problem, "remove it, or choose another folder with -o") from error

    def _fill(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        """Have `write` fill a file that appears under its name only when it is whole."""
        try:
            fill(path, write, self._aside)
        except OSError as error:
            if not self._aside.is_dir():
                raise self._gone() from error
            raise OutputError(
                f"{self._named(path)} cannot be written: {error.strerror or error}",
                "make room or choose another folder with -o; the same command continues where this one stopped",
            ) from error

    def _gone(self) -> OutputError:
        return OutputError(
            f"{self.as_named} was removed, moved or replaced while the run was writing into it",
            "run the same command again: it continues with what is there",
        )

    def _named(self, path: Path) -> str:
        """A path below the folder as messages name it."""
        return str(self.as_named / path.relative_to(self.path))

    def _make(self, folder: Path) -> None:
        known = self._within.get(str(folder))
        if known and known == _identity(folder):  # else it is another one, or a link, by now
            return
        if folder != self.path and not _is_within(self.path, folder):
            raise OutputError(
                f"{self._named(folder)} leads out of {self.as_named}",
                "remove the link, or choose another folder with -o",
            )
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
            self._within[str(folder)] = _identity(folder)
        except OSError as error:
            raise OutputError(
                f"{self._named(folder)} cannot be made: {error.strerror or error}",
                "choose another folder with -o",
            ) from error


def _is_within(home: Path, folder: Path) -> bool:
    """Whether a folder is, links followed, below another."""
    above = os.path.realpath(home)
    return os.path.commonpath((above, os.path.realpath(folder))) == above


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder a path leads to, links followed; None where there is nothing."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def fill(path: Path, write: Callable[[IO[bytes]], object], aside: Path, prefix: str = TEMPORARY) -> None:
    """Have `write` fill a file in the folder `aside`, which then gets its name: it is there whole or not at all."""
    file = _begun(aside, prefix)
    try:
        with file:
            write(file)
        os.replace(file.name, path)
    except OSError:
        Path(file.name).unlink(missing_ok=True)  # it may hold the room that the others need
        raise


def _begun(folder: Path, prefix: str) -> IO[bytes]:
    """A new file in a folder, of a name that no other has."""
    while True:
        with contextlib.suppress(FileExistsError):  # another machine's, or that of a run that was killed
            return (folder / f"{prefix}{os.getpid()}-{next(_numbers)}").open("xb")


def write_file(path: Path, content: bytes, flag: str) -> None:
    """Write a single file that an option, `flag`, names: whole or not at all, and over none that is not ours."""
    if os.path.lexists(path) and not written_by_us(path):
        raise OutputError(
            f"{path} is there already and is not from cnnexplain", f"choose another file with {flag}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(path, lambda file: file.write(content), path.parent, ".cnnexplain-")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}", f"choose another file with {flag}"
        ) from error


def check_folder(path: Path, flag: str) -> None:
    """See that a folder can be made and written to; make nothing yet. `flag` is the option that names it."""
    try:
        path.resolve()
    except (OSError, RuntimeError) as error:  # links that lead in a circle
        raise OutputError(f"{path} leads nowhere: {error}", f"choose another folder with {flag}") from error
    place = path.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{place} is not a folder", f"choose a folder for the results with {flag}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(
            f"results cannot be written to {path}: {place} is not yours to write to",
            f"choose a folder that you may write to with {flag}",
        )


def written_by_us(path: Path) -> bool:
    """Whether a file carries the mark of this program near its beginning."""
    if not path.is_file():  # a pipe would keep the run waiting
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:  # what cannot be read is left alone
        return MARK in file.read(MARK_WITHIN)
    return False
