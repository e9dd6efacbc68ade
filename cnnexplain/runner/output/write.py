"""Drawing an explained picture, writing its files into OUT, and making its record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain import __version__
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.records import is_listed, kind_of, readable
from cnnexplain.core.results import Result
from cnnexplain.errors import CnnexplainError, DeadlyImageError
from cnnexplain.images.find import ImagePath
from cnnexplain.render import Picture, is_drawn, pictures
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.spots import spots_of
from cnnexplain.report.pages import record
from cnnexplain.report.pages.answers import answer_fields
from cnnexplain.report.pages.card import UNSOUND, require_sound
from cnnexplain.report.pages.digest import sealed
from cnnexplain.runner.output.files import Files, written_by_us
from cnnexplain.runner.output.names import result_names
from cnnexplain.runner.output.numbers import numbers_of
from cnnexplain.runner.output.png import write_png


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to explain, its place among those of the run, and what its files will be called."""

    position: int
    source: ImagePath
    stem: str
    expected: int | None = None  # the class that the picture should be
    file: Mapping[str, int] | None = None  # what the file was when it was opened; see `file_facts`
    place: int = 0  # among those of the whole run, of which this one may be a part

    @property
    def image(self) -> str:
        """The picture's path as records give it."""
        return readable(self.source.path)


@dataclass(frozen=True)
class Explained:
    """A job with its explanation, or the error that it failed with."""

    job: Job
    outcome: Explanation | Exception
    suspected: bool = False  # whether that it failed may be due to the model or to us, and not to the picture


@dataclass(frozen=True)
class Writer:
    """Draws and writes the pictures of a run. Called from several threads."""

    folder: Files | None  # None where only records are wanted
    command: str
    model: str
    named: frozenset[str]
    render: RenderOptions
    save_raw: bool
    draws: bool = True
    labels: Sequence[str] = ()  # of the model's classes
    only: str | None = None  # which pictures are drawn; see `is_listed`

    def write(self, result: Explained) -> dict[str, Any]:
        """Write all files of one picture and return its record."""
        job, outcome = result.job, result.outcome
        answer = answer_fields(
            outcome.predictions if isinstance(outcome, Explanation) else (), job.expected, self.labels
        )
        if isinstance(outcome, Explanation):
            listed = is_listed({"status": "ok", **answer}, self.only)
            try:
                files, others = self._files(job, outcome, written=listed)
                made = record.explained(outcome, self.command, self.model, files, others)
            except Exception as error:
                if isinstance(error, CnnexplainError) and error.stops_run:
                    raise
                made = record.failed(job.source.path, error, self.command, self.model)
                answer.pop("right", None)
        else:
            made = record.failed(job.source.path, outcome, self.command, self.model)
        return sealed({**made, **answer, "file": job.file or file_facts(job.source.file)})

    def still_there(self, job: Job, done: Mapping[str, Any]) -> bool:
        """Whether an earlier run's record still holds: whole, well, its files there, the picture the same.

        That a picture is deadly holds as well: whoever tries again dies again.
        """
        try:
            require_sound(done)
            listed = is_listed(done, self.only)
            entries = done["explanations"]
            files = {entry["raw"] for entry in entries if "raw" in entry}
            if self.draws and listed:
                drawn = (entry for entry in entries if entry.get("picture") or is_drawn(kind_of(entry)))
                files |= {entry["picture"] for entry in drawn}
            files |= {done[name] for name in ("overview", "numbers") if name in done} | {
                *done.get("drawings", ())
            }
            return (
                (done["status"] == "ok" or done["error"]["type"] == DeadlyImageError.__name__)
                and done["file"] == file_facts(job.source.file)
                and all(name.startswith(f"{job.stem}.{self.command}.") for name in files)
                and self.folder is not None
                and all(written_by_us(self.folder.path / name) for name in files)
            )
        except (*UNSOUND, OSError):
            return False  # somebody edited it; the picture is explained again

    def _files(
        self, job: Job, explanation: Explanation, *, written: bool
    ) -> tuple[Sequence[record.Files], Mapping[str, Any]]:
        """Draw and write everything, or nothing: the files of each result in their order, and others by their keys."""
        folder, results = self.folder, explanation.results
        if folder is None or not written:
            return [(None, None)] * len(results), {}
        names = dict(
            zip(map(id, results), result_names(job.stem, self.command, results, self.named), strict=True)
        )
        files: dict[int, record.Files] = {}
        overview, drawings, words = None, [], dict[str, list[str]]()
        sheets: dict[str, Mapping[str, Any]] = {}
        for picture in pictures(explanation, self.render):
            groups = _by_name(picture.shows, names)
            name = next(iter(groups)) if len(groups) == 1 else f"{job.stem}.{self.command}"
            drawn = f"{name}.png" if self.draws else None
            if drawn is not None:
                folder.write(drawn, partial(save_png, picture.image, dpi=self.render.dpi))
                drawings += with_text(folder, picture, name, self.render)
                words |= words_of(drawn, picture)
                sheets |= sheet_spots(drawn, picture.image)
            if not picture.shows:
                overview = drawn
            files |= self._raw(folder, explanation, groups, drawn)
        not_drawn = [result for result in results if id(result) not in files]  # of kinds without pictures
        files |= self._raw(folder, explanation, _by_name(not_drawn, names), None)
        numbers = self._numbers(folder, job, explanation, sheets)
        others = {
            "overview": overview,
            "numbers": numbers,
            "drawings": drawings or None,
            "words": words or None,
        }
        return [files[id(result)] for result in results], others

    def _numbers(
        self, folder: Files, job: Job, explanation: Explanation, sheets: Mapping[str, Any]
    ) -> str | None:
        """Write the values of the maps that lie on the picture, and the spots of sheets, for the report's pages.

        A page lays them on the photograph as it is on a card, which plain figures do not show.
        """
        shown = self.draws and not self.render.plain
        content = numbers_of(explanation, self.render, sheets) if shown else None
        if content is None:
            return None
        name = f"{job.stem}.{self.command}.numbers.css"
        folder.write(name, lambda file: file.write(content))
        return name

    def _raw(
        self, folder: Files, explanation: Explanation, groups: Mapping[str, list[Result]], drawn: str | None
    ) -> dict[int, record.Files]:
        """Write the values of results by name, where they are wanted; the files of each, by its identity."""
        files: dict[int, record.Files] = {}
        for name, results in groups.items():
            arrays = results[0].arrays_of(results) if self.save_raw else {}
            raw = f"{name}.npz" if arrays else None
            if raw is not None:
                folder.write(raw, partial(_save_raw, explanation, results[0], arrays))
            files |= {id(result): (drawn, raw) for result in results}
        return files


def _by_name(results: Sequence[Result], names: Mapping[int, str]) -> dict[str, list[Result]]:
    """What one picture shows together is saved together, but layers, whose maps differ in size, are not."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(names[id(result)], []).append(result)
    return groups


def sheet_spots(path: str, picture: Image.Image) -> dict[str, Mapping[str, Any]]:
    """The spots of a sheet by the name of its file; nothing where it has none."""
    spots = spots_of(picture)
    return {path.rpartition("/")[2]: spots} if spots else {}


def save_png(picture: Image.Image, file: IO[bytes], dpi: int | None = None) -> None:
    """Write a PNG file that carries the mark of this program, and how many pixels an inch of paper has."""
    write_png(picture, file, f"cnnexplain {__version__}", dpi)


def words_of(path: str, picture: Picture) -> dict[str, list[str]]:
    """The words of a picture for its record, by its path; nothing where it has none."""
    lines = [readable(line) for line in dict.fromkeys(picture.words) if line.strip()]
    return {path: lines} if lines else {}


def with_text(folder: Files, picture: Picture, name: str, options: RenderOptions) -> list[str]:
    """Write a picture as a file with real text besides, where the options ask for one; the names of such files."""
    if options.ending is None:
        return []
    written = f"{name}.{options.ending}"
    content = getattr(picture, options.ending)(f"cnnexplain {__version__}", options.dpi)
    folder.write(written, lambda file: file.write(content))
    return [written]


def _save_raw(
    explanation: Explanation, first: Result, arrays: Mapping[str, NDArray[Any]], file: IO[bytes]
) -> None:
    """The arrays of results, with the box that they cover in the original's pixels.

    And what is needed to use them without the record: the input's pixels and the layer. docs/pictures.md lists the
    keys and their shapes.
    """
    geometry = getattr(first, "geometry", explanation.geometry)
    about = {"box": np.array(geometry.box), "layer": np.array(readable(first.layer))}
    if explanation.pixels is not None:
        about["picture"] = explanation.pixels
    save_arrays({**arrays, **about}, file)


def save_arrays(arrays: Mapping[str, NDArray[Any]], file: IO[bytes]) -> None:
    """Write an .npz file that carries the mark of this program."""
    marked: dict[str, Any] = {
        "cnnexplain": __version__,
        **arrays,
    }  # the mark goes first, where it is looked for
    np.savez(file, **marked)


def file_facts(path: str) -> dict[str, int] | None:
    """A file's size and time of change, which tell a later run that it is the same; None where it cannot be read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}
