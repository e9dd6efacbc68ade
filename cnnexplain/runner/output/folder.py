"""OUT: what a run writes, whole or not at all; continuing a run, and refusing to touch anything else."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

from cnnexplain.errors import OutputError
from cnnexplain.report.pages.latex import CONTACT
from cnnexplain.runner.output.files import TEMPORARY, Files, check_folder, written_by_us
from cnnexplain.runner.output.journal import RECORDS, SCANS, Journal, Record, Records
from cnnexplain.runner.output.lock import Lock

REPORT, RUN = "index.html", "run.json"
PAGES = "report"  # the folder of the other pages of a long report, which may hold a run of its own as well
PAGE_NAMES = re.compile(
    r"(images|names|confidence|failures|wrong|should-\d+|class-\d+|units-[\w.+]+)-\d+\.html"
    r"|(classes|find|layer-[\w.+]+)\.html|find-\d+\.css"
)
LOCK = "lock"


class OutputFolder(Files):
    """OUT, as the one process has it that opened it: its files, and the records that are noted there as they come.

    with OutputFolder(path).open(identity, overwrite=False) as out:
        out.write_run(run)
        records = out.keep(images, still_holds)
        records.add(position, record)
        out.conclude(run, records.lines(), pages)
    """

    def __init__(self, path: Path, records: str = RECORDS) -> None:
        """Make nothing yet; `records` is the file that has those of the images.

        Raises `OutputError` where the folder cannot be made, or not be written to.
        """
        super().__init__(path)
        check_folder(path, "-o")
        self._held: Lock | None = None
        self.journal = Journal(self.path, records)
        # Whether a run that `open` met here crashed, and nobody has looked for the reason yet.
        self.was_killed = False

    def open(self, identity: Mapping[str, Any], *, overwrite: bool) -> OutputFolder:
        """Continue the run that the folder holds, or start one, until the end of a `with` block.

        `identity` is what a run is: only a folder of the same identity is continued. Raises `OutputError` where it
        holds another run, or where another process is writing into it.
        """
        self._held = self._lock()
        try:
            self._accept(identity, overwrite)
        except OutputError:
            self.close()
            raise
        return self

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def keep(self, images: Sequence[str], still_holds: Callable[[int, Record], bool]) -> Records:
        """The records of `images`, of which those of an earlier run stay that hold, by position and record."""
        records = Records(len(images), self.journal)
        records.keep(images, still_holds)
        return records

    def _accept(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        before = self._identity()
        for name in (REPORT, RECORDS, SCANS, RUN):
            path = self.path / name
            if path.exists() and (before is None or (name == REPORT and not written_by_us(path))):
                raise OutputError(
                    f"{self._named(path)} is there already and is not from cnnexplain",
                    "choose another folder with -o",
                )
        if before is None:
            self.journal.remove()  # of a run that got no further
        elif overwrite:
            self._clear()
        elif change := difference(before, identity):
            if self.journal.is_empty():  # the run before was wrong from its first picture
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

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps(run, indent=2, allow_nan=False) + "\n"
        self._fill(self.path / RUN, lambda file: file.write(text.encode()))

    def conclude(
        self,
        run: Mapping[str, Any],
        records: Iterable[str],
        pages: Iterable[tuple[str, str]],
        results: Iterable[str] | None = None,
    ) -> None:
        """Write what is written once, at a run's end: the records in order, the report's pages, run.json.

        `results` are the lines of results.jsonl, where that is not the file of the records.
        """
        self._write_lines(self.journal.name, records)
        if results is not None:
            self._write_lines(RECORDS, results)
        written = set()
        for name, content in pages:
            self._write_page(name, content)
            written.add(self.path / name)
        for old in self._pages():  # of a report that had more
            if old not in written:
                self._remove(old)
        self.write_run(run)
        self.journal.remove()

    def _write_lines(self, name: str, lines: Iterable[str]) -> None:
        self._fill(self.path / name, lambda file: file.writelines(f"{line}\n".encode() for line in lines))

    def _write_page(self, name: str, content: str) -> None:
        path = self.path / name
        self._make(path.parent)
        if name != REPORT and path.exists() and not written_by_us(path):
            raise OutputError(
                f"{self._named(path)} is there already and is not from cnnexplain",
                "choose another folder with -o",
            )
        self._fill(path, lambda file: file.write(content.encode()))

    def _pages(self) -> list[Path]:
        """The pages of the report beside index.html."""
        if (self.path / PAGES).is_symlink():
            return []
        paths = (self.path / PAGES).glob("*")
        return [path for path in paths if PAGE_NAMES.fullmatch(path.name) and written_by_us(path)]

    def _make(self, folder: Path) -> None:
        if self._held is not None and not self._aside.is_dir():
            raise self._gone()
        super()._make(folder)

    def earlier(self) -> dict[str, Any]:
        """Return run.json as an earlier run left it here; empty where there is none of ours.

        Raises:
            OutputError: It cannot be read.
        """
        if not (self.path / RUN).is_file():  # a pipe would keep us waiting
            return {}
        try:
            run = json.loads((self.path / RUN).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise OutputError(
                f"{self._named(self.path / RUN)} cannot be read, so what the folder holds is not known: {error}",
                "choose another folder with -o, or remove that file",
            ) from error
        return run if isinstance(run, dict) and "cnnexplain" in run else {}

    def _identity(self) -> dict[str, Any] | None:
        run = self.earlier()
        if not run:
            return None
        self.was_killed = run.get("status") == "running" or bool(run.get("killed"))
        identity = run.get("identity")
        return identity if isinstance(identity, dict) else {}

    def _clear(self) -> None:
        """Remove what the run before wrote, and nothing else."""
        for record in chain.from_iterable(Journal(self.path, name).records() for name in (RECORDS, SCANS)):
            for name in files_of(record):
                with contextlib.suppress(OSError, ValueError):  # a name that no file of ours has
                    path = self.path / str(name or "")
                    inside = self.path.resolve() in path.resolve().parents
                    if inside and not path.is_symlink() and written_by_us(path):
                        path.unlink()
        contact = [path for path in (self.path / CONTACT,) if path.is_file() and written_by_us(path)]
        for page in (*self._pages(), *contact):
            self._remove(page)
        with contextlib.suppress(OSError):  # it holds something else, or is not there
            (self.path / PAGES).rmdir()
        for name in (REPORT, RECORDS, SCANS, RUN):
            self._remove(self.path / name)
        self.journal.remove()


def files_of(record: Mapping[str, Any]) -> list[Any]:
    """The paths of all files that a record names, of an image or of a unit; whatever stands there."""
    shown = [record, *record.get("explanations", ())]
    for group in ("top", "median", "random"):  # of a unit
        shown += [each for each in record.get(group) or () if isinstance(each, dict)]
    if isinstance(made := record.get("synthesised"), dict):
        shown.append(made)
    drawings = record.get("drawings")
    return [
        *(
            each.get(kind)
            for each in shown
            for kind in ("picture", "raw", "overview", "numbers", "thumb", "plain")
        ),
        *(drawings if isinstance(drawings, list) else ()),
    ]


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing in which two runs are not the same, in words; nothing where they are."""
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            was, is_now = (str(identity.get(name, "nothing")) for identity in (before, now))
            if len(was) + len(is_now) > 160:
                return f"{name} was different"
            return f"{name} was {was}, and is now {is_now}"
    return ""
