"""Joins what several runs made of parts of the pictures into one folder with one report. Needs no torch."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from cnnexplain.commands import image_command, names
from cnnexplain.core.reduce import Reducer, Reductions
from cnnexplain.errors import InterruptedRunError, OutputError
from cnnexplain.report.pages.long import pages
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.output.finished import RunPart, read, whole
from cnnexplain.runner.output.folder import REPORT, Folder
from cnnexplain.runner.output.journal import Journal, Lines, Record
from cnnexplain.runner.request import MergeRequest, Observer, Outcome

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

    def line(self, index: int) -> str:
        """A record as it stands in its part."""
        return self._read(index, Journal.line)

    def record(self, index: int) -> Record:
        """The same as data."""
        return self._read(index, Journal.record)

    def _read(self, index: int, read: Callable[[Journal, int], Read]) -> Read:
        part = self.part(index)
        found = read(part.journal, part.places[self._row[index]])
        if len(self._parts) > OPEN:
            part.journal.close()
        return found

    def __len__(self) -> int:
        return len(self._row)


def merge(request: MergeRequest, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when the parts are no whole, or when it was interrupted."""
    clock = time.monotonic()
    options = request.options
    folder = Folder(options.output)
    folder.check()
    parts = whole([read(Path(one)) for one in request.parts])
    if any(one.path.resolve() == options.output.resolve() for one in parts):
        raise OutputError(f"{options.output} is one of the parts", "choose another folder with -o")
    records = Joined(parts)
    allowed = allowed_failures(options.max_failures, len(records))
    described = _described(parts, request, len(records))
    reductions = Reductions.of(_reducers(parts[0].run))
    folder.open(described["identity"], overwrite=options.overwrite)
    try:
        folder.write_run(described)
        observer.planned(len(records), 0)
        first, failed = _taken(records, folder, observer, reductions)
        described |= {
            "status": "finished",
            "images": {"count": len(records), "ok": len(records) - failed, "error": failed},
        }
        described |= reductions.results()
        if answers := _answers(parts):
            described["answers"] = answers
        folder.conclude(described, records.lines(), pages(described, records))
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            "interrupted before all was joined", "run the same command again", interruption
        ) from interruption
    finally:
        folder.close()
    report = folder.as_named / REPORT
    return Outcome(
        report,
        time.monotonic() - clock,
        len(records),
        failed,
        first,
        allowed,
        tuple(reductions.lines()),
        deed="joined",
        answers=answers,
    )


def _reducers(run: Mapping[str, Any]) -> Sequence[type[Reducer]]:
    """Those of the command that made the parts; none of one that is not known here any more."""
    command = run.get("command")
    return image_command(command).reducers if command in names() else ()


def _answers(parts: Sequence[RunPart]) -> dict[str, float]:
    """How many pictures of all parts are right, where that is known; see `runner.answers.Answers`."""
    known = [one.run["answers"] for one in parts if one.run.get("answers")]
    sums = {name: sum(one[name] for one in known) for name in ("right", "labelled")}
    return {**known[0], **sums} if known else {}


def _taken(
    records: Joined, folder: Folder, observer: Observer, reductions: Reductions
) -> tuple[Record | None, int]:
    """Take over the files of all records; the first that failed, and how many did."""
    first, failed = None, 0
    owners: dict[str, RunPart] = {}
    for index, record in enumerate(records):
        part = records.part(index)
        for name in part.files(record):
            other = owners.setdefault(name, part)
            if other is not part:
                raise OutputError(
                    f"{other.path} and {part.path} both have a {name}",
                    "explain the pictures in one run, or in shards of one run, which share out the names",
                )
            folder.take(name, part.file(name))
        if record["status"] == "error":
            first, failed = first or record, failed + 1
        reductions.update(record)
        observer.recorded(record)
    return first, failed


def _described(parts: Sequence[RunPart], request: MergeRequest, images: int) -> dict[str, Any]:
    """The run.json of the whole, as far as it is known before the first record."""
    first = parts[0].run
    identity = {name: value for name, value in first["identity"].items() if name != "shard"}
    if parts[0].shard is None:
        listing = "\0".join(str(one.run["identity"].get("images")) for one in parts)
        identity["images"] = (
            f"{images} of {len(parts)} runs (fingerprint {sha256(listing.encode()).hexdigest()[:8]})"
        )
    work: Counter[str] = Counter()
    for one in parts:
        work.update(one.run.get("work", {}))  # as long as one after another would have taken
    work.pop("processors", None)
    return {
        **{name: first[name] for name in SHARED if name in first},
        "status": "running",
        "arguments": request.arguments,
        "parts": [str(one.run.get("arguments", "")) for one in parts],
        "images": {"count": images},
        "seconds": round(sum(one.run.get("seconds", 0) for one in parts), 3),
        "work": {stage: round(seconds, 3) for stage, seconds in work.items()},
        "identity": identity,
    }
