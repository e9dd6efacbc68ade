"""What a run is about: its images, model and command, settled before any time is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cnnexplain.commands import ImageCommand, bound
from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import Loaded
from cnnexplain.core.reduce import Reductions
from cnnexplain.engine.model import Model
from cnnexplain.engine.trace.mixing import batch_choice
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.images.find import ImagePath, find
from cnnexplain.runner.answers import ExpectedClasses, build_for
from cnnexplain.runner.options import allowed_failures
from cnnexplain.runner.output.folder import Folder, checked_folder, written_by_us
from cnnexplain.runner.output.names import stems
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Observer, Request
from cnnexplain.runner.tensorboard.log import TensorBoardLog, log_at
from cnnexplain.runner.workers.worker import Worker, worker_of


@dataclass(frozen=True)
class Task:
    """All that is settled before the first image is explained."""

    request: Request
    observer: Observer
    started: float  # seconds since 1970
    clock: float  # seconds of a clock that nobody sets
    folder: Folder | None  # None where nothing is to be written
    log: TensorBoardLog | None
    sources: Sequence[ImagePath]  # of the whole run
    jobs: Sequence[Job]  # of this part of it
    allowed: float  # how many of them may fail
    answers: ExpectedClasses
    model: Model
    loaded: Loaded
    method: ImageCommand
    choices: tuple[Choice, ...]
    reductions: Reductions

    def seconds(self) -> float:
        """How long it took until now."""
        return time.monotonic() - self.clock

    def worker(self) -> Worker:
        """What explains images in this process."""
        return worker_of(self.request, self.folder, self.model, self.loaded, self.method, len(self.jobs))


def settle(request: Request, observer: Observer) -> Task:
    """Find the images, load the model, bind the command: whatever cannot be done is said before any time is spent."""
    started, clock = time.time(), time.monotonic()
    _begin(request)
    folder = None if request.run.output is None else checked_folder(request.run.output)
    log = log_at(request.run.tensorboard, request.command)
    sources = find(request.images, request.find, request.run.output, written_by_us, request.model.seed)
    jobs = _jobs(request, sources)
    allowed = allowed_failures(request.run.max_failures, len(jobs))
    answers = ExpectedClasses(request, sources)
    model, loaded, choices = build_for(request)
    model.require_finite_weights()
    method, more = bound(request.method, model)
    alone = batch_choice(model)  # before the model's choices: it looks at the model
    choices = (*choices, *model.choices, *alone, *more)
    observer.loaded(model, loaded.source, choices)
    return Task(
        request=request,
        observer=observer,
        started=started,
        clock=clock,
        folder=folder,
        log=log,
        sources=sources,
        jobs=answers.settled(model, sources, jobs),
        allowed=allowed,
        answers=answers,
        model=model,
        loaded=loaded,
        method=method,
        choices=choices,
        reductions=Reductions.of(method.reducers),
    )


def _begin(request: Request) -> None:
    """See that what is asked for makes sense, and settle what the whole process shares."""
    refuse_bombs()
    torch.manual_seed(request.model.seed)
    request.run.require_sense()
    request.answers.require_sense()


def _jobs(request: Request, sources: Sequence[ImagePath]) -> list[Job]:
    """What this run is to do: a shard takes its pictures in turns, so that all parts have as much of everything."""
    part, parts = request.run.part()
    mine = list(zip(sources, stems(sources), strict=True))[part - 1 :: parts]
    return [Job(position, source, stem) for position, (source, stem) in enumerate(mine)]
