"""The whole story of a command: find pictures, load the model, explain, draw, write down."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

import torch

from cnnexplain.core.records import line
from cnnexplain.errors import CnnexplainError, ImageMemoryError, InterruptedRunError, ModelError, WorkerError
from cnnexplain.report.pages.digest import is_unchanged
from cnnexplain.report.pages.long import pages
from cnnexplain.runner import run_json
from cnnexplain.runner.output.ending import Status, ended
from cnnexplain.runner.output.folder import REPORT, Folder
from cnnexplain.runner.output.journal import Journal, Records
from cnnexplain.runner.output.write import Job, Writer
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.task import Task, settle
from cnnexplain.runner.tensorboard.feed import LogFeed
from cnnexplain.runner.workers.shard import BATCHES
from cnnexplain.runner.workers.worker import Done, Worker, cores

HOPELESS = 8  # pictures: a model that failed on so many, and on no other, fails on all


def run(request: Request, observer: Observer) -> Outcome:
    """Carry out a request. Raises a `CnnexplainError` when it cannot be, or when it was interrupted."""
    task = settle(request, observer)
    return _shown(task, task.worker()) if task.folder is None else _written(task, task.folder)


def _written(task: Task, folder: Folder) -> Outcome:
    """A run that writes into a folder, which may hold the beginning of it."""
    request, observer = task.request, task.observer
    described = run_json.describe(
        request,
        task.model,
        task.loaded,
        task.method,
        task.choices,
        task.sources,
        len(task.jobs),
        task.started,
    )
    described["identity"] |= task.answers.identity
    with closing(folder):
        journal = folder.open(described["identity"], overwrite=request.run.overwrite)
        worker = task.worker()
        records = _kept(journal, worker.writer, task.jobs, observer)
        before, begun = len(records), time.monotonic()
        feed = LogFeed(task.log, folder.path, task.jobs, records, described["identity"])

        def content(status: Status) -> dict[str, Any]:
            """The content of run.json at the end."""
            counts = {"ok": len(records) - records.failed, "error": records.failed}
            end = {**described, "images": described["images"] | counts}
            return run_json.concluded(end, status, task.seconds(), killed=folder.was_killed)

        def conclude(status: Status) -> None:
            described.update(_of_all(task, worker, time.monotonic() - begun))
            end = content(status)
            folder.conclude(end, records.lines(), pages(end, records))
            journal.remove()

        folder.write_run(described)  # before all else: it says whose the other files are
        with ended(conclude, lambda: folder.write_run(content("interrupted"))):
            try:
                observer.planned(len(task.jobs), before)
                for kept in records:
                    task.reductions.update(kept)
                    observer.recorded(kept, again=True, listed=task.answers.take(kept))
                with task.model.borrowed(), task.log or nullcontext(), feed:
                    feed.begin(described, task.model, observer)
                    _explain(task, worker, records, folder, feed)
            except WorkerError:
                folder.was_killed = True
                raise
            except KeyboardInterrupt as interruption:
                raise InterruptedRunError(
                    f"interrupted after {len(records)} of {len(task.jobs)} images",
                    "run the same command again to go on from here",
                    interruption,
                ) from interruption
    return Outcome(
        folder.as_named / REPORT,
        task.seconds(),
        len(task.jobs),
        records.failed,
        records.first_failed,
        task.allowed,
        tuple(task.reductions.lines()),
        done=len(records) - before,
        answers=task.answers.counted,
        work=described["work"],
    )


def _explain(task: Task, worker: Worker, records: Records, folder: Folder, feed: LogFeed) -> None:
    """Explain the images that have no record yet, and note what becomes of each."""
    observer = task.observer
    with closing(_made(task.request, worker, task.jobs, records, folder, observer)) as made:
        for done in made:
            position, record = done.job.position, done.record
            records.add(position, record, line(record))
            task.reductions.update(record)
            again = records.failed_before(position)
            observer.recorded(record, again=again, listed=task.answers.take(record))
            feed.add(done)


def _of_all(task: Task, worker: Worker, seconds: float) -> dict[str, Any]:
    """What a run says of all its images together, as far as there is something to be said."""
    known = {
        "work": {"whole": round(seconds, 3), "processors": cores(), **worker.stages.taken()},
        **task.reductions.results(),
        "answers": task.answers.counted,
    }
    return {name: said for name, said in known.items() if said}


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
        observer.notice("edited", f"{many} written: those images are explained again")
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


def _condemned(
    request: Request, worker: Worker, jobs: Sequence[Job], folder: Folder, observer: Observer
) -> Iterator[Done]:
    """Of those jobs that a run before may have died of, the ones that it died of."""
    if folder.was_killed and jobs:
        observer.notice("killed", "the previous run crashed: the next pictures are tried one by one first")
        yield from worker.condemned(jobs, len(devices_of(request, worker.model.device)))
    folder.was_killed = False


def _shown(task: Task, worker: Worker) -> Outcome:
    """A run that writes nothing: the observer is told each record, and no more is kept than how many failed."""
    done = failed = 0
    first: tuple[int, Mapping[str, Any]] | None = None  # of those that failed, which may come early
    task.observer.planned(len(task.jobs), 0)
    begun = time.monotonic()
    every = _done(task.request, worker, task.jobs, range(len(task.jobs)))
    try:
        with worker.model.borrowed():
            for explained in _hopeful(every, worker.model.name):
                done, record = done + 1, explained.record
                if record["status"] == "error":
                    failed += 1
                    if first is None or explained.job.position < first[0]:
                        first = explained.job.position, record
                task.reductions.update(record)
                task.observer.recorded(record, listed=task.answers.take(record))
    except KeyboardInterrupt as interruption:
        raise InterruptedRunError(
            f"interrupted after {done} of {len(task.jobs)} images",
            "run the same command again; with -o OUT it continues where it stopped",
            interruption,
        ) from interruption
    return Outcome(
        None,
        task.seconds(),
        len(task.jobs),
        failed,
        first[1] if first else None,
        task.allowed,
        tuple(task.reductions.lines()),
        done=done,
        answers=task.answers.counted,
        work=_of_all(task, worker, time.monotonic() - begun)["work"],
    )


def _done(request: Request, worker: Worker, every: Sequence[Job], missing: Iterable[int]) -> Iterator[Done]:
    """What becomes of every job that has no record, by this process, by several, or by a cluster."""
    jobs = [every[position] for position in missing]
    if not jobs:
        return
    device, batch = worker.model.device, worker.batch.size
    devices = devices_of(request, device)
    if request.run.engine == "ray":
        from cnnexplain.runner.workers.cluster import explained as by_ray

        yield from by_ray(request, str(device), jobs, worker)
        return
    if len(devices) > 1 and len(jobs) > batch * BATCHES:  # more than one shard
        from cnnexplain.runner.workers.parallel import explained as by_processes

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
