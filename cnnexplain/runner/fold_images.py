"""What all images of a folder say together: they are scanned, their records folded, the strongest decoded again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any, ClassVar

from cnnexplain.commands.units import UnitAtlas
from cnnexplain.core.records import line
from cnnexplain.errors import OptionError
from cnnexplain.report.pages.atlas import atlas
from cnnexplain.report.pages.digest import is_unchanged
from cnnexplain.runner.explain_images import ImageTask
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import OutputFolder, files_of
from cnnexplain.runner.output.journal import RECORDS, SCANS, Journal, Record
from cnnexplain.runner.request import Observer, Request
from cnnexplain.runner.task import Item
from cnnexplain.runner.unit_records import UnitRecords
from cnnexplain.runner.unit_synthesis import SynthesisedUnits


class FoldTask(ImageTask):
    """Saying what the units of layers look for, in all images of a folder."""

    recorded_in: ClassVar[str] = SCANS
    method: UnitAtlas

    def __init__(self, request: Request[UnitAtlas], observer: Observer) -> None:
        """Settle the request as for any command about images. Raises a `CnnexplainError` for what cannot be done."""
        super().__init__(request, observer)
        self._units: list[dict[str, Any]] = []
        self._new = False  # whether an image was scanned that was not before
        made = self.method.synthesised
        self._synthesised = SynthesisedUnits(made, self.model, self.method.layer) if made else None

    @cached_property
    def described(self) -> dict[str, Any]:
        """The content of run.json. Pictures that are shown beside the units make no other run of it."""
        described = super().described
        described["identity"].pop("synthesised")
        return described

    def prepare(self) -> None:
        """See that there is a folder, where the records of all images can be read again."""
        if self.folder is None:
            command = self.request.command
            raise OptionError(
                f"{command} needs a folder: of all images together something can be said only at the end",
                "add -o out",
            )

    def items(self) -> Generator[Item, None, None]:
        """The records of all images, as of any command about images."""
        with closing(super().items()) as items:
            for item in items:
                self._new = self._new or (item.new and item.record["status"] == "ok")
                yield item

    def is_listed(self, record: Record) -> bool:
        """Whether the record is that of an image that failed: of the others nothing is said alone."""
        super().is_listed(record)
        return bool(record["status"] == "error")

    def fold(self) -> None:
        """Make the records of all units, and write their pictures. Of a part of the images there is nothing to say."""
        if self.request.run.shard is not None:
            self.observer.notice(
                "part",
                "once cnnexplain merge has joined the parts, this command without --shard shows the units",
            )
            return
        if self.folder is None or not self.records:
            return
        if kept := self._kept(self.folder):
            self._units = [self._beside(record, self.folder) for record in kept]
            if self._feed is not None and not self._feed.goes_on:
                self._log(self._units)
            return
        making = UnitRecords(
            self.request, self.folder, self.model, self.worker, self.jobs, self.records, self.observer
        )
        with self.model.borrowed():
            for made in making.of(self.method):
                record = self._beside(made, self.folder)
                self._units.append(record)
                self.observer.recorded(record)
        self._log(self._units)

    def _log(self, units: Iterable[dict[str, Any]]) -> None:
        """Put the sheets and numbers of units into the TensorBoard log, whose steps are their channels."""
        if self.log is None or self.folder is None:
            return
        with self.log:
            for record in units:
                self.log.unit(record, self.folder.path)

    def _beside(self, record: dict[str, Any], folder: OutputFolder) -> dict[str, Any]:
        """The record of a unit, with the picture that was made for it where there are such."""
        return self._synthesised.beside(record, folder) if self._synthesised else record

    def _kept(self, folder: OutputFolder) -> list[dict[str, Any]]:
        """The units' records of an earlier run over the same images, where none of them is missing; else nothing."""
        scanned = next((record for record in self.records if record["status"] == "ok"), None)
        if self._new or scanned is None:
            return []
        chosen = len(set(self.method.channel))
        units = sum(chosen or entry["count"] for entry in scanned["explanations"])
        images = len(self.records) - self.records.failed
        noted = Journal(folder.path, RECORDS).records()
        kept = [record for record in noted if record.get("kind") == "unit" and is_unchanged(record)]
        files = {str(name) for record in kept for name in files_of(record) if name is not None}
        whole = len(kept) == units and all(record.get("images") == images for record in kept)
        return kept if whole and all(written_by_us(folder.path / name) for name in files) else []

    def results(self) -> Iterable[str] | None:
        """A line for each unit; none where the run was stopped before, or is a part."""
        return map(line, self._units)

    def pages(self, end: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """The pages of all units."""
        return atlas(end, [record for record in self.records if record["status"] == "error"], self._units)
