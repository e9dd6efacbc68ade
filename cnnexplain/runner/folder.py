"""OUT: what a run writes, whole or not at all; continuing a run, and refusing to touch anything else."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cnnexplain.errors import ImageError, OutputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

REPORT, RECORDS, RUN = "index.html", "results.jsonl", "run.json"
JOURNAL = ".cnnexplain"  # what is done so far, until the run is finished
LOCK, TEMPORARY = "lock", "part-"
UMASK = os.umask(0)  # can only be read by setting it
os.umask(UMASK)
MARK = b"cnnexplain"  # within the first bytes of every file that this program writes
MARK_WITHIN = 512


class Folder:
    """A run's folder. `identity` is what the run is; only a folder of the same identity is continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path / JOURNAL
        self._held: IO[bytes] | None = None

    def check(self) -> None:
        """See that the folder can be made and written to, before any time is spent; make nothing yet."""
        check_folder(self.path, "-o")

    def open(self, identity: Mapping[str, Any], *, overwrite: bool) -> Journal:
        """Continue the run that the folder holds, or start one. Raises `OutputError` where it holds another."""
        self._make(self._aside)
        self._lock()
        try:
            self._accept(identity, overwrite)
        except OutputError:
            self.close()
            raise
        return Journal(self.path)

    def _accept(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        before = self._identity()
        for name in (REPORT, RECORDS, RUN):
            path = self.path / name
            if path.exists() and (before is None or (name == REPORT and not written_by_us(path))):
                raise OutputError(
                    f"{path} is there already and is not from cnnexplain", "choose another folder with -o"
                )
        if before is None:
            Journal(self.path).remove()  # of a run that got no further
        elif overwrite:
            self._clear()
        elif difference := _difference(before, identity):
            if Journal(self.path).is_empty():  # the run before was wrong from its first picture
                self._clear()
                return
            raise OutputError(
                f"{self.path} holds another run: {difference}",
                "choose another folder with -o, or replace that run with --overwrite",
            )

    def close(self) -> None:
        """Let go of the folder and remove what was only needed on the way; files of others stay."""
        if self._held is not None:
            self._held.close()
            self._held = None
        with contextlib.suppress(OSError):  # what stays does no harm, and somebody else may be at work
            for left in (self._aside / LOCK, *self._aside.glob(f"{TEMPORARY}*")):
                left.unlink(missing_ok=True)
            self._aside.rmdir()

    def _lock(self) -> None:
        """Hold the folder for this process alone, for as long as it lives; a killed one lets go by itself."""
        if fcntl is None:  # no such locks on Windows
            return
        self._held = _open_own(self._aside / LOCK)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"another run is writing into {self.path}",
                "wait until it is done, or choose another folder with -o",
            ) from error

    def write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write a picture or a map below the folder; a file that is not from cnnexplain is left alone."""
        path = self.path / name
        if path.exists() and not written_by_us(path):
            raise ImageError(
                f"{path} is there already and is not from cnnexplain",
                "move it away, or choose another folder with -o",
            )
        self._make(path.parent)
        self._write(path, write)

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps(run, indent=2, allow_nan=False) + "\n"
        self._write(self.path / RUN, lambda file: file.write(text.encode()))

    def conclude(self, run: Mapping[str, Any], records: Iterable[str], report: str) -> None:
        """Write what is written once, at a run's end: the records in order, the report, run.json."""
        self._write(
            self.path / RECORDS, lambda file: file.writelines(f"{line}\n".encode() for line in records)
        )
        self._write(self.path / REPORT, lambda file: file.write(report.encode()))
        self.write_run(run)

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        """Have `write` fill a file that appears under its name only when it is whole."""
        part = None
        try:
            with tempfile.NamedTemporaryFile(dir=self._aside, prefix=TEMPORARY, delete=False) as file:
                part = file.name
                write(file)
            os.chmod(part, 0o666 & ~UMASK)
            os.replace(part, path)
        except OSError as error:
            if part is not None:
                Path(part).unlink(missing_ok=True)  # it may hold the room that the others need
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}",
                "make room or choose another folder with -o; the same command goes on where this one stopped",
            ) from error

    def _make(self, folder: Path) -> None:
        if self.path.resolve() not in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{folder} leads out of {self.path}", "remove the link, or choose another folder with -o"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be made: {error.strerror or error}", "choose another folder with -o"
            ) from error

    def _identity(self) -> dict[str, Any] | None:
        if not (self.path / RUN).is_file():  # a pipe would keep us waiting
            return None
        try:
            run = json.loads((self.path / RUN).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise OutputError(
                f"{self.path / RUN} cannot be read, so what the folder holds is not known: {error}",
                "choose another folder with -o",
            ) from error
        if not (isinstance(run, dict) and "cnnexplain" in run):
            return None
        identity = run.get("identity")
        return identity if isinstance(identity, dict) else {}

    def _clear(self) -> None:
        """Remove what the run before wrote, and nothing else."""
        for record in Journal(self.path).records():
            found = [one.get(kind) for one in record.get("explanations", ()) for kind in ("picture", "raw")]
            for name in (*found, record.get("overview")):
                with contextlib.suppress(OSError, ValueError):  # a name that no file of ours has
                    path = self.path / str(name or "")
                    inside = self.path.resolve() in path.resolve().parents
                    if inside and not path.is_symlink() and written_by_us(path):
                        path.unlink()
        for name in (REPORT, RECORDS, RUN):
            (self.path / name).unlink(missing_ok=True)
        Journal(self.path).remove()


class Journal:
    """The records of a run as they come: one line each, later ones replacing earlier ones of the same image."""

    def __init__(self, folder: Path) -> None:
        self._records = folder / RECORDS
        self._journal = folder / JOURNAL / "journal.jsonl"
        self._file: IO[bytes] | None = None

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, in the order written, the finished run's first. A half-written last line is left out."""
        for path in (self._records, self._journal):
            if not path.is_file():
                continue
            with path.open("rb") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError, RecursionError):  # left unfinished by a killed run
                        record = json.loads(line)
                        if _is_record(record):
                            yield record

    def add(self, line: str) -> None:
        """Note one record, for good."""
        try:
            if self._file is None:
                self._journal.parent.mkdir(exist_ok=True)
                self._file = _open_own(self._journal)
                torn = self._journal.stat().st_size > 0 and not self._journal.read_bytes().endswith(b"\n")
                if torn:
                    self._file.write(b"\n")
            self._file.write(line.encode() + b"\n")
        except OSError as error:
            raise OutputError(
                f"{self._journal} cannot be written: {error.strerror or error}",
                "make room; the same command goes on where this one stopped",
            ) from error

    def is_empty(self) -> bool:
        """Whether a run came to its end without a single record."""
        ended = self._records.is_file() and not os.path.lexists(self._journal)
        return ended and self._records.stat().st_size == 0

    def remove(self) -> None:
        """The run is finished and its records stand in results.jsonl."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._journal.unlink(missing_ok=True)


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


def _open_own(path: Path) -> IO[bytes]:
    """Open a file of ours for appending; never through a link that somebody laid, nor a pipe."""
    try:
        handle = os.open(
            path,
            os.O_WRONLY
            | os.O_APPEND
            | os.O_CREAT
            | getattr(os, "O_NOFOLLOW", 0)
            | getattr(os, "O_NONBLOCK", 0),
            0o666,
        )
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}", "remove it, or choose another folder with -o"
        ) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OutputError(f"{path} is not a file of ours", "remove it, or choose another folder with -o")
    return os.fdopen(handle, "ab", buffering=0)


def written_by_us(path: Path) -> bool:
    """Whether a file carries the mark of this program near its beginning."""
    if not path.is_file():  # a pipe would keep the run waiting
        return False
    with path.open("rb") as file:
        return MARK in file.read(MARK_WITHIN)


def _is_record(value: Any) -> bool:
    """Whether a line is a record, as far as a run relies on it."""
    explanations = value.get("explanations", []) if isinstance(value, dict) else None
    return isinstance(explanations, list) and all(isinstance(one, dict) for one in explanations)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            was, is_now = (str(one.get(name, "nothing")) for one in (before, now))
            if len(was) + len(is_now) > 160:
                return f"{name} was different"
            return f"{name} was {was}, and is now {is_now}"
    return ""
