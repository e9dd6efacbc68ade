"""OUT: what a run writes, whole or not at all; continuing a run, and refusing to touch anything else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from cnnexplain.errors import ImageError, OutputError
from cnnexplain.runner.output.journal import ASIDE, RECORDS, Journal
from cnnexplain.runner.output.lock import Lock

REPORT, RUN = "index.html", "run.json"
PAGES = "report"  # the folder of the other pages of a long report, which may hold a run of its own as well
PAGE_NAMES = re.compile(
    r"(images|names|confidence|failures|wrong|should-\d+|class-\d+)-\d+\.html|classes\.html"
)
LOCK, TEMPORARY = "lock", "part-"
UMASK = os.umask(0)  # can only be read by setting it
os.umask(UMASK)
MARK = b"cnnexplain"  # within the first bytes of every file that this program writes
MARK_WITHIN = 512


class Folder:
    """A run's folder. `identity` is what the run is; only a folder of the same identity is continued."""

    def __init__(self, path: Path) -> None:
        self.as_named = path  # as messages name it
        self.path = path.absolute()  # code of the user's own may go to another folder
        self._aside = self.path / ASIDE
        self._held: Lock | None = None
        # Whether a run that `open` found here crashed, and nobody has looked for the reason yet.
        self.was_killed = False

    def check(self) -> None:
        """See that the folder can be made and written to, before any time is spent; make nothing yet."""
        check_folder(self.as_named, "-o")

    def open(self, identity: Mapping[str, Any], *, overwrite: bool) -> Journal:
        """Continue the run that the folder holds, or start one. Raises `OutputError` where it holds another."""
        self._held = self._lock()
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
                    f"{self._words(path)} is there already and is not from cnnexplain",
                    "choose another folder with -o",
                )
        if before is None:
            Journal(self.path).remove()  # of a run that got no further
        elif overwrite:
            self._clear()
        elif change := difference(before, identity):
            if Journal(self.path).is_empty():  # the run before was wrong from its first picture
                self._clear()
                return
            choose = "choose another folder with -o, or replace that run with --overwrite"
            if {**before, "images": ""} == {**identity, "images": ""}:
                # As xargs and loops of a shell do it, which call again for the next pictures.
                choose = f"name all pictures in one call, long lists with --files-from FILE (- is a pipe); or {choose}"
            raise OutputError(f"{self.as_named} holds another run: {change}", choose)

    def close(self) -> None:
        """Let go of the folder and remove what was only needed on the way; files of others stay.

        A folder that another run holds is left as it is: its lock and the files that it is writing are not ours.
        """
        if self._held is None:
            return
        with contextlib.suppress(OSError):  # what stays does no harm
            for left in self._aside.glob(f"{TEMPORARY}*") if self._held.is_there() else ():
                left.unlink(missing_ok=True)
            self._held.remove()
            self._aside.rmdir()
        self._held = None

    def _lock(self) -> Lock:
        """Hold the folder for this process alone, for as long as it lives."""
        while True:
            self._make(self._aside)
            try:
                return Lock(self._aside / LOCK)
            except FileNotFoundError:  # the run that held it ends right now, and took its place away
                continue
            except BlockingIOError as error:
                raise OutputError(
                    f"another run is writing into {self.as_named}",
                    "wait until it is done, or choose another folder with -o",
                ) from error

    def write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write a picture or a map below the folder; a file that is not from cnnexplain is left alone."""
        self._write(self._free(name), write)

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
            self._write(path, lambda file: file.write(source.read_bytes()))

    def _free(self, name: str) -> Path:
        """The path of a picture or a map, which can be written to."""
        path = self.path / name
        self._make(path.parent)
        if path.exists() and not written_by_us(path):
            raise ImageError(
                f"{self._words(path)} is there already and is not from cnnexplain",
                "move it away, or choose another folder with -o",
            )
        return path

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps(run, indent=2, allow_nan=False) + "\n"
        self._write(self.path / RUN, lambda file: file.write(text.encode()))

    def conclude(
        self, run: Mapping[str, Any], records: Iterable[str], pages: Iterable[tuple[str, str]]
    ) -> None:
        """Write what is written once, at a run's end: the records in order, the report's pages, run.json."""
        self._write(
            self.path / RECORDS, lambda file: file.writelines(f"{line}\n".encode() for line in records)
        )
        written = set()
        for name, content in pages:
            self._write_page(name, content)
            written.add(self.path / name)
        for old in self._pages():  # of a report that had more
            if old not in written:
                self._remove(old)
        self.write_run(run)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            problem = f"{self._words(path)} cannot be removed: {error.strerror or error}"
            raise OutputError(problem, "remove it, or choose another folder with -o") from error

    def _write_page(self, name: str, content: str) -> None:
        path = self.path / name
        self._make(path.parent)
        if name != REPORT and path.exists() and not written_by_us(path):
            raise OutputError(
                f"{self._words(path)} is there already and is not from cnnexplain",
                "choose another folder with -o",
            )
        self._write(path, lambda file: file.write(content.encode()))

    def _pages(self) -> list[Path]:
        """The pages of the report beside index.html."""
        if (self.path / PAGES).is_symlink():
            return []
        paths = (self.path / PAGES).glob("*.html")
        return [path for path in paths if PAGE_NAMES.fullmatch(path.name) and written_by_us(path)]

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
            if not self._aside.is_dir():
                raise self._gone() from error
            raise OutputError(
                f"{self._words(path)} cannot be written: {error.strerror or error}",
                "make room or choose another folder with -o; the same command continues where this one stopped",
            ) from error

    def _gone(self) -> OutputError:
        return OutputError(
            f"{self.as_named} was removed, moved or replaced while the run was writing into it",
            "run the same command again: it continues with what is there",
        )

    def _words(self, path: Path) -> str:
        """A path below the folder as messages name it."""
        return str(self.as_named / path.relative_to(self.path))

    def _make(self, folder: Path) -> None:
        if self._held is not None and not self._aside.is_dir():
            raise self._gone()
        if self.path.resolve() not in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{self._words(folder)} leads out of {self.as_named}",
                "remove the link, or choose another folder with -o",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self._words(folder)} cannot be made: {error.strerror or error}",
                "choose another folder with -o",
            ) from error

    def _identity(self) -> dict[str, Any] | None:
        if not (self.path / RUN).is_file():  # a pipe would keep us waiting
            return None
        try:
            run = json.loads((self.path / RUN).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise OutputError(
                f"{self._words(self.path / RUN)} cannot be read, so what the folder holds is not known: {error}",
                "choose another folder with -o, or remove that file",
            ) from error
        if not (isinstance(run, dict) and "cnnexplain" in run):
            return None
        self.was_killed = run.get("status") == "running" or bool(run.get("killed"))
        identity = run.get("identity")
        return identity if isinstance(identity, dict) else {}

    def _clear(self) -> None:
        """Remove what the run before wrote, and nothing else."""
        for record in Journal(self.path).records():
            names = [item.get(kind) for item in record.get("explanations", ()) for kind in ("picture", "raw")]
            for name in (*names, record.get("overview")):
                with contextlib.suppress(OSError, ValueError):  # a name that no file of ours has
                    path = self.path / str(name or "")
                    inside = self.path.resolve() in path.resolve().parents
                    if inside and not path.is_symlink() and written_by_us(path):
                        path.unlink()
        for page in self._pages():
            self._remove(page)
        with contextlib.suppress(OSError):  # it holds something else, or is not there
            (self.path / PAGES).rmdir()
        for name in (REPORT, RECORDS, RUN):
            self._remove(self.path / name)
        Journal(self.path).remove()


def checked_folder(path: Path) -> Folder:
    """The folder at a path, which is known to be of use; nothing is made yet."""
    folder = Folder(path)
    folder.check()
    return folder


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


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing in which two runs are not the same, in words; nothing where they are."""
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            was, is_now = (str(identity.get(name, "nothing")) for identity in (before, now))
            if len(was) + len(is_now) > 160:
                return f"{name} was different"
            return f"{name} was {was}, and is now {is_now}"
    return ""
