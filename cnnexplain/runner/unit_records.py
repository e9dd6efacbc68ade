"""The records of units: what was found of each, with its pictures written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.core.words import count
from cnnexplain.engine.streams import Streams
from cnnexplain.render.kit.patches import SIDE
from cnnexplain.report.pages.digest import sealed
from cnnexplain.report.pages.record import SCHEMA
from cnnexplain.runner.output.names import part_of
from cnnexplain.runner.output.write import save_arrays
from cnnexplain.runner.unit_pictures import Made, TileFile, made_of, save_jpeg

if TYPE_CHECKING:
    from cnnexplain.commands.units import UnitAtlas
    from cnnexplain.core.shown import UnitFacts
    from cnnexplain.engine.model import Model
    from cnnexplain.runner.output.files import Files
    from cnnexplain.runner.output.journal import Records
    from cnnexplain.runner.output.write import Job
    from cnnexplain.runner.request import Observer, Request
    from cnnexplain.runner.workers.worker import Worker

GROUPS = ("top", "median", "random")


class UnitRecords:
    """Makes the records of units out of those of all images, layer by layer."""

    def __init__(
        self,
        request: Request[UnitAtlas],
        folder: Files,
        model: Model,
        worker: Worker,
        jobs: Sequence[Job],
        records: Records,
        observer: Observer,
    ) -> None:
        """Make nothing yet. The model is borrowed while `of` is at work."""
        self._observer = observer
        self._request, self._folder, self._model, self._worker = request, folder, model, worker
        self._jobs, self._records = jobs, records
        self._images = len(records) - records.failed
        self._parts: set[str] = set()  # of layers, in the names of files
        self._thumbs: set[str] = set()
        self._draws = request.run.pictures
        self._raw: str | None = None  # the file with all that was counted of the layer
        self._links: Mapping[str, Callable[[int], Mapping[str, Any]]] = {}

    def of(self, method: UnitAtlas) -> Iterator[dict[str, Any]]:
        """The records of all units: by layer as they were asked for, then by channel."""
        folds = method.folded(self._records, self._model.seed)
        self._links = method.links(self._model)
        for layer in method.layer:
            if (fold := folds.get(layer_name(layer))) is not None:
                self._raw = None
                part = part_of(layer, self._parts)
                if self._request.run.save_raw:
                    self._raw = f"units/{part}.npz"
                    self._folder.write(self._raw, partial(save_arrays, fold.arrays()))
                units = list(method.facts(fold, self._label, self._images, self._model.labels))
                yield from self._of_layer(method, layer, part, fold.shape, units)

    def _of_layer(
        self, method: UnitAtlas, layer: str, part: str, shape: tuple[int, int], units: Sequence[UnitFacts]
    ) -> Iterator[dict[str, Any]]:
        rows = 2 if method.rule != "none" else 1
        columns = max(1, *(len(unit.shown) for unit in units))
        entries: list[dict[int, dict[str, Any]]] = [{} for _ in units]
        kernels = method.kernels(self._model, layer)
        streams = Streams()
        streams.settle(self._model, len(self._jobs))
        made_of_all = made_of(self._model, method, layer, units, self._jobs, self._worker.wanted, streams)
        images = len({shown.position for unit in units for shown in unit.shown})
        self._observer.notice("units", _outlook(layer, units, images, projects=rows > 1))
        with closing(TileFile(len(units), columns, rows)) as tiles:
            with closing(made_of_all):
                for done, made in enumerate(made_of_all, 1):
                    self._take(made, tiles, entries)
                    self._observer.staged(f"showing {layer}", done, images)
            for row, (unit, of_unit) in enumerate(zip(units, entries, strict=True)):
                picture = None
                if self._draws and unit.shown:
                    picture = f"units/{part}/{unit.channel:04d}.jpg"
                    self._folder.write(picture, partial(save_jpeg, tiles.sheet(row, len(unit.shown))))
                record = self._record(layer, shape, unit, of_unit, picture, rows)
                linked = self._links[layer](unit.channel) if layer in self._links else {}
                yield sealed({**record, **kernels.get(unit.channel, {}), **linked})

    def _take(self, made: Made, tiles: TileFile, entries: Sequence[dict[int, dict[str, Any]]]) -> None:
        """Keep the tiles of a picture, and what the records of its units say of it."""
        job = made.wanted.job
        thumb = f"thumbs/{job.stem}.jpg" if self._draws and made.small is not None else None
        if thumb is not None and made.small is not None and thumb not in self._thumbs:
            self._thumbs.add(thumb)
            self._folder.write(thumb, partial(save_jpeg, made.small))
        for place, (unit, column, shown) in enumerate(made.wanted.tiles):
            entry: dict[str, Any] = {
                "image": job.image,
                "activation": number(shown.activation, "an activation"),
            }
            if (label := self._label(job.position)) is not None:
                entry["label"] = label
            if made.problem:
                entry["problem"] = made.problem
            else:
                entry |= {**made.entries[place], "patch": column, "thumb": thumb}
                for row, tile in enumerate((made.patches[place], made.projections[place])):
                    if tile is not None:
                        tiles.put(unit, row, column, tile)
            entries[unit][column] = entry

    def _record(
        self,
        layer: str,
        shape: tuple[int, int],
        unit: UnitFacts,
        entries: dict[int, dict[str, Any]],
        picture: str | None,
        rows: int,
    ) -> dict[str, Any]:
        """The record of a unit, which has the keys of any record besides its own."""
        groups: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
        for column, shown in enumerate(unit.shown):
            groups[shown.group].append({**entries[column], "picture": picture})
        facts = dict(unit.facts)
        facts["neighbours"] = [{"layer": layer_name(layer), **each} for each in facts["neighbours"]]
        return {
            "schema": SCHEMA,
            "image": None,
            "status": "ok",
            "command": self._request.command,
            "model": readable(self._request.reference),
            "size": None,
            "predictions": [],
            "explanations": [],
            "kind": "unit",
            "layer": layer_name(layer),
            "channel": unit.channel,
            "shape": list(shape),
            "images": self._images,
            **groups,
            **facts,
            "synthesised": None,
            "picture": picture,
            **({"raw": self._raw} if self._raw else {}),
            "tiles": {"side": SIDE, "columns": len(unit.shown), "rows": rows} if picture else None,
        }

    def _label(self, position: int) -> str | None:
        """The class that the image at a position should be, where that is known."""
        if self._request.answers.labels_from is None:
            return None
        expected = (self._records.at(position) or {}).get("expected")
        return None if expected is None else str(expected["label"])


def _outlook(layer: str, units: Sequence[UnitFacts], images: int, *, projects: bool) -> str:
    """What is to be done for the units of a layer, in words."""
    patches = sum(len(unit.shown) for unit in units)
    text = f"{count(len(units), 'unit')} of {layer}: {count(patches, 'patch', 'patches')}"
    if projects:
        back = sum(shown.group == "top" for unit in units for shown in unit.shown)
        text += f", {back:,} of them projected back,"
    return f"{text} out of {count(images, 'image')}"
