"""Results of many targets of a model: each has a record of its own, and a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cnnexplain.commands import SeriesCommand
from cnnexplain.core.records import readable
from cnnexplain.core.results import Result, entry
from cnnexplain.core.words import count
from cnnexplain.render import is_drawn, pictures_of_model
from cnnexplain.report.pages.card import UNSOUND, require_sound
from cnnexplain.report.pages.digest import is_unchanged, sealed
from cnnexplain.report.pages.record import inspected
from cnnexplain.runner import run_json
from cnnexplain.runner.inspect import ModelTask
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.journal import Record, Records
from cnnexplain.runner.output.names import part_of
from cnnexplain.runner.output.write import save_arrays, save_png, with_text, words_of
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.task import Item


class SeriesTask(ModelTask):
    """Results of many targets, in records that are written as they come."""

    command: SeriesCommand
    records: Records

    def __init__(self, request: Request[Any], observer: Observer) -> None:
        """Load the model and bind the command. Raises a `CnnexplainError` for what cannot be done."""
        super().__init__(request, observer)
        self.model.require_finite_weights()
        self.subjects = tuple(map(readable, self.command.subjects()))
        taken: set[str] = set()
        self._stems = [
            f"{request.command}.{part_of('-'.join(subject.split()), taken)}" for subject in self.subjects
        ]
        self.records = Records(len(self.subjects))

    def resume(self, folder: OutputFolder) -> None:
        """Take over those of an earlier run's records in the folder that still hold."""
        self.records = folder.keep(self.subjects, self.still_holds)

    def still_holds(self, position: int, record: Record) -> bool:
        """Whether an earlier run's record of a target is as it was written, and its files are there."""
        try:
            require_sound(record)
            entries = record["explanations"]
            files = {entry["picture"] for entry in entries}
            files |= {*record.get("drawings", ())}
            files |= {entry[name] for entry in entries for name in ("raw", "plain") if name in entry}
            return (
                is_unchanged(record)
                and self.folder is not None
                and all(name.startswith(self._stems[position]) for name in files)
                and all(written_by_us(self.folder.path / name) for name in files)
            )
        except (*UNSOUND, OSError):
            return False

    def items(self) -> Generator[Item, None, None]:
        """The records that were kept, then those of the other targets as they are made."""
        self.observer.planned(len(self.subjects), len(self.records), "target")
        logged = self.log is not None and self.log.continues(self.described["identity"])
        if self.log is not None and not logged:
            self.log.begin(self.described, self.model, self.observer)
        missing = list(self.records.missing())
        for position in sorted(set(range(len(self.subjects))) - set(missing)):
            record = self.records.at(position)
            if record is not None:
                if not logged:
                    self._log(record, position, ())
                yield Item(position, record, new=False, again=True)
        for position, results in self.command.series(self.model, missing):
            record = self._record(position, results)
            for choice in run_json.note_choices(self.model, self.described):
                self.observer.notice(choice.setting, f"{choice.value} ({choice.reason})")
            self._log(record, position, results)
            yield Item(position, record)

    def interruption(self) -> tuple[str, str]:
        """How far it came, and how it is continued."""
        hint = "run the same command again" + (" to go on from here" if self.folder is not None else "")
        done = len(self.subjects) - sum(1 for _ in self.records.missing())
        return f"interrupted after {done} of {count(len(self.subjects), 'target')}", hint

    def outcome(self) -> Outcome:
        """How it went."""
        return replace(super().outcome(), images=0)

    def _record(self, position: int, results: Sequence[Result]) -> dict[str, Any]:
        """Draw and write the results of a target; its record."""
        entries, drawings, words = [], list[str](), dict[str, list[str]]()
        for place, result in enumerate(results):
            files = self._written(position, place, result, drawings, words)
            recorded = entry(result, files.pop("picture", None), files.pop("raw", None))
            entries.append({**recorded, **files})
        named: dict[str, Any] = {"subject": self.subjects[position]}
        named |= {name: noted for name, noted in (("drawings", drawings), ("words", words)) if noted}
        return sealed(inspected(self.request.command, self.loaded.reference, entries, named))

    def _written(
        self, position: int, place: int, result: Result, drawings: list[str], words: dict[str, list[str]]
    ) -> dict[str, str]:
        """The paths of a result's files below OUT, by what they are: `picture`, `raw`, or a picture's own name.

        Those of pictures with real text are added to `drawings`, the words on pictures to `words`.
        """
        folder, files = self.folder, dict[str, str]()
        if folder is None:
            return files
        name = self._stems[position] + (f".{place + 1}" if place else "")
        for drawn in pictures_of_model([result], self.request.render) if is_drawn(result.kind) else ():
            path = f"{name}.{drawn.name}.png" if drawn.name else f"{name}.png"
            files[drawn.name or "picture"] = path
            folder.write(path, partial(save_png, drawn.image, dpi=self.request.render.dpi))
            words |= words_of(path, drawn)
            if not drawn.name:  # a picture without words is shown by its pixels
                drawings += with_text(folder, drawn, name, self.request.render)
        if self.request.run.save_raw and (arrays := result.arrays()):
            files["raw"] = f"{name}.npz"
            folder.write(files["raw"], partial(save_arrays, arrays))
        return files

    def _log(self, record: Record, position: int, results: Sequence[Result]) -> None:
        """Put a target's pictures and numbers into the TensorBoard log; the step is its number from 1."""
        if self.log is None:
            return
        out = None if self.folder is None else self.folder.path
        for place, written in enumerate(record["explanations"]):
            arrays = results[place].arrays() if results else {}
            self.log.finding(written, out, arrays, position + 1)
