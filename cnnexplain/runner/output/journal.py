"""The records of a run on disk: one line each as they come, found again one by one."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, overload

from cnnexplain.core.records import line
from cnnexplain.errors import OutputError

RECORDS = "results.jsonl"
SCANS = "scan.jsonl"  # the records of images, where results are about all of them together
ASIDE = ".cnnexplain"  # in OUT: what is needed until a run is finished
NOWHERE, COUNTED = -1, 0  # in the place of a place: there is no record; it was counted, and is nowhere

Record = Mapping[str, Any]


class Journal:
    """The lines of results.jsonl, or of another file that is named, and behind them those of a run that is under way.

    The place of a line is one number, which holds for as long as the journal is used, also after results.jsonl
    was written anew.
    """

    def __init__(self, folder: Path, name: str = RECORDS) -> None:
        self.name = name
        self._files = (folder / name, folder / ASIDE / "journal.jsonl")
        self._reading: dict[int, IO[bytes]] = {}
        self._writing: IO[bytes] | None = None
        self._end = 0

    def places(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every record with its place, in the order written. A half-written line is left out."""
        for which, path in enumerate(self._files):
            if not path.is_file():  # a pipe would keep us waiting
                continue
            offset = 0
            with path.open("rb") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError, RecursionError):  # left unfinished by a killed run
                        record = json.loads(line)
                        if _is_record(record):
                            yield offset * len(self._files) + which, record
                    offset += len(line)

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record in the order written."""
        for _, record in self.places():
            yield record

    def line(self, place: int) -> str:
        """The line at a place, without its end."""
        offset, which = divmod(place, len(self._files))
        try:
            if which not in self._reading:
                self._reading[which] = self._files[which].open("rb")
            self._reading[which].seek(offset)
            line = self._reading[which].readline().decode().rstrip("\n")
        except (OSError, ValueError) as error:
            raise self._changed(which) from error
        if not (line.startswith("{") and line.endswith("}")):
            raise self._changed(which)
        return line

    def record(self, place: int) -> dict[str, Any]:
        """The record at a place. Raises `OutputError` where the file is not as it was any more."""
        line = self.line(place)
        try:
            record: dict[str, Any] = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._changed(place % len(self._files)) from error
        return record

    def _changed(self, which: int) -> OutputError:
        return OutputError(
            f"{self._files[which]} was removed or changed by somebody else while the run needed it",
            "run the same command again: what is no longer there is explained again",
        )

    def add(self, line: str) -> int:
        """Write a record to disk, and return its place."""
        path = self._files[1]
        try:
            if self._writing is None:
                path.parent.mkdir(exist_ok=True)
                self._writing = open_own(path)
                self._end = os.fstat(self._writing.fileno()).st_size
                if self._end and not _ends_a_line(path):
                    self._write(b"\n")
            elif os.stat(path).st_size != self._end:
                raise self._changed(1)
            place = self._end * len(self._files) + 1
            self._write(line.encode() + b"\n")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._changed(1) from error
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}",
                "make room; the same command continues where this one stopped",
            ) from error
        return place

    def _write(self, content: bytes) -> None:
        while content and self._writing is not None:  # on a full disk less is taken, and no error raised
            taken = self._writing.write(content) or 0
            self._end += taken
            content = content[taken:]

    def is_empty(self) -> bool:
        """Whether a run came to its end without a single record."""
        ended = self._files[0].is_file() and not os.path.lexists(self._files[1])
        return ended and self._files[0].stat().st_size == 0

    def close(self) -> None:
        """Hold no file open; the next to be read or written is opened again."""
        for file in (*self._reading.values(), self._writing):
            if file is not None:
                file.close()
        self._reading, self._writing = {}, None

    def remove(self) -> None:
        """The run is finished and its records stand in results.jsonl."""
        self.close()
        try:
            self._files[1].unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self._files[1]} is not a file of ours", "remove it, or choose another folder with -o"
            ) from error


class Lines(Sequence[Record], ABC):
    """Records that stand on disk, and are read one by one, however many there are."""

    failed = 0  # how many of them are of images that failed
    _first_failed: tuple[int, Record] | None = None

    @abstractmethod
    def add(self, position: int, record: Record) -> None:
        """Note what became of an image; `position` is its place among those of the run."""

    def _count(self, position: int, record: Record) -> None:
        """Count a record, where it is of an image that failed."""
        if record["status"] == "error":
            self.failed += 1
            if self._first_failed is None or position < self._first_failed[0]:
                self._first_failed = position, record

    @property
    def first_failed(self) -> Record | None:
        """The record of the first image that failed."""
        return self._first_failed[1] if self._first_failed else None

    @abstractmethod
    def line(self, index: int) -> str:
        """A record as it stands there."""

    @abstractmethod
    def record(self, index: int) -> Record:
        """A record as data."""

    def lines(self) -> Iterator[str]:
        """Every record as it stands there."""
        return (self.line(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return self.record(index)


class Records(Lines):
    """The records of the images of a run, in the order of the images.

    They stand in the journal. Without one they are counted, and cannot be read again.
    """

    def __init__(self, images: int, journal: Journal | None = None) -> None:
        self._journal = journal
        self._places = array("q", [NOWHERE]) * images
        self._there: array[int] | None = None  # the positions of those that are
        self._failed_before: set[int] = set()

    def keep(self, images: Sequence[str], still_holds: Callable[[int, Record], bool]) -> None:
        """Take over the records of an earlier run for which `still_holds` is true, by position and record."""
        positions: dict[str, list[int]] | None = None
        for place, record in self._noted.places():
            if positions is None:
                positions = {}
                for position, image in enumerate(images):
                    positions.setdefault(image, []).append(position)
            name = str(record.get("image") or record.get("subject"))
            alike = positions.get(name, ())  # several where names are no Unicode
            for position in alike:
                if record.get("status") == "error":
                    self._failed_before.add(position)
                # A picture that failed for good has no files that tell it from another written alike.
                if still_holds(position, record) and (len(alike) == 1 or record["status"] == "ok"):
                    self._places[position] = place
                elif len(alike) == 1:
                    self._places[position] = NOWHERE  # the later record counts
        for position in sorted(self._failed_before):
            if (failed := self.at(position)) is not None:
                self._count(position, failed)

    def add(self, position: int, record: Record) -> None:
        """Write the record of an image down, and count it."""
        self._places[position] = COUNTED if self._journal is None else self._journal.add(line(record))
        self._there = None
        self._count(position, record)

    @property
    def _noted(self) -> Journal:
        if self._journal is None:
            raise ValueError("these records are only counted")
        return self._journal

    def at(self, position: int) -> Record | None:
        """The record of the image at a position, where there is one."""
        place = self._places[position]
        return None if place == NOWHERE else self._noted.record(place)

    def missing(self) -> Iterator[int]:
        """The positions of images that have none yet."""
        return (position for position, place in enumerate(self._places) if place == NOWHERE)

    def failed_before(self, position: int) -> bool:
        """Whether an image failed in an earlier run."""
        return position in self._failed_before

    def untried(self) -> Iterator[int]:
        """Those of them that no run came to the end of, well or badly."""
        return (position for position in self.missing() if position not in self._failed_before)

    def __len__(self) -> int:
        return len(self._present())

    def line(self, index: int) -> str:
        """A record as it stands in results.jsonl, or will."""
        return self._noted.line(self._places[self._present()[index]])

    def record(self, index: int) -> Record:
        """A record as data."""
        return self._noted.record(self._places[self._present()[index]])

    def _present(self) -> array[int]:
        if self._there is None:
            self._there = array(
                "q", (position for position, place in enumerate(self._places) if place != NOWHERE)
            )
        return self._there


def open_own(path: Path) -> IO[bytes]:
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


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _is_record(value: Any) -> bool:
    """Whether a line is a record, as far as a run relies on it."""
    explanations = value.get("explanations", []) if isinstance(value, dict) else None
    return isinstance(explanations, list) and all(isinstance(entry, dict) for entry in explanations)
