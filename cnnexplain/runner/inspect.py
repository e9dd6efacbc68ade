"""Looking into a model, without images: each result is drawn, written and recorded before the next is made."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch

from cnnexplain.commands import ModelCommand, bound
from cnnexplain.core.results import Result, entry
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.words import count
from cnnexplain.errors import ModelError
from cnnexplain.render import pictures_of_model
from cnnexplain.report.pages.card import UNSOUND, require_sound
from cnnexplain.report.pages.record import inspected
from cnnexplain.runner import run_json
from cnnexplain.runner.model import build
from cnnexplain.runner.output.journal import Record
from cnnexplain.runner.output.names import part_of
from cnnexplain.runner.output.numbers import sheets_only
from cnnexplain.runner.output.write import save_arrays, save_png, sheet_spots, with_text, words_of
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.task import Item, LoadedTask
from cnnexplain.runner.tensorboard.log import log_at


class ModelTask(LoadedTask):
    """Looking into a model. Where no picture gets through, what is known without is written; the outcome says why."""

    def __init__(self, request: Request[ModelCommand], observer: Observer) -> None:
        """Load the model and bind the command. Raises a `CnnexplainError` for what cannot be done."""
        super().__init__(request, observer)
        torch.manual_seed(request.model.seed)
        self.log = log_at(request.run.tensorboard, request.command)
        self.model, self.loaded, choices = build(request.reference, request.model, request.where)
        self.command, settled = bound(request.action, self.model)
        self.choices = (*choices, *self.model.choices, *settled)
        observer.loaded(self.model, self.loaded.source, self.choices)
        self.entries: list[dict[str, Any]] = []
        self.whole: dict[str, Any] = {}  # what is about the model as a whole
        self.words: dict[str, list[str]] = {}  # that are drawn, by the paths of pictures
        self.drawings: list[str] = []  # files of the graph, and pictures with real text
        self.problem: ModelError | None = None  # why no picture went through it
        self.sheets: dict[str, Any] = {}  # the spots of the sheets, by their files
        self._names: set[str] = set()  # of layers, in the names of files

    @cached_property
    def described(self) -> dict[str, Any]:
        """The content of run.json; of classes what is known without running the model."""
        options = {**run_json.values(self.request.render), **run_json.values(self.command)}
        options |= {"save_raw": self.request.run.save_raw}
        return run_json.describe(self, options, self.model.own_labels or (), seeded=self.command.seeded)

    def still_holds(self, position: int, record: Record) -> bool:  # noqa: ARG002 - there is but one
        """Whether the report can show an earlier run's record, which stays if this run is stopped."""
        try:
            require_sound(record)
        except UNSOUND:
            return False
        return True

    @contextmanager
    def working(self) -> Iterator[None]:
        """The model is borrowed, and the TensorBoard log open."""
        with self.model.borrowed(), self.log or nullcontext():
            yield

    def items(self) -> Generator[Item, None, None]:
        """One record of all results."""
        if self.log is not None:
            self.log.begin(self.described, self.model, self.observer)
        # Nothing holds a result while the next is made, which may be as large.
        deque(map(self._take, self.command.inspect(self.model)), maxlen=0)
        if self.sheets and self.folder is not None:
            self.whole["numbers"] = f"{self.request.command}.numbers.css"
            self.folder.write(self.whole["numbers"], lambda file: file.write(sheets_only(self.sheets)))
        if self.log is not None and self.entries:
            self.log.findings(self.entries)
        if self.folder is not None:
            run_json.note_choices(self.model, self.described)  # which the table has settled
        yield Item(0, inspected(self.request.command, self.loaded.reference, self.entries, self.whole))

    def interruption(self) -> tuple[str, str]:
        """How far it came."""
        return f"interrupted after {count(len(self.entries), 'layer')}", "run the same command again"

    def outcome(self) -> Outcome:
        """How it went, and why the model was looked into no further."""
        return replace(super().outcome(), stopped=self.problem)

    def _take(self, result: Result) -> None:
        """Draw, write, record and show one result."""
        picture, raw = self._files(result)
        if result.of_whole_model:
            self.whole[result.kind] = result.record()
            self.whole.update({} if picture is None else {"overview": picture})
            if isinstance(result, LayerTable) and result.problem:
                self.problem = ModelError(result.problem, result.hint)
        else:
            self.entries.append(entry(result, picture, raw))
        if self.drawings:
            self.whole["drawings"] = self.drawings
        if self.words:
            self.whole["words"] = self.words
        if self.log is not None:
            self.log.of_model(
                result, picture, None if self.folder is None else self.folder.path, self.entries
            )
        self.observer.finding(result)

    def _files(self, result: Result) -> tuple[str | None, str | None]:
        """Draw and write one result; the paths of its picture and of its values below OUT."""
        folder, name, options = self.folder, self.request.command, self.request.render
        if folder is None:
            return None, None
        if result.layer:
            name = f"{name}.{part_of(result.layer, self._names)}"
        picture = raw = None
        for drawn in pictures_of_model([result], options):
            path = f"{name}.{drawn.name}.png" if drawn.name else f"{name}.png"
            folder.write(path, partial(save_png, drawn.image, dpi=options.dpi))
            self.words |= words_of(path, drawn)
            self.sheets |= sheet_spots(path, drawn.image)
            files = [*with_text(folder, drawn, path.removesuffix(".png"), options)]
            if drawn.vector is None:
                picture = path
            else:
                files += [path, *with_text(folder, drawn, name, replace(options, figure="svg"))]
            self.drawings += dict.fromkeys(files)
        if self.request.run.save_raw and (arrays := result.arrays()):
            raw = f"{name}.npz"
            folder.write(raw, partial(save_arrays, arrays))
        return picture, raw
