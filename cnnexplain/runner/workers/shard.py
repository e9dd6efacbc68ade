"""A shard: some pictures that one of several processes explains and writes, and what came of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from cnnexplain.commands import BatchCommand, bound
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.engine.pipeline import batched
from cnnexplain.errors import first_line
from cnnexplain.images.decode import refuse_bombs
from cnnexplain.runner.model import build
from cnnexplain.runner.output.files import Files
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Request
from cnnexplain.runner.workers.process import make_own, print_aside
from cnnexplain.runner.workers.worker import Done, worker_of

BATCHES = 2  # of a shard: few are lost with a process that dies, and one is decoded while another is computed


@dataclass(frozen=True)
class WorkerSetup:
    """What a process needs to know before its first shard."""

    request: Request[BatchCommand]
    images: int  # of the whole run
    device: str
    threads: int
    preprocess: Preprocess  # as the whole run has settled it
    labels: Sequence[str] | None  # as well: none where nobody named the classes


@dataclass(frozen=True)
class ShardResult:
    """What came of a shard, the seconds of every stage, and why pictures had to go one at a time, if they had to."""

    done: tuple[Done, ...]
    seconds: Mapping[str, float]
    alone: str | None


class ShardWorker:
    """Holds the model in a process of its own, for shard after shard."""

    def __init__(self, share: WorkerSetup) -> None:
        os.chdir(share.request.start)
        output = share.request.run.output
        folder = (
            None if output is None else Files(output)
        )  # now: the user's own code may go to another folder
        make_own()
        print_aside()
        refuse_bombs()
        torch.set_num_threads(share.threads)
        request = replace(share.request, where=replace(share.request.where, device=share.device))
        torch.manual_seed(request.model.seed)
        model, loaded, _ = build(request.reference, request.model, request.where, share.preprocess)
        model = replace(model, own_labels=share.labels)
        method, _ = bound(request.action, model)
        self._worker = worker_of(request, folder, model, loaded, method, share.images, share.threads)

    def explained(self, jobs: Sequence[Job]) -> ShardResult:
        """Explain and write the pictures of a shard."""
        with self._worker.model.borrowed():
            done = tuple(_portable(one) for one in self._worker.explained(jobs))
        return ShardResult(done, self._worker.stages.taken(), self._worker.model.chunks.alone)


def _portable(done: Done) -> Done:
    """The same, with an error that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(done.suspect))  # noqa: S301 - our own, from this very process
    except Exception as error:  # noqa: BLE001 - a stranger's error may raise anything
        return replace(done, suspect=RuntimeError(first_line(done.suspect or error)))
    return done


def shards(jobs: Iterable[Job], batch: int) -> Iterator[tuple[Job, ...]]:
    """Jobs as shards of a few batches."""
    return (tuple(some) for some in batched(jobs, batch * BATCHES))
