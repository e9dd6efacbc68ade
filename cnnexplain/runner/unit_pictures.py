"""The pictures that are shown for units: each decoded again, its patches cut out and projected back."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__
from cnnexplain.core.explanation import Batch
from cnnexplain.core.records import readable
from cnnexplain.errors import CnnexplainError, first_line
from cnnexplain.images.decode import read
from cnnexplain.render.kit.patches import SIDE, patch_tile, projected_tile, sheet, thumbnail
from cnnexplain.runner.explain import prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from cnnexplain.commands.units import UnitAtlas
    from cnnexplain.core.results.unit import Reconstruction
    from cnnexplain.core.shown import Shown, UnitFacts
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.streams import Streams
    from cnnexplain.images.decoded import DecodeOptions
    from cnnexplain.runner.output.write import Job

EMPTY = np.uint8(128)  # grey, where there is no tile
QUALITY = 75  # of the sheets, as JPEG has it


@dataclass(frozen=True, eq=False)
class Wanted:
    """A picture, and the tiles that are to be made of it."""

    job: Job
    tiles: Sequence[tuple[int, int, Shown]]  # the unit's row, the tile's column, and what is shown there


@dataclass(frozen=True, eq=False)
class Made:
    """What was made of a picture, in the order in which it was wanted; or why nothing was."""

    wanted: Wanted
    entries: Sequence[dict[str, Any]] = ()
    patches: Sequence[NDArray[np.uint8]] = ()
    projections: Sequence[NDArray[np.uint8] | None] = ()
    small: Image.Image | None = None
    problem: str = ""


class TileFile:
    """The tiles of many units, in a file without a name until their sheets are drawn: memory does not hold them."""

    def __init__(self, units: int, columns: int, rows: int) -> None:
        """Make room for `rows` rows of `columns` tiles of each unit."""
        self._there = np.zeros((units, rows, columns), bool)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the tiles
        self._tiles = np.memmap(self._file, np.uint8, "w+", shape=(units, rows, columns, SIDE, SIDE, 3))

    def put(self, unit: int, row: int, column: int, tile: NDArray[np.uint8]) -> None:
        """Keep a tile."""
        self._tiles[unit, row, column] = tile
        self._there[unit, row, column] = True

    def sheet(self, unit: int, columns: int) -> Image.Image:
        """The sheet of a unit; where nothing was put it is grey."""
        tiles = np.where(
            self._there[unit, :, :columns, None, None, None], self._tiles[unit, :, :columns], EMPTY
        )
        return sheet(list(tiles))

    def close(self) -> None:
        """Give the room back."""
        del self._tiles
        self._file.close()


def made_of(
    model: Model,
    method: UnitAtlas,
    layer: str,
    units: Sequence[UnitFacts],
    jobs: Sequence[Job],
    options: DecodeOptions,
    streams: Streams,
) -> Generator[Made, None, None]:
    """What is shown for the units of a layer, picture by picture in the order of the pictures.

    Args:
        model: Is borrowed.
        method: The bound command.
        layer: Whose units are shown.
        units: What is shown for each.
        jobs: Those of all pictures.
        options: How the pictures were decoded when they were scanned.
        streams: Are settled.
    """
    by_position: dict[int, list[tuple[int, int, Shown]]] = {}
    for row, unit in enumerate(units):
        for column, shown in enumerate(unit.shown):
            by_position.setdefault(shown.position, []).append((row, column, shown))
    every = [Wanted(jobs[position], tiles) for position, tiles in sorted(by_position.items())]

    def of_picture(model: Model, wanted: Wanted, _threads: int) -> Made:
        return _made(model, method, layer, wanted, options)

    return streams.answers(model, of_picture, every)


def _made(model: Model, method: UnitAtlas, layer: str, wanted: Wanted, options: DecodeOptions) -> Made:
    try:
        decoded = read(wanted.job.source.file, options)
        picture = prepared(wanted.job.source.path, decoded, model.preprocess)
    except Exception as error:  # noqa: BLE001 - whatever a picture causes is said where it would be shown
        problem = error.problem if isinstance(error, CnnexplainError) else first_line(error)
        return Made(wanted, problem=readable(problem))
    batch = Batch(model.inputs([picture.pixels]), (picture.picture,), (picture.geometry,))
    projects = method.rule != "none"
    asked = [(shown.channel, shown.cell, projects and shown.group == "top") for _, _, shown in wanted.tiles]
    tiles: dict[int, tuple[dict[str, Any], NDArray[np.uint8], NDArray[np.uint8] | None]] = {}
    for place, unit in method.projected(model, batch, layer, asked):
        entry = _entry(unit)
        patch = patch_tile(picture.picture, picture.geometry.picture_size, entry["box"])
        tiles[place] = entry, patch, projected_tile(unit, entry["box"]) if asked[place][2] else None
    entries, patches, projections = zip(*(tiles[place] for place in range(len(asked))), strict=True)
    return Made(wanted, entries, patches, projections, thumbnail(picture.picture))


def save_jpeg(picture: Image.Image, file: IO[bytes]) -> None:
    """Write a JPEG file that carries the mark of this program."""
    picture.save(file, "JPEG", quality=QUALITY, comment=f"cnnexplain {__version__}".encode())


def _entry(unit: Reconstruction) -> dict[str, Any]:
    """Where a unit is in a picture, and what it sees of it, in the original's pixels."""
    recorded = unit.record()["unit"]
    place = {"cell": recorded["cell"], "at": recorded["at"], "box": recorded["sees"]}
    return {**place, "size": list(unit.geometry.picture_size)}
