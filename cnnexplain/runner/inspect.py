"""The whole story of a command without pictures: load the model, look into it, draw, write down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import Any

import torch

from cnnexplain.core.inspection import Finding
from cnnexplain.core.layer_table import LayerTable
from cnnexplain.core.words import count
from cnnexplain.errors import InterruptedRunError, ModelError
from cnnexplain.render.pictures import of_model
from cnnexplain.render.stages import stages
from cnnexplain.report.card import UNSOUND, require_sound
from cnnexplain.report.page import page
from cnnexplain.report.record import entry, inspected, line
from cnnexplain.runner import facts
from cnnexplain.runner.board import Board, board_at
from cnnexplain.runner.ending import Status, ended
from cnnexplain.runner.folder import REPORT, Folder, checked_folder
from cnnexplain.runner.model import build
from cnnexplain.runner.names import part_of
from cnnexplain.runner.request import ModelRequest, Observer, Outcome
from cnnexplain.runner.write import save_arrays, save_png


def inspect(request: ModelRequest, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted.

    Where no picture gets through the model, what is known without is told and written; the outcome has the error.
    """
    started, clock = time.time(), time.monotonic()
    torch.manual_seed(request.model.seed)
    folder = None if request.output.output is None else checked_folder(request.output.output)
    board = board_at(request.output.tensorboard, request.command)
    model, loaded, choices = build(request.reference, request.model, request.where)
    inspection, more = request.inspection.bind(model)
    observer.loaded(model, loaded.source, choices := (*choices, *model.choices, *more))
    describe = partial(facts.describe_model, request, model, loaded, inspection, choices, started)
    entries: list[dict[str, Any]] = []
    whole: dict[str, Any] = {}  # what is found of the model as a whole
    stopped: ModelError | None = None  # why no picture went through it

    def take(folder: Folder | None, taken: set[str], finding: Finding | LayerTable) -> None:
        nonlocal stopped
        if isinstance(finding, LayerTable):
            stopped = ModelError(finding.problem, finding.hint) if finding.problem else None
            whole.update(_table(finding, folder, request, board))
        else:
            entries.append(_written(finding, folder, request, taken))
            _told(finding, entries, folder, board)
        observer.found(finding)

    def look(folder: Folder | None) -> None:
        with model.borrowed(), board or nullcontext():
            if board is not None:
                board.begin(describe(), model, observer)
            # Nothing holds a finding while the next is made, which may be as large.
            deque(map(partial(take, folder, set()), inspection.inspect(model)), maxlen=0)
            if board is not None and entries:
                board.findings(entries)

    if folder is None:
        look(None)
        observer.recorded(inspected(request.command, loaded.reference, entries, whole))
        return Outcome(None, time.monotonic() - clock, stopped=stopped)
    described = describe()
    with closing(folder):
        journal = folder.open(described["identity"], overwrite=request.output.overwrite)
        # Of the same run, carried out before: it stays if this one is stopped.
        records = [one for one in journal.records() if _is_sound(one)][-1:]

        def conclude(status: Status) -> None:
            end = facts.concluded(described, status, time.monotonic() - clock)
            folder.conclude(end, map(line, records), [(REPORT, page(end, records))])
            journal.remove()

        def note() -> None:
            folder.write_run(facts.concluded(described, "interrupted", time.monotonic() - clock))

        with ended(conclude, note):
            try:
                folder.write_run(described)
                look(folder)
                facts.chosen_since(model, described)  # which the table tells
                records = [inspected(request.command, loaded.reference, entries, whole)]
                observer.recorded(records[0])
            except KeyboardInterrupt as interruption:
                raise InterruptedRunError(
                    f"interrupted after {count(len(entries), 'layer')}",
                    "run the same command again",
                    interruption,
                ) from interruption
    return Outcome(folder.given / REPORT, time.monotonic() - clock, stopped=stopped)


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether the report can show a record that an earlier run left; nobody may have edited it."""
    try:
        require_sound(record)
    except UNSOUND:
        return False
    return True


def _written(
    finding: Finding, folder: Folder | None, request: ModelRequest, taken: set[str]
) -> dict[str, Any]:
    """Draw and write one finding; its entry in the record."""
    if folder is None:
        return entry(finding, request.command, None, None)
    name = f"{request.command}.{part_of(finding.layer, taken)}" if finding.layer else request.command
    picture = raw = None
    for image in of_model(finding, request.render):
        picture = f"{name}.png"
        folder.write(picture, partial(save_png, image))
    if request.output.save_raw and (arrays := finding.arrays()):
        raw = f"{name}.npz"
        folder.write(raw, partial(save_arrays, arrays))
    return entry(finding, request.command, picture, raw)


def _told(
    finding: Finding, entries: Sequence[Mapping[str, Any]], folder: Folder | None, board: Board | None
) -> None:
    if board is not None:
        out = None if folder is None else folder.path
        board.finding(entries[-1], out, finding.arrays(), len(entries))


def _table(
    table: LayerTable, folder: Folder | None, request: ModelRequest, board: Board | None
) -> dict[str, Any]:
    """Draw the stages of a model; what its record says beside single findings."""
    found: dict[str, Any] = {"summary": table.plain()}
    image = stages(table) if folder is not None else None
    if folder is not None and image is not None:
        found["overview"] = f"{request.command}.png"
        folder.write(found["overview"], partial(save_png, image))
    if board is not None:
        board.table(found["summary"])
        if folder is not None and image is not None:
            board.picture("stages", folder.path / found["overview"], 0)
    return found
