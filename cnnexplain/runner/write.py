"""One explained picture on its way into OUT: drawn, written, recorded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain import __version__
from cnnexplain.core.explanation import Explanation, Heatmap, Reconstruction
from cnnexplain.core.feature_maps import FeatureMaps
from cnnexplain.core.kinds import is_listed
from cnnexplain.errors import CnnexplainError, DeadlyImageError, OutputError
from cnnexplain.images.find import Source
from cnnexplain.render.options import RenderOptions
from cnnexplain.render.pictures import pictures
from cnnexplain.report import record
from cnnexplain.report.answers import judged as judged_by
from cnnexplain.report.card import UNSOUND, require_sound
from cnnexplain.report.digest import sealed
from cnnexplain.runner.folder import UMASK, Folder, written_by_us
from cnnexplain.runner.names import picture_names, sheet_names
from cnnexplain.runner.png import write_png


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to explain, its place among those of the run, and what its files will be called."""

    position: int
    source: Source
    stem: str
    expected: int | None = None  # the class that the picture should be
    file: Mapping[str, int] | None = None  # what the file was when it was opened; see `file_facts`

    @property
    def image(self) -> str:
        """The picture's path as records give it."""
        return record.readable(self.source.path)


@dataclass(frozen=True)
class Result:
    """What became of a job."""

    job: Job
    found: Explanation | Exception
    suspected: bool = False  # whether that it failed may be due to the model or to us, and not to the picture


@dataclass(frozen=True)
class Writer:
    """Draws and writes the pictures of a run. Called from several threads."""

    folder: Folder | None  # None where only records are wanted
    command: str
    model: str
    asked: frozenset[str]
    render: RenderOptions
    save_raw: bool
    draws: bool = True
    labels: Sequence[str] = ()  # of the model's classes
    only: str | None = None  # which pictures are drawn; see `is_listed`

    def write(self, result: Result) -> dict[str, Any]:
        """Write all files of one picture and return its record."""
        job, found = result.job, result.found
        judged = judged_by(
            found.predictions if isinstance(found, Explanation) else (), job.expected, self.labels
        )
        if isinstance(found, Explanation):
            listed = is_listed({"status": "ok", **judged}, self.only)
            try:
                made = record.explained(
                    found, self.command, self.model, *self._files(job, found, written=listed)
                )
            except Exception as error:
                if isinstance(error, CnnexplainError) and error.stops_run:
                    raise
                made = record.failed(job.source.path, error, self.command, self.model)
                judged.pop("right", None)
        else:
            made = record.failed(job.source.path, found, self.command, self.model)
        return sealed({**made, **judged, "file": job.file or file_facts(job.source.file)})

    def still_there(self, job: Job, done: Mapping[str, Any]) -> bool:
        """Whether an earlier run's record still holds: whole, well, its files there, the picture the same.

        That a picture is deadly holds as well: whoever tries again dies again.
        """
        try:
            require_sound(done)
            listed = is_listed(done, self.only)
            files = {one["picture"] for one in done["explanations"]} if self.draws and listed else set()
            files |= {one["raw"] for one in done["explanations"] if "raw" in one}
            files |= {done["overview"]} if "overview" in done else set()
            return (
                (done["status"] == "ok" or done["error"]["type"] == DeadlyImageError.__name__)
                and done["file"] == file_facts(job.source.file)
                and all(name.startswith(f"{job.stem}.{self.command}.") for name in files)
                and self.folder is not None
                and all(written_by_us(self.folder.path / name) for name in files)
            )
        except (*UNSOUND, OSError):
            return False  # somebody edited it; the picture is explained again

    def _files(self, job: Job, explanation: Explanation, *, written: bool) -> tuple[record.Files, str | None]:
        """Draw and write everything, or nothing; tell where each finding went, and the overview."""
        folder = self.folder
        if folder is None or not written:
            every: tuple[record.Finding, ...] = (
                *explanation.heatmaps,
                *explanation.reconstructions,
                *explanation.feature_maps,
            )
            return dict.fromkeys(every, (None, None)), None
        maps = picture_names(job.stem, self.command, explanation.heatmaps, self.asked)
        layers = [one.layer for one in explanation.reconstructions]
        layers += [one.layer for one in explanation.feature_maps]
        sheets = sheet_names(job.stem, self.command, layers, self.asked)
        of_map = dict(zip(explanation.heatmaps, maps, strict=True))
        files: dict[record.Finding, tuple[str | None, str | None]] = {}
        overview = None
        for picture in pictures(explanation, self.render):
            name = f"{job.stem}.{self.command}"
            # What one picture shows together is saved together, but layers, whose maps differ in size, are not.
            groups: dict[str, list[record.Finding]] = {}
            for one in picture.shows:
                stem = of_map[one] if isinstance(one, Heatmap) else sheets[one.layer]
                groups.setdefault(stem, []).append(one)
            if len(groups) == 1:
                (name,) = groups
            drawn = f"{name}.png" if self.draws else None
            if drawn is not None:
                folder.write(drawn, partial(save_png, picture.image))
            if not picture.shows:
                overview = drawn
            for stem, shown in groups.items():
                raw = f"{stem}.npz" if self.save_raw else None
                if raw is not None:
                    folder.write(raw, partial(_save_raw, explanation, shown))
                files.update(dict.fromkeys(shown, (drawn, raw)))
        return files, overview


def save_png(picture: Image.Image, file: IO[bytes]) -> None:
    """Write a picture that tells where it is from."""
    write_png(picture, file, f"cnnexplain {__version__}")


def write_file(path: Path, content: bytes, flag: str) -> None:
    """Write a single file that an option, `flag`, names: whole or not at all, and over none that is not ours."""
    if os.path.lexists(path) and not written_by_us(path):
        raise OutputError(
            f"{path} is there already and is not from cnnexplain", f"choose another file with {flag}"
        )
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".cnnexplain-", delete=False) as file:
            part = Path(file.name)
            file.write(content)
        part.chmod(0o666 & ~UMASK)
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}", f"choose another file with {flag}"
        ) from error


def _save_raw(explanation: Explanation, shown: Sequence[record.Finding], file: IO[bytes]) -> None:
    """A map, a sheet or a layer as arrays, with the box that they cover in the original's pixels.

    And what is needed to use them without the record: the input's pixels, the layer, of a map also its class.
    docs/pictures.md lists the keys and their shapes.
    """
    first = shown[0]
    units = [one for one in shown if isinstance(one, Reconstruction)]
    arrays: dict[str, NDArray[Any]] = _sheet(units) if units else {"values": first.values}
    if isinstance(first, FeatureMaps):
        arrays = {"values": first.values[np.argsort(first.channels)]}  # in the order of the channels
    if isinstance(first, Heatmap):
        arrays = _heatmap(first)
    arrays |= {"box": np.array(first.geometry.box), "layer": np.array(record.readable(first.layer))}
    if explanation.pixels is not None:
        arrays["picture"] = explanation.pixels
    save_arrays(arrays, file)


def _heatmap(heatmap: Heatmap) -> dict[str, NDArray[Any]]:
    """A map with the sign of every channel where it has channels, as it is drawn, and what it is of."""
    values = {"values": heatmap.values}
    if heatmap.channels is not None:
        values = {"values": heatmap.channels, "map": heatmap.values}
    return {
        **values,
        "method": np.array(heatmap.method),
        "class": np.array(heatmap.target.index, np.int64),
        "label": np.array(record.readable(heatmap.target.label)),
        "probability": np.array(heatmap.target.probability, np.float64),
        "logit": np.array(heatmap.target.logit, np.float64),
        "of_class": np.array(heatmap.of_class),
    }


def save_arrays(arrays: Mapping[str, NDArray[Any]], file: IO[bytes]) -> None:
    """Write an .npz file that tells where it is from."""
    marked: dict[str, Any] = {
        "cnnexplain": __version__,
        **arrays,
    }  # the mark goes first, where it is looked for
    np.savez(file, **marked)


def _sheet(units: Sequence[Reconstruction]) -> dict[str, NDArray[Any]]:
    """Every unit's values on the whole input, and which unit it is."""
    values = np.zeros((len(units), len(units[0].values), *units[0].input_size), np.float32)
    for place, unit in zip(values, units, strict=True):
        left, top, right, bottom = unit.sees
        place[:, top:bottom, left:right] = unit.values
    return {
        "values": values,
        "rules": np.array([unit.rule for unit in units]),
        "channels": np.array([unit.channel for unit in units], np.int64),
        "cells": np.array([unit.cell or (-1, -1) for unit in units], np.int64),
        "activations": np.array([unit.activation for unit in units], np.float32),
        "sees": np.array([unit.sees for unit in units], np.int64),
    }


def file_facts(path: str) -> dict[str, int] | None:
    """What tells that a file is still the one that was explained."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}
