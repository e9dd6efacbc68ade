"""Joins what several runs made of parts of the pictures into one folder with one report. Needs no torch."""

from __future__ import annotations

import json
import re
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

from cnnexplain.core.words import listed
from cnnexplain.errors import InterruptedRunError, OutputError, first_line
from cnnexplain.report.card import card
from cnnexplain.report.pages import pages
from cnnexplain.report.record import line, silent_in_all
from cnnexplain.runner.folder import REPORT, RUN, Folder, difference, written_by_us
from cnnexplain.runner.journal import RECORDS, Journal, Record
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.request import MergeRequest, Observer, Outcome

OWN = ("shard", "images")  # what parts of one whole may differ in
FEW = 5  # in a message
UNSOUND = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
KINDS: dict[str, type] = {"work": dict, "model": dict, "options": dict, "versions": dict, "choices": list}


@dataclass(frozen=True, eq=False)
class Part:
    """A finished run: its folder, its run.json, and where each of its records stands."""

    path: Path
    run: Mapping[str, Any]
    journal: Journal
    places: array[int]

    @property
    def shard(self) -> tuple[int, int] | None:
        """Which of how many parts it is, where it was made as one."""
        if self.run.get("shard") is None:
            return None
        number, of = str(self.run["shard"]).split("/")
        return int(number), int(of)


class Joined(Sequence[Record]):
    """The records of all parts in the order of the whole, read one by one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """`parts` in their order; those of a shard in turn, each giving one."""
        self._parts = parts
        if parts[0].shard is None:
            order = [(which, row) for which, one in enumerate(parts) for row in range(len(one.places))]
        else:
            longest = max(len(one.places) for one in parts)
            order = [
                (which, row)
                for row in range(longest)
                for which, one in enumerate(parts)
                if row < len(one.places)
            ]
        self._which = array("l", (which for which, _ in order))
        self._row = array("q", (row for _, row in order))

    def part(self, index: int) -> Part:
        """The part that a record is from."""
        return self._parts[self._which[index]]

    def line(self, index: int) -> str:
        """A record as it stands in results.jsonl."""
        part = self.part(index)
        return part.journal.line(part.places[self._row[index]])

    def __len__(self) -> int:
        return len(self._row)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        found: Record = json.loads(self.line(index))
        return found


def merge(request: MergeRequest, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when the parts are no whole, or when it was interrupted."""
    started = time.time()
    options = request.options
    folder = Folder(options.output)
    folder.check()
    parts = _whole([_part(Path(one)) for one in request.parts])
    if twice := [path for path, times in Counter(one.path.resolve() for one in parts).items() if times > 1]:
        raise OutputError(f"{twice[0]} is named twice", "name each folder once")
    if any(one.path.resolve() == options.output.resolve() for one in parts):
        raise OutputError(f"{options.output} is one of the parts", "choose another folder with -o")
    records = Joined(parts)
    allowed = allowed_failures(options.max_failures, len(records))
    described = _described(parts, request, len(records))
    folder.open(described["identity"], overwrite=options.overwrite)
    try:
        folder.write_run(described)
        observer.planned(len(records), 0)
        first, failed = None, 0
        owners: dict[str, int] = {}
        for index, record in enumerate(records):
            part = records.part(index)
            _require_sound(record, part)
            for name in _files(record):
                other = parts[owners.setdefault(name, parts.index(part))]
                if other is not part:
                    raise OutputError(
                        f"{other.path} and {part.path} both have a {name}",
                        "explain the pictures in one run, or in shards of one run, which share out the names",
                    )
                folder.take(name, _found(part, name))
            if record["status"] == "error":
                first, failed = first or record, failed + 1
            observer.recorded(record)
        described |= {
            "status": "finished",
            "images": {"count": len(records), "ok": len(records) - failed, "error": failed},
        }
        if silent := silent_in_all(records):
            described["silent_channels"] = silent
        lines = (line(one) for one in records)
        folder.conclude(described, lines, pages(described, records))
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            "interrupted before all was joined", "run the same command again", interruption
        ) from interruption
    finally:
        folder.close()
    report = folder.path / REPORT
    return Outcome(report, time.time() - started, len(records), failed, first, allowed, silent, what="joined")


def _part(path: Path) -> Part:
    """A finished run of explaining pictures. Raises `OutputError` where a folder holds none."""
    try:
        run = json.loads((path / RUN).read_text("utf-8"))
        identity, images = dict(run["identity"]), dict(run["images"])
        sound: bool = "cnnexplain" in run and all(type(images[one]) is int for one in ("ok", "error"))
        sound = sound and (
            run.get("shard") is None or re.fullmatch(r"[1-9]\d{0,5}/[1-9]\d{0,5}", run["shard"]) is not None
        )
        sound = sound and all(isinstance(run.get(name, kind()), kind) for name, kind in KINDS.items())
        sound = sound and all(
            isinstance(one, int | float) for one in (run["seconds"], *run.get("work", {}).values())
        )
        status = str(run["status"])
    except FileNotFoundError as error:
        problem = f"there is no run in {path}" if path.is_dir() else f"there is no folder {path}"
        raise OutputError(problem, "name folders that were given with -o") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OutputError(
            f"{path} holds no run over pictures: {first_line(error)}", "name folders that were given with -o"
        ) from error
    if not sound or not identity:
        raise OutputError(f"{path} holds no run over pictures", "name folders that were given with -o")
    if status != "finished":
        raise OutputError(
            f"{path} holds a run that is not finished", f"finish it first: {run.get('arguments', '')}"
        )
    journal = Journal(path)
    places = array("q", (place for place, _ in journal.places()))
    if len(places) != images["ok"] + images["error"]:
        raise OutputError(
            f"{path} has {len(places)} records of {images['ok'] + images['error']} images",
            f"run it again: {run.get('arguments', '')}",
        )
    return Part(path, run, journal, places)


def _whole(parts: list[Part]) -> list[Part]:
    """The parts in order. Raises `OutputError` where they do not belong together, or one is missing."""
    first = parts[0]
    for other in parts[1:]:
        if what := difference(_shared(first), _shared(other)):
            raise OutputError(
                f"{first.path} and {other.path} are not parts of one run: {what}",
                "join parts of one run only",
            )
    shards = [one.shard for one in parts]
    if not any(shards):
        return parts
    counts = {shard[1] if shard else 0 for shard in shards}
    numbers = sorted(shard[0] for shard in shards if shard)
    if len(counts) > 1 or 0 in counts:
        raise OutputError(
            "the parts are not of the same division", "name the folders of all shards of one run"
        )
    (of,) = counts
    if twice := [number for number, times in Counter(numbers).items() if times > 1]:
        raise OutputError(f"part {twice[0]}/{of} is named twice", "name each folder once")
    if missing := sorted({*range(1, of + 1)} - {*numbers}):
        more = f" and {len(missing) - FEW} more" if len(missing) > FEW else ""
        raise OutputError(
            f"of {of} parts {listed([f'{one}/{of}' for one in missing[:FEW]])}{more} are not there",
            "name the folders of all shards",
        )
    if what := difference(*({"images": one.run["identity"].get("images")} for one in (parts[0], parts[-1]))):
        raise OutputError(
            f"the parts are of different pictures: {what}", "explain the same list in every part"
        )
    return sorted(parts, key=lambda one: one.shard or (0, 0))


def _shared(part: Part) -> dict[str, Any]:
    """What all parts of one run have in common."""
    return {name: value for name, value in part.run["identity"].items() if name not in OWN}


def _described(parts: Sequence[Part], request: MergeRequest, images: int) -> dict[str, Any]:
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
        work.update(one.run.get("work") or {})  # as long as one after another would have taken
    return {
        **{name: value for name, value in first.items() if name not in ("shard", "silent_channels")},
        "status": "running",
        "arguments": request.arguments,
        "parts": [str(one.run.get("arguments", "")) for one in parts],
        "images": {"count": images},
        "seconds": round(sum(one.run.get("seconds") or 0 for one in parts), 3),
        "work": {stage: round(seconds, 3) for stage, seconds in work.items()},
        "identity": identity,
    }


def _require_sound(record: Record, part: Part) -> None:
    """Raise `OutputError` for a record that was not written like this."""
    try:
        line(record)
        card(record, 1)
        names = [*(one["picture"] for one in record["explanations"]), record.get("overview")]
        if record["status"] not in ("ok", "error") or not all(isinstance(one, str | None) for one in names):
            raise ValueError("no record of an image")
    except UNSOUND as error:
        raise OutputError(
            f"a record in {part.path / RECORDS} is not as it was written: {first_line(error)}",
            f"run it again: {part.run.get('arguments', '')}",
        ) from error


def _files(record: Record) -> list[str]:
    """The pictures and raw values of a record, each once."""
    found = [one.get(kind) for one in record["explanations"] for kind in ("picture", "raw")]
    return [str(name) for name in dict.fromkeys((*found, record.get("overview"))) if name]


def _found(part: Part, name: str) -> Path:
    """A file of a part. Raises `OutputError` where it is not there, or not one that this program wrote."""
    path = part.path / name
    inside = part.path.resolve() in path.resolve().parents
    if not inside or path.is_symlink() or not written_by_us(path):
        raise OutputError(
            f"{path} is not there, or is not from cnnexplain",
            f"run it again: {part.run.get('arguments', '')}",
        )
    return path
