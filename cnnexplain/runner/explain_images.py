"""Explaining images: which there are, what explains them, and what becomes of each."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from cnnexplain.commands import bound
from cnnexplain.core.records import plain
from cnnexplain.core.reduce import Reductions
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.errors import CnnexplainError, ImageMemoryError, ModelError, WorkerError
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.images.find import ImagePath, find
from cnnexplain.report.pages.digest import is_unchanged
from cnnexplain.runner import run_json
from cnnexplain.runner.answers import ExpectedClasses, build_for
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.output.files import written_by_us
from cnnexplain.runner.output.folder import OutputFolder
from cnnexplain.runner.output.journal import Record, Records
from cnnexplain.runner.output.names import NAMED, stems
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.precision import AUTO, EXACT, continued, measured, require_whole, with_precision
from cnnexplain.runner.request import Observer, Outcome, Request
from cnnexplain.runner.task import Item, LoadedTask
from cnnexplain.runner.tensorboard.feed import LogFeed
from cnnexplain.runner.tensorboard.log import log_at
from cnnexplain.runner.workers.shard import BATCHES
from cnnexplain.runner.workers.worker import Done, cores, worker_of

HOPELESS = 8  # pictures: a model that failed on so many, and on no other, fails on all


class ImageTask(LoadedTask):
    """Explaining images."""

    records: Records

    def __init__(self, request: Request[Any], observer: Observer) -> None:
        """Find the images, load the model, bind the command. Raises a `CnnexplainError` for what cannot be done."""
        request.run.require_sense()
        self._measures = request.where.precision == AUTO
        if self._measures:
            require_whole(request)
            request = replace(request, where=replace(request.where, precision=EXACT))
        super().__init__(request, observer)
        refuse_bombs()
        torch.manual_seed(request.model.seed)
        request.answers.require_sense()
        self.log = log_at(request.run.tensorboard, request.command)
        self.sources = find(
            request.images, request.find, request.run.output, written_by_us, request.model.seed
        )  # of the whole run
        jobs = _jobs(request, self.sources)
        self.allowed = allowed_failures(request.run.max_failures, len(jobs))
        self.answers = ExpectedClasses(request, self.sources)
        self.model, self.loaded, choices = build_for(request)
        self.model.require_finite_weights()
        self.method, settled = bound(request.action, self.model)
        batch_choice(self.model)  # which is one of the model's choices
        self.choices = (*choices, *self.model.choices, *settled)
        observer.loaded(self.model, self.loaded.source, self.choices)
        self.jobs = self.answers.settled(self.model, self.sources, jobs)  # of this part of the run
        self.reductions = Reductions.of(self.method.reducers)
        self.records = Records(len(self.jobs))
        self.worker = worker_of(request, self.folder, self.model, self.loaded, self.method, len(self.sources))
        self.done = self.edited = 0
        self._begun = time.monotonic()
        self._feed: LogFeed | None = None

    @cached_property
    def described(self) -> dict[str, Any]:
        """The content of run.json; its `identity` is what a run must share to be continued."""
        request, scoring = self.request, self.model.scoring
        options = {**run_json.values(request.render), **run_json.values(self.method)}
        options |= {"save_raw": request.run.save_raw, "pictures": request.run.pictures}
        options |= {
            name: value for name, value in run_json.values(request.answers).items() if value is not None
        }
        identity = {"scores": scoring.words} if scoring.words else {}
        identity["asked for"] = ", ".join(sorted(NAMED & request.chosen)) or "nothing"
        if request.run.shard is not None:
            identity["shard"] = request.run.shard
        if getattr(self.method, "together", False):  # one picture of all layers, not one of each
            identity["layer"] = f"left out: {run_json.in_words(options['layer'])}"
        described = run_json.describe(
            self, options, self.model.labels, identity, seeded=self.method.seeded, sources=self.sources
        )
        described["images"] = {"count": len(self.jobs)}
        described["model"] |= plain({"activation": scoring.activation, "scores": scoring.explained or None})
        if request.run.shard is not None:
            described["shard"] = request.run.shard
        described["identity"] |= self.answers.identity
        return described

    def prepare(self) -> None:
        """Choose the precision where it is left to us: as the run that is continued did, or by the first images."""
        if not self._measures:
            return
        earlier = {} if self.folder is None or self.request.run.overwrite else self.folder.earlier()
        choice = continued(earlier, self.described["identity"])
        if choice is None:
            with self.model.borrowed():
                pictures = self.worker.sample(self.jobs)
                size = min(self.worker.batch.size, len(self.sources))
                choice = measured(self.model, self.method, pictures, size)
        del self.described  # which has the other precision
        self.choices += (choice,)
        self.observer.notice(choice.setting, f"{choice.value} ({choice.reason})")
        self.request = replace(self.request, where=replace(self.request.where, precision=choice.value))
        self.model = with_precision(self.model, choice.value)
        self.worker = replace(self.worker, model=self.model)

    def resume(self, folder: OutputFolder) -> None:
        """Take over the records of an earlier run that still hold, and begin the TensorBoard log."""
        self.records = folder.keep([job.image for job in self.jobs], self.still_holds)
        if self.edited:
            changed = (
                "1 record changed since it was"
                if self.edited == 1
                else f"{self.edited:,} records changed since they were"
            )
            self.observer.notice("edited", f"{changed} written: those images are explained again")
        self._feed = LogFeed(self.log, folder.path, self.jobs, self.records, self.described["identity"])

    def still_holds(self, position: int, record: Record) -> bool:
        """Whether nobody edited a record, and all that it says is still there."""
        unchanged = is_unchanged(record)
        self.edited += not unchanged
        return unchanged and self.worker.writer.still_there(self.jobs[position], record)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The model is borrowed, and the TensorBoard log open."""
        with ExitStack() as held:
            held.enter_context(self.model.borrowed())
            if self._feed is not None:
                if self.log is not None:
                    held.enter_context(self.log)
                held.enter_context(self._feed)
                self._feed.begin(self.described, self.model, self.observer)
            yield

    def items(self) -> Generator[Item, None, None]:
        """The records that were kept, then those of the other images as they are explained."""
        self.observer.planned(len(self.jobs), len(self.records))
        for position in range(len(self.records)):
            yield Item(position, self.records[position], new=False, again=True)
        self._begun = time.monotonic()
        try:
            with closing(self._explained()) as explained:
                for done in explained:
                    self.done += 1
                    for choice in run_json.note_choices(self.model, self.described):
                        self.observer.notice(choice.setting, f"{choice.value} ({choice.reason})")
                    again = self.records.failed_before(done.job.position)
                    yield Item(done.job.position, done.record, again=again)
                    if self._feed is not None:
                        self._feed.add(done)
            if self.worker.streams.reason:
                self.observer.notice("streams", f"one batch at a time: {self.worker.streams.reason}")
        except WorkerError:
            if self.folder is not None:
                self.folder.was_killed = True
            raise

    def is_listed(self, record: Record) -> bool:
        """Count a record, and say whether it is one of those that `--only` leaves in."""
        return self.answers.take(record)

    @cached_property
    def work(self) -> Mapping[str, float]:
        """Seconds that explaining took: the `whole`; of processors, each stage. To be asked for at the end."""
        whole = round(time.monotonic() - self._begun, 3)
        streams, seconds = self.worker.streams.count, self.worker.stages.taken()
        return {"whole": whole, "processors": cores(), "streams": streams, **seconds}

    def end(self) -> dict[str, Any]:
        """How many images failed, where the time went, and what is said of all images together."""
        counts = {"ok": len(self.records) - self.records.failed, "error": self.records.failed}
        answers = self.answers.counted
        return {
            "images": self.described["images"] | counts,
            "work": self.work,
            **self.reductions.results(),
            **({"answers": answers} if answers else {}),
            "seconds": round(self.seconds(), 3),
            # One of its processes was, and nobody knows yet by what.
            **({"killed": True} if self.folder is not None and self.folder.was_killed else {}),
        }

    def interruption(self) -> tuple[str, str]:
        """How far it came, and how it is continued."""
        hint = (
            "run the same command again; with -o OUT it continues where it stopped"
            if self.folder is None
            else "run the same command again to go on from here"
        )
        return f"interrupted after {len(self.records)} of {len(self.jobs)} images", hint

    def outcome(self) -> Outcome:
        """How it went, with what is said of all images."""
        return replace(
            super().outcome(),
            images=len(self.jobs),
            failed=self.records.failed,
            first_failed=self.records.first_failed,
            allowed=self.allowed,
            done=self.done,
            answers=self.answers.counted,
            work=self.work,
        )

    def _explained(self) -> Generator[Done, None, None]:
        """What becomes of every image that has no record yet."""
        records, folder = self.records, self.folder
        works = len(records) > records.failed
        if folder is not None:
            untried = [self.jobs[position] for position in records.untried()]
            if folder.was_killed and untried:
                self.observer.notice(
                    "killed", "the previous run crashed: the next pictures are tried one by one first"
                )
                processes = len(devices_of(self.request, self.model.device))
                yield from self.worker.deadly(untried, processes)
            folder.was_killed = False
        jobs = [self.jobs[position] for position in records.missing()]
        # Closed by hand: a signal while Python clears it away would print a traceback that nobody can catch.
        with closing(self._divided(jobs)) as divided:
            yield from hopeful(divided, self.model.name, works=works)

    def _divided(self, jobs: Sequence[Job]) -> Generator[Done, None, None]:
        """What becomes of jobs, done by this process, by several, or by a cluster."""
        if not jobs:
            return
        request, worker, device = self.request, self.worker, self.model.device
        devices = devices_of(request, device)
        if request.run.engine == "ray":
            from cnnexplain.runner.workers.cluster import explained as by_ray

            yield from by_ray(request, str(device), jobs, worker)
        elif len(devices) > 1 and len(jobs) > worker.batch.size * BATCHES:  # more than one shard
            from cnnexplain.runner.workers.parallel import explained as by_processes

            yield from by_processes(request, devices, jobs, worker)
        else:
            yield from worker.explained(jobs)


def hopeful(every: Iterable[Done], model_name: str, *, works: bool = False) -> Generator[Done, None, None]:
    """The same jobs. Raises what failed where nothing but failures came of the first few, or of all.

    The one place that judges whether the model and we are at fault; `works` says that a picture was explained before.

    Raises:
        ModelError: The model failed on each of the first `HOPELESS` pictures.
        Exception: A defect of ours, as it seems, where no picture was explained.
    """
    failed, defect = 0, None
    for done in every:
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


def devices_of(request: Request[Any], device: torch.device) -> list[str]:
    """Where processes explain, one for each entry: on every GPU where none was named by its number."""
    if device.type == "cuda" and device.index is None:
        every = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    else:
        every = [str(device)]
    wanted = request.run.processes or len(every)
    return [every[number % len(every)] for number in range(wanted)]


def _jobs(request: Request[Any], sources: Sequence[ImagePath]) -> list[Job]:
    """What this run is to do: a shard takes its pictures in turns, so that all parts have as much of everything."""
    part, parts = request.run.part()
    mine = list(enumerate(zip(sources, stems(sources), strict=True)))[part - 1 :: parts]
    return [Job(position, *pair, place=place) for position, (place, pair) in enumerate(mine)]
