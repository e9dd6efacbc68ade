"""Explains pictures in several processes of this machine, one for each device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from multiprocessing.queues import Queue

from cnnexplain.commands import BatchCommand
from cnnexplain.engine.pool import closing, result, submit
from cnnexplain.errors import WorkerError
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Request
from cnnexplain.runner.workers.process import end_with_parent, leave_signals
from cnnexplain.runner.workers.shard import ShardResult, ShardWorker, WorkerSetup, shards
from cnnexplain.runner.workers.worker import Done, Worker, cores

TRIES = 3  # after so many deaths in a row, with nothing done in between, it is no accident

_worker: ShardWorker | None = None


def explained(
    request: Request[BatchCommand], devices: Sequence[str], jobs: Sequence[Job], own: Worker
) -> Iterator[Done]:
    """What becomes of every job. What a process took with it when it died is done again by others.

    `own` is the worker of this process, which finds out whether a picture was what the others died of.
    """
    left, deaths = list(jobs), 0
    while left:
        done = 0
        try:
            for answer in _answers(request, devices, left, own):
                own.join(answer.seconds, answer.alone)
                for item in answer.done:
                    done += 1
                    yield item
            return
        except BrokenProcessPool as error:
            deaths = 1 if done else deaths + 1
            if deaths == TRIES:
                raise WorkerError(
                    f"a process that explains pictures crashed {TRIES} times in a row: killed, or short of memory",
                    "try fewer --processes, or a smaller --batch-size; the same command continues from here",
                ) from error
        left = left[done:]
        for item in own.deadly(left, len(devices)):
            yield item
            left = [job for job in left if job.position != item.job.position]
            deaths = 0


def _answers(
    request: Request[BatchCommand], devices: Sequence[str], jobs: Sequence[Job], own: Worker
) -> Iterator[ShardResult]:
    context = get_context("spawn")  # a fork would share locks of torch's threads
    threads = request.run.workers or max(1, cores() // len(devices))
    waiting: Queue[WorkerSetup] = context.Queue()
    for device in devices:
        waiting.put(
            WorkerSetup(request, own.images, device, threads, own.model.preprocess, own.model.own_labels)
        )
    source = shards(jobs, own.batch.size)
    with closing(ProcessPoolExecutor(len(devices), context, _begin, (waiting,))) as pool:
        under_way = deque(submit(pool, _shard, shard) for shard in islice(source, 2 * len(devices)))
        try:
            while under_way:
                answer = result(under_way[0])
                under_way.popleft()
                under_way.extend(submit(pool, _shard, shard) for shard in islice(source, 1))
                yield answer
        except KeyboardInterrupt:
            for future in under_way:
                if not future.cancel():  # it was begun, and is noted: what is done is not to be lost
                    yield result(future)
            raise


def _begin(waiting: Queue[WorkerSetup]) -> None:
    global _worker  # noqa: PLW0603 - the process holds one model
    leave_signals()
    end_with_parent()
    _worker = ShardWorker(waiting.get())


def _shard(jobs: tuple[Job, ...]) -> ShardResult:
    if _worker is None:
        raise RuntimeError("a shard came before the model")
    return _worker.explained(jobs)
