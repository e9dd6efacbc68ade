"""The whole story of a command: find pictures, load the model, explain, draw, write down."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

import torch

from cnnexplain.core.records import line
from cnnexplain.engine.mixing import one_by_one
from cnnexplain.errors import CnnexplainError, ImageMemoryError, InterruptedRunError, ModelError, WorkerError
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.images.find import Source, find
from cnnexplain.report.pages.digest import is_unchanged
from cnnexplain.report.pages.long import pages
from cnnexplain.report.pages.record import silent_in_all
from cnnexplain.runner import facts
from cnnexplain.runner.answers import Answers, build_for
from cnnexplain.runner.board import board_at
from cnnexplain.runner.ending import Status, ended
from cnnexplain.runner.folder import REPORT, Folder, checked_folder, written_by_us
from cnnexplain.runner.journal import Journal, Records
from cnnexplain.runner.names import stems
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.shard import BATCHES
from cnnexplain.runner.teller import Teller
from cnnexplain.runner.worker import Done, Worker, cores, worker_of
from cnnexplain.runner.write import Job, Writer

HOPELESS = 8  # pictures: a model that failed on so many, and on no other, fails on all


def run(request: Request, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted."""
    started, clock = time.time(), time.monotonic()
    _begin(request)
    folder = None if request.run.output is None else checked_folder(request.run.output)
    board = board_at(request.run.tensorboard, request.command)
    sources = find(request.images, request.find, request.run.output, written_by_us, request.model.seed)
    jobs = _jobs(request, sources)
    allowed = allowed_failures(request.run.max_failures, len(jobs))
    answers = Answers(request, sources)
    model, loaded, choices = build_for(request)
    model.require_finite_weights()
    method, more = request.method.bind(model)
    alone = one_by_one(model)  # before the model's choices: it looks at the model
    observer.loaded(model, loaded.source, choices := (*choices, *model.choices, *alone, *more))
    jobs = answers.settled(model, sources, jobs)
    if folder is None:
        return _told(
            request,
            worker_of(request, None, model, loaded, method, len(jobs)),
            jobs,
            observer,
            allowed,
            clock,
            answers,
        )
    described = facts.describe(request, model, loaded, method, choices, sources, len(jobs), started)
    described["identity"] |= answers.identity
    with closing(folder):
        journal = folder.open(described["identity"], overwrite=request.run.overwrite)
        worker = worker_of(request, folder, model, loaded, method, len(jobs))
        records = _kept(journal, worker.writer, jobs, observer)
        before, begun = len(records), time.monotonic()
        teller = Teller(board, folder.path, jobs, records, described["identity"])

        def told(status: Status) -> dict[str, Any]:
            """The content of run.json at the end."""
            counts = {"ok": len(records) - records.failed, "error": records.failed}
            end = {**described, "images": described["images"] | counts}
            return facts.concluded(end, status, time.monotonic() - clock, killed=folder.was_killed)

        def conclude(status: Status) -> None:
            described.update(_found(records, answers, worker, time.monotonic() - begun))
            end = told(status)
            folder.conclude(end, records.lines(), pages(end, records))
            journal.remove()

        folder.write_run(described)  # before all else: it says whose the other files are
        with ended(conclude, lambda: folder.write_run(told("interrupted"))):
            try:
                observer.planned(len(jobs), before)
                for kept in records:
                    observer.recorded(kept, again=True, listed=answers.take(kept))
                with model.borrowed(), board or nullcontext(), teller:
                    teller.begin(described, model, observer)
                    with closing(_made(request, worker, jobs, records, folder, observer)) as made:
                        for done in made:
                            records.add(done.job.position, done.record, line(done.record))
                            observer.recorded(
                                done.record,
                                again=records.failed_before(done.job.position),
                                listed=answers.take(done.record),
                            )
                            teller.add(done)
            except WorkerError:
                folder.was_killed = True
                raise
            except KeyboardInterrupt as interruption:
                raise InterruptedRunError(
                    f"interrupted after {len(records)} of {len(jobs)} images",
                    "run the same command again to go on from here",
                    interruption,
                ) from interruption
    return Outcome(
        folder.given / REPORT,
        time.monotonic() - clock,
        len(jobs),
        records.failed,
        records.first_failed,
        allowed,
        described.get("silent_channels", {}),
        done=len(records) - before,
        answers=answers.counted,
        work=described["work"],
    )


def _begin(request: Request) -> None:
    """See that what is asked for makes sense, and settle what the whole process shares."""
    refuse_bombs()
    torch.manual_seed(request.model.seed)
    request.run.require_sense()
    request.answers.require_sense()


def _found(records: Records, answers: Answers, worker: Worker, seconds: float) -> dict[str, Any]:
    """What a run says of all its images together, as far as there is something to be said."""
    known = {
        "work": {"whole": round(seconds, 3), "processors": cores(), **worker.stages.taken()},
        "silent_channels": silent_in_all(records),
        "answers": answers.counted,
    }
    return {name: one for name, one in known.items() if one}


def _kept(journal: Journal, writer: Writer, jobs: Sequence[Job], observer: Observer) -> Records:
    """The records of an earlier run that still hold."""
    records, edited = Records(journal, len(jobs)), 0

    def still_holds(position: int, record: Mapping[str, Any]) -> bool:
        nonlocal edited
        unchanged = is_unchanged(record)
        edited += not unchanged
        return unchanged and writer.still_there(jobs[position], record)

    records.keep([job.image for job in jobs], still_holds)
    if edited:
        many = (
            "1 record changed since it was" if edited == 1 else f"{edited:,} records changed since they were"
        )
        observer.told("edited", f"{many} written: those images are explained anew")
    return records


def _made(
    request: Request,
    worker: Worker,
    jobs: Sequence[Job],
    records: Records,
    folder: Folder,
    observer: Observer,
) -> Generator[Done, None, None]:
    """What becomes of every job that has no record."""
    works = len(records) > records.failed
    yield from _condemned(request, worker, [jobs[one] for one in records.untried()], folder, observer)
    yield from _hopeful(_done(request, worker, jobs, records.missing()), worker.model.name, works=works)


def _hopeful(found: Iterable[Done], model_name: str, *, works: bool = False) -> Generator[Done, None, None]:
    """The same jobs. Raises what failed where nothing but failures came of the first few, or of all.

    The one place that judges whether the model and we are at fault; `works` says that a picture was explained before.

    Raises:
        ModelError: The model failed on each of the first `HOPELESS` pictures.
        Exception: A defect of ours, as it seems, where no picture was explained.
    """
    failed, defect = 0, None
    for done in found:
        yield done
        works, suspect = works or done.record["status"] == "ok", done.suspect
        if works or suspect is None:
            continue
        failed += 1
        defect = defect or (None if isinstance(suspect, CnnexplainError) else suspect)
        if failed >= HOPELESS:
            raise defect or ModelError(
                f"{model_name} failed on each of the first {failed} pictures; {done.job.image}: {suspect}",
                suspect.hint
                if isinstance(suspect, ImageMemoryError)
                else "see whether the preprocessing is what the model expects (--input-size, --mean, --std), or fix "
                "the model; --debug shows where it fails",
            )
    if defect is not None and not works:
        raise defect


def _jobs(request: Request, sources: Sequence[Source]) -> list[Job]:
    """What this run is to do: a shard takes its pictures in turns, so that all parts have as much of everything."""
    part, parts = request.run.part()
    mine = list(zip(sources, stems(sources), strict=True))[part - 1 :: parts]
    return [Job(position, source, stem) for position, (source, stem) in enumerate(mine)]


def _condemned(
    request: Request, worker: Worker, jobs: Sequence[Job], folder: Folder, observer: Observer
) -> Iterator[Done]:
    """Of those jobs that a run before may have died of, the ones that it died of."""
    if folder.was_killed and jobs:
        observer.told("killed", "the previous run crashed: the next pictures are tried one by one first")
        yield from worker.condemned(jobs, len(devices_of(request, worker.model.device)))
    folder.was_killed = False


def _told(
    request: Request,
    worker: Worker,
    jobs: Sequence[Job],
    observer: Observer,
    allowed: float,
    clock: float,
    answers: Answers,
) -> Outcome:
    """A run that writes nothing: the observer is told each record, and no more is kept than how many failed."""
    done = failed = 0
    first: tuple[int, Mapping[str, Any]] | None = None  # of those that failed, which may come early

    def records() -> Iterator[Mapping[str, Any]]:
        nonlocal done, failed, first
        for one in _hopeful(_done(request, worker, jobs, range(len(jobs))), worker.model.name):
            done += 1
            if one.record["status"] == "error":
                failed += 1
                if first is None or one.job.position < first[0]:
                    first = one.job.position, one.record
            observer.recorded(one.record, listed=answers.take(one.record))
            yield one.record

    observer.planned(len(jobs), 0)
    begun = time.monotonic()
    try:
        with worker.model.borrowed():
            silent = silent_in_all(records())
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            f"interrupted after {done} of {len(jobs)} images",
            "run the same command again; with -o OUT it goes on where it stopped",
            interruption,
        ) from interruption
    whole = round(time.monotonic() - begun, 3)
    return Outcome(
        None,
        time.monotonic() - clock,
        len(jobs),
        failed,
        first[1] if first else None,
        allowed,
        silent,
        done=done,
        answers=answers.counted,
        work={"whole": whole, "processors": cores(), **worker.stages.taken()},
    )


def _done(request: Request, worker: Worker, every: Sequence[Job], missing: Iterable[int]) -> Iterator[Done]:
    """What becomes of every job that has no record, by this process, by several, or by a cluster."""
    jobs = [every[position] for position in missing]
    if not jobs:
        return
    device, batch = worker.model.device, worker.batch.size
    devices = devices_of(request, device)
    if request.run.engine == "ray":
        from cnnexplain.runner.cluster import explained as by_ray

        yield from by_ray(request, str(device), jobs, worker)
        return
    if len(devices) > 1 and len(jobs) > batch * BATCHES:  # more than one shard
        from cnnexplain.runner.parallel import explained as by_processes

        yield from by_processes(request, devices, jobs, worker)
    else:
        yield from worker.explained(jobs)


def devices_of(request: Request, device: torch.device) -> list[str]:
    """Where processes explain, one for each entry: on every GPU where none was named by its number."""
    if device.type == "cuda" and device.index is None:
        every = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    else:
        every = [str(device)]
    wanted = request.run.processes or len(every)
    return [every[number % len(every)] for number in range(wanted)]
