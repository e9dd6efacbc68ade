"""What explains pictures within one process: decoding, computing, drawing and writing overlap."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closing_generator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from PIL import Image

from cnnexplain.commands import BatchCommand, FolderCommand
from cnnexplain.core.explanation import Explanation
from cnnexplain.core.loading import Loaded
from cnnexplain.engine.model import Model
from cnnexplain.engine.pipeline import ahead
from cnnexplain.engine.pool import closing
from cnnexplain.engine.streams import Streams
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.errors import CnnexplainError, ImageModelError, LayerError, ModelError
from cnnexplain.images.decode import read
from cnnexplain.images.decoded import DecodeOptions
from cnnexplain.render.kit.panel import drawn
from cnnexplain.runner.explain import BatchSize, Prepared, explain, prepared
from cnnexplain.runner.explain import wanted as wanted_of
from cnnexplain.runner.output.files import Files
from cnnexplain.runner.output.write import Explained, Job, Writer, file_facts
from cnnexplain.runner.request import Request
from cnnexplain.runner.tensorboard.log import Values, values_of
from cnnexplain.runner.workers.deadly_images import find_deadly
from cnnexplain.runner.workers.process import step_back
from cnnexplain.runner.workers.timings import DECODING, EXPLAINING, WRITING, Stages

UNDER_WAY = 5  # batches at most between decoding and the journal, in one process
SOUGHT = 4  # batches in which as many pictures as one has are looked for that can be read
SHARPER = 2  # a picture is decoded to at least so many times the size that the model sees


Decoding = tuple[Job, Prepared | Exception]


@dataclass(frozen=True)
class Done:
    """What became of a job: its record, and the values for the TensorBoard log, where there is one."""

    job: Job
    record: dict[str, Any]
    values: Values = field(default_factory=dict)
    suspect: Exception | None = (
        None  # what failed, where the model or we may be to blame, and not the picture
    )


@dataclass(frozen=True)
class Worker:
    """A model, a method, and where the results go."""

    model: Model
    method: BatchCommand
    writer: Writer
    batch: BatchSize
    threads: int
    images: int  # of the whole run
    with_values: bool = False  # whether the TensorBoard log wants the values
    stages: Stages = field(default_factory=Stages)
    streams: Streams = field(default_factory=Streams)

    def explained(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Explain and write every job, in order but for those that fail. Inside `model.borrowed()`."""
        self.streams.settle(self.model, -(-self.images // self.batch.size))
        depth = 2 * max(self.batch.size, self.threads)
        begin = None if self.streams.count > 1 else step_back
        with closing(ThreadPoolExecutor(self.threads, "decode", begin)) as pool:
            batches = self._batches(ahead(pool, self._prepared, jobs, depth))
            with closing_generator(self.streams.answers(self.model, self._of_batch, batches)) as explained:
                yield from ahead(pool, self._written, chain.from_iterable(explained), depth)

    def sample(self, jobs: Sequence[Job]) -> list[Prepared]:
        """Decode the first pictures of jobs, as many as a batch has; fewer where many cannot be read."""
        size = self.batch.size
        decoded = (picture for _, picture in map(self._prepared, jobs[: SOUGHT * size]))
        return list(islice((picture for picture in decoded if isinstance(picture, Prepared)), size))

    def join(self, seconds: Mapping[str, float], alone: str | None) -> None:
        """Take in what a process of its own has spent, and why its pictures went one at a time, if they had to."""
        self.stages.add(seconds)
        self.model.chunks.alone = self.model.chunks.alone or alone

    def deadly(self, jobs: Sequence[Job], processes: int) -> Iterator[Done]:
        """What is to be said of the pictures that so many processes died of, which were to do these jobs next."""
        under_way = jobs[: UNDER_WAY * max(self.batch.size, self.threads) * processes]
        under_way = [replace(job, file=file_facts(job.source.file)) for job in under_way]
        errors = find_deadly([job.source.file for job in under_way], self.wanted)
        for job in under_way:
            if job.source.file in errors:
                yield self._written(Explained(job, errors[job.source.file]))

    @property
    def wanted(self) -> DecodeOptions:
        """What is needed of a picture."""
        preprocess = self.model.preprocess
        return wanted_of(preprocess, (SHARPER * max(preprocess.resize), self.writer.render.max_side))

    def _prepared(self, job: Job) -> tuple[Job, Prepared | Exception]:
        """Decode a picture, cut out what the model sees, and keep no more than will be drawn."""
        with self.stages.spent(DECODING):
            job = replace(job, file=file_facts(job.source.file))  # now: it may be another one later
            try:
                preprocess = self.model.preprocess
                picture = prepared(job.source.path, read(job.source.file, self.wanted), preprocess)
                shown = (
                    drawn(picture.picture, self.writer.render.max_side)
                    if self.writer.draws
                    else Image.new("RGB", (1, 1))
                )
                return job, replace(picture, picture=shown, expected=job.expected, place=job.place)
            except Exception as error:  # noqa: BLE001 - whatever a picture causes, memory too, must not cost the others
                return job, error

    def _batches(self, decoded: Iterable[Decoding]) -> Iterator[list[Decoding]]:
        """Pictures in batches, which are filled whatever comes between; those that failed alone."""
        waiting: list[Decoding] = []
        for job, picture in decoded:
            if not isinstance(picture, Prepared):
                yield [(job, picture)]
                continue
            waiting.append((job, picture))
            if len(waiting) >= self.batch.size:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _of_batch(self, model: Model, batch: list[Decoding], threads: int) -> list[Explained]:
        """What is found in every picture of a batch, computed by so many threads, or by this one alone where 0."""
        pictures = [picture for _, picture in batch if isinstance(picture, Prepared)]
        if not pictures:
            return [Explained(job, error) for job, error in batch if isinstance(error, Exception)]
        jobs = {id(picture): job for job, picture in batch}
        # Rounding depends on how many go together, and must not depend on which of a run's are left to be done.
        size = min(self.batch.size, self.images)
        with self.stages.spent(EXPLAINING, threads):
            outcomes = [
                (jobs[id(picture)], _of_picture(outcome))
                for picture, outcome in explain(
                    model, self.method, pictures, whole=self.writer.save_raw, batch=self.batch, size=size
                )
            ]
        for _, outcome in outcomes:
            if isinstance(outcome, Explanation):
                self.stages.add(outcome.seconds)
        return [Explained(job, outcome, suspected=_is_suspected(outcome)) for job, outcome in outcomes]

    def _written(self, result: Explained) -> Done:
        with self.stages.spent(WRITING):
            record = self.writer.write(result)
            outcome = result.outcome
            if self.with_values and isinstance(outcome, Explanation) and record["status"] == "ok":
                return Done(result.job, record, values_of(outcome, record))
            suspect = outcome if result.suspected and isinstance(outcome, Exception) else None
            return Done(result.job, record, suspect=suspect)


def _of_picture(outcome: Explanation | Exception) -> Explanation | Exception:
    """What is recorded of a picture, where its explanation failed with something that is not said of all pictures."""
    if isinstance(outcome, (ModelError, LayerError)):
        return ImageModelError(
            outcome.problem,
            "see how this picture differs from those that the model takes; --max-failures N allows some to fail",
        )
    if isinstance(outcome, CnnexplainError) and outcome.stops_run:
        raise outcome
    return outcome


def _is_suspected(outcome: Explanation | Exception) -> bool:
    """Whether the model or we may be to blame for a failure, and not the picture."""
    ours = not isinstance(outcome, (Explanation, CnnexplainError))  # a defect, as it seems
    return ours or isinstance(outcome, ImageModelError)


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_of(
    request: Request[BatchCommand],
    folder: Files | None,
    model: Model,
    loaded: Loaded,
    method: BatchCommand,
    images: int,
    threads: int | None = None,
) -> Worker:
    """What explains pictures in this process, as the request says; with as many threads as there are cores.

    Without a folder nothing is drawn or written.
    """
    where = request.run
    writer = Writer(
        folder,
        request.command,
        loaded.reference,
        request.chosen,
        request.render,
        where.save_raw,
        where.pictures and folder is not None and not isinstance(method, FolderCommand),
        model.labels,
        request.answers.only,
    )
    usual = method.image_by_image and where.batch_size == "auto"
    batch = BatchSize(1 if batch_choice(model) or usual else where.batch(model.device.type, images))
    threads = threads or where.workers or cores()
    return Worker(model, method, writer, batch, threads, images, with_values=where.tensorboard is not None)
