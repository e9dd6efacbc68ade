"""The whole story of a command: find pictures, load the model, explain, draw, write down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch

from cnnexplain.core.preprocess import Preprocess
from cnnexplain.engine.model import Model
from cnnexplain.errors import InterruptedRunError
from cnnexplain.images.decode import decode, refuse_bombs
from cnnexplain.images.find import find
from cnnexplain.methods import Method
from cnnexplain.render.panel import drawn
from cnnexplain.report.page import page
from cnnexplain.report.record import line, silent_in_all
from cnnexplain.runner import facts
from cnnexplain.runner.board import Values, board_at
from cnnexplain.runner.explain import Prepared, explain
from cnnexplain.runner.folder import REPORT, Folder, Journal, written_by_us
from cnnexplain.runner.model import build
from cnnexplain.runner.names import stems
from cnnexplain.runner.pipeline import ahead, batched
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.teller import Teller
from cnnexplain.runner.write import Job, Result, Writer

Written = tuple[dict[str, Any], Values]


def run(request: Request, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted."""
    started = time.time()
    refuse_bombs()
    torch.manual_seed(request.model.seed)
    folder = Folder(request.run.output)
    folder.check()
    board = board_at(request.run.tensorboard, request.command)
    sources = find(request.images, request.find, request.run.output, written_by_us)
    allowed = request.run.allowed_failures(len(sources))
    model, loaded, choices = build(request.reference, request.model, request.where)
    model.require_finite_weights()
    method, more = request.method.bind(model)
    observer.loaded(model, loaded.source, (*choices, *more))
    described = facts.describe(request, model, loaded, method, (*choices, *more), sources, started)
    journal = folder.open(described["identity"], overwrite=request.run.overwrite)
    jobs = [Job(source, stem) for source, stem in zip(sources, stems(sources), strict=True)]
    writer = Writer(
        folder, request.command, loaded.reference, request.asked, request.render, request.run.save_raw
    )
    records = _kept(jobs, journal, writer)
    folder.write_run(described)
    observer.planned(len(jobs), len(records))
    for kept in records.values():
        observer.recorded(kept)
    status = "interrupted"
    missing = [job for job in jobs if job.image not in records]
    teller = Teller(board, folder.path, jobs, records, described["identity"])
    try:
        with model.borrowed(), board or nullcontext(), teller:
            teller.begin(described, model, observer)
            for record, values in _made(model, method, missing, partial(_written, writer, teller), request):
                journal.add(line(record))
                records[str(record["image"])] = record
                observer.recorded(record)
                teller.add(record, values)
        status = "finished"
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            f"interrupted after {len(records)} of {len(jobs)} images",
            "run the same command again to go on from here",
            interruption,
        ) from interruption
    finally:
        ordered = [records[job.image] for job in jobs if job.image in records]
        described = facts.concluded(described, status, ordered, started)
        silent = silent_in_all(ordered)
        if silent:
            described["silent_channels"] = silent
        folder.conclude(described, map(line, ordered), page(described, ordered))
        journal.remove()
        folder.close()
    failed = tuple(record for record in ordered if record["status"] == "error")
    return Outcome(folder.path / REPORT, time.time() - started, len(jobs), failed, allowed, silent)


def _kept(jobs: Iterable[Job], journal: Journal, writer: Writer) -> dict[str, dict[str, Any]]:
    """The records of an earlier run that still hold, by image."""
    by_image = {job.image: job for job in jobs}
    last = {str(record.get("image")): record for record in journal.records()}
    return {
        image: last[image]
        for image, job in by_image.items()
        if image in last and writer.still_there(job, last[image])
    }


def _made(
    model: Model, method: Method, jobs: Iterable[Job], write: Callable[[Result], Written], request: Request
) -> Iterator[Written]:
    """What is written of every job, while others are being decoded and drawn."""
    workers = request.run.workers or _cores()
    depth = 2 * max(request.run.batch_size, workers)
    with ThreadPoolExecutor(workers) as pool:
        decoded = ahead(pool, partial(_prepared, model.preprocess, request.render.max_side), jobs, depth)
        found = _explained(model, method, decoded, request.run.batch_size, request.run.save_raw)
        yield from ahead(pool, write, found, depth)


def _written(writer: Writer, teller: Teller, result: Result) -> Written:
    record = writer.write(result)
    return record, teller.values(result.found, record)


def _cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepared(preprocess: Preprocess, max_side: int, job: Job) -> tuple[Job, Prepared | Exception]:
    """Decode a picture, cut out what the model sees, and keep no more than will be drawn."""
    try:
        picture = decode(job.source.path)
        pixels, geometry = preprocess.apply(picture)
        return job, Prepared(job.source.path, drawn(picture, max_side), pixels, geometry)
    except Exception as error:  # noqa: BLE001 - whatever a picture causes, memory too, must not cost the others
        return job, error


def _explained(
    model: Model,
    method: Method,
    decoded: Iterable[tuple[Job, Prepared | Exception]],
    size: int,
    whole: bool,
) -> Iterator[Result]:
    for batch in batched(decoded, size):
        jobs = {id(found): job for job, found in batch}
        good = []
        for job, found in batch:
            if isinstance(found, Prepared):
                good.append(found)
            else:
                yield Result(job, found)
        if good:
            for prepared, explanation in explain(model, method, good, whole=whole):
                yield Result(jobs[id(prepared)], explanation)
