"""The whole story of a command: find pictures, load the model, explain, draw, write down."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch

from cnnexplain.core.loading import Loaded
from cnnexplain.engine.model import Model
from cnnexplain.errors import InterruptedRunError
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.images.find import find
from cnnexplain.methods import Method
from cnnexplain.report.page import page
from cnnexplain.report.record import line, silent_in_all
from cnnexplain.runner import facts
from cnnexplain.runner.board import board_at
from cnnexplain.runner.explain import BatchSize
from cnnexplain.runner.folder import REPORT, Folder, written_by_us
from cnnexplain.runner.journal import Records
from cnnexplain.runner.model import build
from cnnexplain.runner.names import stems
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.teller import Teller
from cnnexplain.runner.worker import Worker, cores
from cnnexplain.runner.write import Job, Writer


def run(request: Request, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted."""
    started = time.time()
    refuse_bombs()
    torch.manual_seed(request.model.seed)
    folder = Folder(request.run.output)
    folder.check()
    part, parts = request.run.part()
    board = board_at(request.run.tensorboard, request.command)
    sources = find(request.images, request.find, request.run.output, written_by_us, request.model.seed)
    chosen = list(zip(sources, stems(sources), strict=True))[part - 1 :: parts]
    jobs = [Job(position, source, stem) for position, (source, stem) in enumerate(chosen)]
    allowed = allowed_failures(request.run.max_failures, len(jobs))
    model, loaded, choices = build(request.reference, request.model, request.where)
    model.require_finite_weights()
    method, more = request.method.bind(model)
    observer.loaded(model, loaded.source, (*choices, *more))
    described = facts.describe(request, model, loaded, method, (*choices, *more), sources, len(jobs), started)
    journal = folder.open(described["identity"], overwrite=request.run.overwrite)
    worker = worker_of(request, folder, model, loaded, method)
    records = Records(journal, len(jobs))
    records.keep(
        [job.image for job in jobs], lambda position, one: worker.writer.still_there(jobs[position], one)
    )
    folder.write_run(described)
    observer.planned(len(jobs), len(records))
    for kept in records:
        observer.recorded(kept)
    status, before = "interrupted", len(records)
    teller = Teller(board, folder.path, jobs, records, described["identity"])
    try:
        with model.borrowed(), board or nullcontext(), teller:
            teller.begin(described, model, observer)
            for done in worker.explained([jobs[position] for position in records.missing()]):
                records.add(done.job.position, done.record, line(done.record))
                observer.recorded(done.record)
                teller.add(done)
        status = "finished"
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            f"interrupted after {len(records)} of {len(jobs)} images",
            "run the same command again to go on from here",
            interruption,
        ) from interruption
    finally:
        described = facts.concluded(described, status, started)
        described["images"] |= {"ok": len(records) - records.failed, "error": records.failed}
        silent = silent_in_all(records)
        if silent:
            described["silent_channels"] = silent
        described["work"] = worker.stages.taken()
        folder.conclude(described, records.lines(), [(REPORT, page(described, records))])
        journal.remove()
        folder.close()
    return Outcome(
        folder.path / REPORT,
        time.time() - started,
        len(jobs),
        records.failed,
        records.first_failed,
        allowed,
        silent,
        done=len(records) - before,
        work=described["work"],
    )


def worker_of(request: Request, folder: Folder, model: Model, loaded: Loaded, method: Method) -> Worker:
    """What explains pictures in this process, as the request says."""
    where = request.run
    writer = Writer(
        folder,
        request.command,
        loaded.reference,
        request.asked,
        request.render,
        where.save_raw,
        where.pictures,
    )
    batch = BatchSize(where.batch(model.device.type))
    return Worker(model, method, writer, batch, where.workers or cores(), told=where.tensorboard is not None)
