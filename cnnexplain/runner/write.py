"""One explained picture on its way into OUT: drawn, written, recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cnnexplain import __version__
from cnnexplain.core.explanation import Explanation, Heatmap
from cnnexplain.errors import CnnexplainError
from cnnexplain.images.find import Source
from cnnexplain.render.heatmap import Easel
from cnnexplain.render.options import RenderOptions
from cnnexplain.report import record
from cnnexplain.report.card import card
from cnnexplain.runner.folder import Folder, written_by_us
from cnnexplain.runner.names import picture_names

# Larger files than zlib's best, but a third of the time; pictures are the slowest part of a long run.
PNG_COMPRESSION = 3


@dataclass(frozen=True)
class Job:
    """One picture to explain, and what its files will be called."""

    source: Source
    stem: str

    @property
    def image(self) -> str:
        """The picture's path as records give it."""
        return record.readable(self.source.path)


@dataclass(frozen=True)
class Result:
    """What became of a job."""

    job: Job
    found: Explanation | Exception


@dataclass(frozen=True)
class Writer:
    """Draws and writes the pictures of a run. Called from several threads."""

    folder: Folder
    command: str
    model: str
    asked: frozenset[str]
    render: RenderOptions
    save_raw: bool

    def write(self, result: Result) -> dict[str, Any]:
        """Write all files of one picture and return its record."""
        job, found = result.job, result.found
        if isinstance(found, Explanation):
            try:
                made = record.explained(found, self.command, self.model, self._files(job, found))
            except Exception as error:
                if isinstance(error, CnnexplainError) and error.stops_run:
                    raise
                made = record.failed(job.source.path, error, self.command, self.model)
        else:
            made = record.failed(job.source.path, found, self.command, self.model)
        return {**made, "file": _file_facts(job.source.path)}

    def still_there(self, job: Job, done: Mapping[str, Any]) -> bool:
        """Whether an earlier run's record still holds: whole, well, its files there, the picture the same."""
        try:
            record.line(done)
            card(done, 1)
            files = [one[kind] for one in done["explanations"] for kind in ("picture", "raw") if kind in one]
            return (
                done["status"] == "ok"
                and done["file"] == _file_facts(job.source.path)
                and all(name.startswith(f"{job.stem}.{self.command}.") for name in files)
                and all(written_by_us(self.folder.path / name) for name in files)
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError):
            return False  # somebody edited it; the picture is explained again

    def _files(self, job: Job, explanation: Explanation) -> list[tuple[str, str | None]]:
        easel = Easel(explanation, self.render)
        names = picture_names(job.stem, self.command, explanation.heatmaps, self.asked)
        files: list[tuple[str, str | None]] = []
        for name, heatmap in zip(names, explanation.heatmaps, strict=True):
            card = easel.card(heatmap)
            self.folder.write(f"{name}.png", lambda file, card=card: _save_png(card, file))  # type: ignore[misc]
            raw = f"{name}.npz" if self.save_raw else None
            if raw is not None:
                self.folder.write(raw, lambda file, heatmap=heatmap: _save_raw(heatmap, file))  # type: ignore[misc]
            files.append((f"{name}.png", raw))
        return files


def _save_png(picture: Image.Image, file: IO[bytes]) -> None:
    marked = PngInfo()
    marked.add_text("Software", f"cnnexplain {__version__}")
    picture.save(file, "PNG", pnginfo=marked, compress_level=PNG_COMPRESSION)


def _save_raw(heatmap: Heatmap, file: IO[bytes]) -> None:
    """The map as `values`, with the box that it covers in the original's pixels (left, top, right, bottom)."""
    np.savez(file, cnnexplain=__version__, values=heatmap.values, box=np.array(heatmap.geometry.box))


def _file_facts(path: str) -> dict[str, int] | None:
    """What tells that a file is still the one that was explained."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}
