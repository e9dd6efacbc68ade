"""The whole story of a command without pictures: load the model, look into it, draw, write down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from cnnexplain.commands import bound
from cnnexplain.core.records import line
from cnnexplain.core.results import Result, entry
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.words import count
from cnnexplain.errors import InterruptedRunError, ModelError
from cnnexplain.render import pictures_of_model
from cnnexplain.report.pages.card import UNSOUND, require_sound
from cnnexplain.report.pages.page import page
from cnnexplain.report.pages.record import inspected
from cnnexplain.runner import run_json
from cnnexplain.runner.model import build
from cnnexplain.runner.output.ending import Status, ended
from cnnexplain.runner.output.folder import REPORT, Folder, checked_folder
from cnnexplain.runner.output.names import part_of
from cnnexplain.runner.output.write import save_arrays, save_png
from cnnexplain.runner.request import ModelRequest, Observer, Outcome
from cnnexplain.runner.tensorboard.log import TensorBoardLog, log_at


def inspect(request: ModelRequest, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted.

    Where no picture gets through the model, what is known without is told and written; the outcome has the error.
    """
    started, clock = time.time(), time.monotonic()
    torch.manual_seed(request.model.seed)
    folder = None if request.output.output is None else checked_folder(request.output.output)
    log = log_at(request.output.tensorboard, request.command)
    model, loaded, choices = build(request.reference, request.model, request.where)
    inspection, more = bound(request.inspection, model)
    observer.loaded(model, loaded.source, choices := (*choices, *model.choices, *more))
    describe = partial(run_json.describe_model, request, model, loaded, inspection, choices, started)
    content = _Content()

    def look(folder: Folder | None) -> None:
        take, taken = partial(content.take, request, folder, log, observer), set[str]()
        with model.borrowed(), log or nullcontext():
            if log is not None:
                log.begin(describe(), model, observer)
            # Nothing holds a result while the next is made, which may be as large.
            deque((take(result, taken) for result in inspection.inspect(model)), maxlen=0)
            if log is not None and content.entries:
                log.findings(content.entries)

    def record() -> dict[str, Any]:
        return inspected(request.command, loaded.reference, content.entries, content.whole)

    if folder is None:
        look(None)
        observer.recorded(record())
        return Outcome(None, time.monotonic() - clock, stopped=content.stopped)
    described = describe()
    with closing(folder):
        journal = folder.open(described["identity"], overwrite=request.output.overwrite)
        # Of the same run, carried out before: it stays if this one is stopped.
        records = [one for one in journal.records() if _is_sound(one)][-1:]

        def conclude(status: Status) -> None:
            end = run_json.concluded(described, status, time.monotonic() - clock)
            folder.conclude(end, map(line, records), [(REPORT, page(end, records))])
            journal.remove()

        def note() -> None:
            folder.write_run(run_json.concluded(described, "interrupted", time.monotonic() - clock))

        with ended(conclude, note):
            try:
                folder.write_run(described)
                look(folder)
                run_json.chosen_since(model, described)  # which the table tells
                records = [record()]
                observer.recorded(records[0])
            except KeyboardInterrupt as interruption:
                raise InterruptedRunError(
                    f"interrupted after {count(len(content.entries), 'layer')}",
                    "run the same command again",
                    interruption,
                ) from interruption
    return Outcome(folder.as_named / REPORT, time.monotonic() - clock, stopped=content.stopped)


@dataclass
class _Content:
    """What the record of a model is made of."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    whole: dict[str, Any] = field(default_factory=dict)  # what is about the model as a whole
    stopped: ModelError | None = None  # why no picture went through it

    def take(
        self,
        request: ModelRequest,
        folder: Folder | None,
        log: TensorBoardLog | None,
        observer: Observer,
        result: Result,
        taken: set[str],
    ) -> None:
        """Draw, write, record and show one result; `taken` are the names of files that others have."""
        picture, raw = _files(result, folder, request, taken)
        if result.of_whole_model:
            self.whole[result.kind] = result.record()
            self.whole.update({} if picture is None else {"overview": picture})
            if isinstance(result, LayerTable):
                self.stopped = ModelError(result.problem, result.hint) if result.problem else None
        else:
            self.entries.append(entry(result, picture, raw))
        if log is not None:
            log.of_model(result, picture, None if folder is None else folder.path, self.entries)
        observer.finding(result)


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether the report can show a record that an earlier run left; nobody may have edited it."""
    try:
        require_sound(record)
    except UNSOUND:
        return False
    return True


def _files(
    result: Result, folder: Folder | None, request: ModelRequest, taken: set[str]
) -> tuple[str | None, str | None]:
    """Draw and write one result; the paths of its picture and of its values below OUT."""
    if folder is None:
        return None, None
    name = f"{request.command}.{part_of(result.layer, taken)}" if result.layer else request.command
    picture = raw = None
    for drawn in pictures_of_model([result], request.render):
        picture = f"{name}.png"
        folder.write(picture, partial(save_png, drawn.image))
    if request.output.save_raw and (arrays := result.arrays()):
        raw = f"{name}.npz"
        folder.write(raw, partial(save_arrays, arrays))
    return picture, raw
