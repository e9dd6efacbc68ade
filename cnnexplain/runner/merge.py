"""Joins what several runs made of parts of the pictures into one folder with one report. Needs no torch."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from cnnexplain.commands import BatchCommand, command, names
from cnnexplain.core.reduce import Reducer, Reductions
from cnnexplain.errors import OutputError
from cnnexplain.report.pages.atlas import atlas
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.output.finished import RunPart, read, whole
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.journal import SCANS, Journal, Lines, Record
from cnnexplain.runner.request import Joining, Observer, Outcome, Request
from cnnexplain.runner.task import Item, Task

Read = TypeVar("Read")

# What run.json of the whole has from that of a part; whatever else stands there is said of that part's images.
SHARED = ("cnnexplain", "command", "model", "options", "choices", "started", "seed", "versions")
OPEN = 100  # of so many parts the files are kept open; a system allows some hundreds


class Joined(Lines):
    """The records of all parts in the order of the whole."""

    def __init__(self, parts: Sequence[RunPart]) -> None:
        """`parts` in their order; those of a shard in turn, each giving one."""
        self._parts = parts
        rows = [zip(repeat(which), range(len(part.places))) for which, part in enumerate(parts)]
        in_turn = parts[0].shard is not None
        order = filter(None, chain.from_iterable(zip_longest(*rows) if in_turn else rows))
        self._which, self._row = array("l"), array("q")
        for which, row in order:
            self._which.append(which)
            self._row.append(row)

    def part(self, index: int) -> RunPart:
        """The part that a record is from."""
        return self._parts[self._which[index]]

    def add(self, position: int, record: Record) -> None:
        """Count a record, which stands in its part already."""
        self._count(position, record)

    def line(self, index: int) -> str:
        """A record as it stands in its part."""
        return self._read(index, Journal.line)

    def record(self, index: int) -> Record:
        """The same as data."""
        return self._read(index, Journal.record)

    def _read(self, index: int, read: Callable[[Journal, int], Read]) -> Read:
        part = self.part(index)
        result = read(part.journal, part.places[self._row[index]])
        if len(self._parts) > OPEN:
            part.journal.close()
        return result

    def __len__(self) -> int:
        return len(self._row)


class MergeTask(Task):
    """Joining the parts of a run."""

    resumable = False
    records: Joined

    def __init__(self, request: Request[Joining], observer: Observer) -> None:
        """Read the parts. Raises `OutputError` where they are not all parts of one run, or one is missing."""
        super().__init__(request, observer)
        self.parts = whole([read(Path(path)) for path in request.action.parts])
        output = request.run.output
        if output is not None and self.parts[0].journal.name == SCANS:
            self.folder = OutputFolder(output, SCANS)
        if output is not None and any(part.path.resolve() == output.resolve() for part in self.parts):
            raise OutputError(f"{output} is one of the parts", "choose another folder with -o")
        self.records = Joined(self.parts)
        self.allowed = allowed_failures(request.run.max_failures, len(self.records))
        self.reductions = Reductions.of(_reducers(self.parts[0].run))
        self.answers = _answers(self.parts)

    @cached_property
    def described(self) -> dict[str, Any]:
        """The run.json of the whole, as far as it is known before the first record."""
        return _described(self.parts, self.request, len(self.records))

    def resume(self, folder: OutputFolder) -> None:
        """Take nothing over: records are read where they stand, in the parts."""

    def items(self) -> Generator[Item, None, None]:
        """The record of every image, once its files are there."""
        self.observer.planned(len(self.records), 0)
        owners: dict[str, RunPart] = {}
        for position, record in enumerate(self.records):
            part = self.records.part(position)
            for name in part.files(record):
                other = owners.setdefault(name, part)
                if other is not part:
                    raise OutputError(
                        f"{other.path} and {part.path} both have a {name}",
                        "explain the pictures in one run, or in shards of one run, which share out the names",
                    )
                if self.folder is not None:
                    self.folder.take(name, part.file(name))
            yield Item(position, record)

    def end(self) -> dict[str, Any]:
        """How many images failed, and what is said of all images together."""
        images, failed = len(self.records), self.records.failed
        return {
            "images": {"count": images, "ok": images - failed, "error": failed},
            **self.reductions.results(),
            **({"answers": self.answers} if self.answers else {}),
        }

    def fold(self) -> None:
        """Where results are about all images together, say how they are made, which takes the model."""
        if self.parts[0].journal.name == SCANS:
            self.observer.notice(
                "next",
                "the units are shown by the command that made the parts, without --shard and with "
                f"-o {self.request.run.output}",
            )

    def pages(self, end: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """The report of all images; of units only what was scanned."""
        if self.parts[0].journal.name == SCANS:
            return atlas(end, [record for record in self.records if record["status"] == "error"], ())
        return super().pages(end)

    def interruption(self) -> tuple[str, str]:
        """That a part of the whole is of no use."""
        return "interrupted before all was joined", "run the same command again"

    def outcome(self) -> Outcome:
        """How it went, with what is said of all images."""
        return replace(
            super().outcome(),
            images=len(self.records),
            failed=self.records.failed,
            first_failed=self.records.first_failed,
            allowed=self.allowed,
            deed="joined",
            answers=self.answers,
        )


def _reducers(run: Mapping[str, Any]) -> Sequence[type[Reducer]]:
    """Those of the command that made the parts; none of one that is not known here any more."""
    name = run.get("command")
    kind = command(name) if name in names() else None
    return kind.reducers if kind is not None and issubclass(kind, BatchCommand) else ()


def _answers(parts: Sequence[RunPart]) -> dict[str, float]:
    """How many pictures of all parts are right, where that is known; see `runner.answers.Answers`."""
    known = [one.run["answers"] for one in parts if one.run.get("answers")]
    sums = {name: sum(one[name] for one in known) for name in ("right", "labelled")}
    return {**known[0], **sums} if known else {}


def _described(parts: Sequence[RunPart], request: Request[Joining], images: int) -> dict[str, Any]:
    """The run.json of the whole, as far as it is known before the first record."""
    first = parts[0].run
    identity = {name: value for name, value in first["identity"].items() if name != "shard"}
    if parts[0].shard is None:
        listing = "\0".join(str(part.run["identity"].get("images")) for part in parts)
        identity["images"] = (
            f"{images} of {len(parts)} runs (fingerprint {sha256(listing.encode()).hexdigest()[:8]})"
        )
    work: Counter[str] = Counter()
    for part in parts:
        work.update(part.run.get("work", {}))  # as long as one after another would have taken
    for number in ("processors", "streams"):
        work.pop(number, None)
    return {
        **{name: first[name] for name in SHARED if name in first},
        "status": "running",
        "arguments": request.arguments,
        "parts": [str(part.run.get("arguments", "")) for part in parts],
        "images": {"count": images},
        "seconds": round(sum(part.run.get("seconds", 0) for part in parts), 3),
        "work": {stage: round(seconds, 3) for stage, seconds in work.items()},
        "identity": identity,
    }
