"""Reads finished runs that are to be merged, and checks that they are parts of the same run. Needs no torch."""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnexplain.core.words import listed
from cnnexplain.errors import OutputError, first_line
from cnnexplain.report.pages.card import UNSOUND, require_sound
from cnnexplain.report.pages.digest import is_unchanged
from cnnexplain.report.pages.page import page
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import RUN, difference
from cnnexplain.runner.output.journal import RECORDS, SCANS, Journal, Record

OWN = ("shard", "images")  # what parts of one whole may differ in
FEW = 5  # in a message
SHARD = re.compile(r"[1-9]\d{0,5}/[1-9]\d{0,5}")
HINT = "name folders that were given with -o"
# What the whole relies on of a part's run.json: what there must be, and what there may be.
NEEDED = {"cnnexplain": str, "status": str, "identity": dict, "images": dict}
POSSIBLE = {"work": dict, "model": dict, "options": dict, "versions": dict, "choices": list}


@dataclass(frozen=True, eq=False)
class RunPart:
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
        number, of = self.run["shard"].split("/")
        return int(number), int(of)

    def file(self, name: str) -> Path:
        """One of its pictures or raw values. Raises `OutputError` where there is none that this program wrote."""
        path = self.path / name
        inside = self.path.resolve() in path.resolve().parents
        if not inside or path.is_symlink() or not written_by_us(path):
            raise self.broken(f"{path} is not there, or is not from cnnexplain")
        return path

    def files(self, record: Record) -> list[str]:
        """The names of a record's pictures and raw values, each once. Raises `OutputError` for no record of ours."""
        try:
            require_sound(record)
            if not is_unchanged(record):
                raise ValueError(f"that of {record['image']} was edited")
            names = [entry.get(kind) for entry in record["explanations"] for kind in ("picture", "raw")]
            names += [record.get("overview"), record.get("numbers")]
            readable = [name.encode() for name in names if name is not None]
        except UNSOUND as error:
            problem = (
                f"a record in {self.path / self.journal.name} is not as it was written: {first_line(error)}"
            )
            raise self.broken(problem) from error
        return [name.decode() for name in dict.fromkeys(readable) if name]

    def broken(self, problem: str) -> OutputError:
        """The error for a part whose files are not as its run left them."""
        return OutputError(problem, f"run it again: {self.run.get('arguments', '')}")


def read(path: Path) -> RunPart:
    """A finished run of explaining pictures. Raises `OutputError` where a folder holds none."""
    if not (path / RUN).is_file():  # a pipe would keep us waiting
        raise OutputError(f"there is no {'run in' if path.is_dir() else 'folder'} {path}", HINT)
    try:
        run = json.loads((path / RUN).read_text("utf-8"), parse_constant=_no_number)
        sound = _is_over_pictures(run)
        if sound:
            page(run, ())  # as the report of the whole will show it
    except (*UNSOUND, OSError) as error:
        raise OutputError(f"{path} holds no run over pictures: {first_line(error)}", HINT) from error
    if not sound:
        raise OutputError(f"{path} holds no run over pictures", HINT)
    if run["status"] != "finished":
        raise OutputError(
            f"{path} holds a run that is not finished", f"finish it first: {run.get('arguments', '')}"
        )
    journal = Journal(path, SCANS if (path / SCANS).is_file() else RECORDS)
    part = RunPart(path, run, journal, array("q", (place for place, _ in journal.places())))
    images = run["images"]["ok"] + run["images"]["error"]
    if len(part.places) != images:
        raise part.broken(f"{path} has {len(part.places)} records of {images} images")
    return part


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _is_over_pictures(run: Any) -> bool:
    """Whether run.json is as explaining pictures writes it, as far as the whole relies on it."""
    if not isinstance(run, dict) or not all(isinstance(run.get(name), kind) for name, kind in NEEDED.items()):
        return False
    if not run["identity"] or not all(
        isinstance(run.get(name, kind()), kind) for name, kind in POSSIBLE.items()
    ):
        return False
    if run["status"] == "finished" and not all(
        type(run["images"].get(status)) is int for status in ("ok", "error")
    ):
        return False
    words = ("what", "value", "reason")
    if not all(isinstance(choice, dict) and {*words} <= choice.keys() for choice in run.get("choices", [])):
        return False
    shard = run.get("shard")
    if shard is not None and not (isinstance(shard, str) and SHARD.fullmatch(shard)):
        return False
    numbers = (run.get("seconds", 0), *run.get("work", {}).values())
    return all(isinstance(number, int | float) and abs(number) < 1e15 for number in numbers)


def whole(parts: list[RunPart]) -> list[RunPart]:
    """The parts in order. Raises `OutputError` where they do not belong together, or one is missing."""
    places = [part.path.resolve() for part in parts]
    for position, part in enumerate(parts):
        if places[position] in places[:position]:
            raise OutputError(f"{part.path} is named twice", "name each folder once")
    first = parts[0]
    for other in parts[1:]:
        if change := difference(_shared(first), _shared(other)):
            raise OutputError(
                f"{first.path} and {other.path} are not parts of one run: {change}",
                "join parts of one run only",
            )
    shards = [part.shard for part in parts]
    if not any(shards):
        pictures = [part.run["identity"].get("images") for part in parts]
        for position, part in enumerate(parts):
            if pictures[position] in pictures[:position]:
                other = parts[pictures.index(pictures[position])]
                raise OutputError(
                    f"{other.path} and {part.path} are of the same pictures", "leave one of them out"
                )
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
            f"of {of} parts {listed([f'{number}/{of}' for number in missing[:FEW]])}{more} are not there",
            "name the folders of all shards",
        )
    for other in parts[1:]:
        if change := difference(*({"images": part.run["identity"].get("images")} for part in (first, other))):
            raise OutputError(
                f"the parts are of different pictures: {change}", "explain the same list in every part"
            )
    return sorted(parts, key=lambda part: part.shard or (0, 0))


def _shared(part: RunPart) -> dict[str, Any]:
    """The identity that all parts of a run share."""
    return {name: value for name, value in part.run["identity"].items() if name not in OWN}
