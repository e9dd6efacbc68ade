"""Explains pictures as Ray Data work, on this machine or a cluster. What is done our own journal decides, not Ray's.

Every actor holds the model; Ray starts another one where one dies, and gives it the shard anew. OUT and the pictures
must be on a file system that all machines share.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnexplain.commands import BatchCommand
from cnnexplain.errors import CnnexplainError, OptionError, WorkerError, first_line
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Request
from cnnexplain.runner.workers.shard import ShardResult, ShardWorker, WorkerSetup, shards
from cnnexplain.runner.workers.worker import Done, Worker

ANSWERS_WITHIN = 10  # seconds
RETRIES = 3  # of a shard whose actor died; Ray's own are without end


def explained(
    request: Request[BatchCommand], device: str, jobs: Sequence[Job], own: Worker
) -> Iterator[Done]:
    """What becomes of every job, in order. Raises `OptionError` where there is no Ray, or no cluster."""
    ray = _connected(request.run.ray_address)
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it sets its own when it is imported
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        resources = ray.cluster_resources()
        kind = device.partition(":")[0]
        available = int(resources.get("GPU", 0)) if kind == "cuda" else len(ray.nodes())
        processes = request.run.processes or max(1, available)
        threads = request.run.workers or max(1, int(resources.get("CPU", 1)) // processes)
        share = WorkerSetup(request, own.images, kind, threads, own.model.preprocess, own.model.own_labels)
        rows = [{"shard": pickle.dumps(one)} for one in shards(jobs, own.batch.size)]
        work = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_args=(pickle.dumps(share),),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=processes),
            num_cpus=threads if kind != "cuda" else None,
            num_gpus=1 if kind == "cuda" else None,
            max_task_retries=RETRIES,
        )
        for row in work.iter_rows():
            answer = pickle.loads(row["answer"])  # noqa: S301 - our own, from our own process
            if isinstance(answer, CnnexplainError):
                raise answer
            own.join(answer.seconds, answer.alone)
            yield from answer.done
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"Ray gave up: {first_line(error)}", "see Ray's logs; the same command continues from here"
        ) from error
    finally:
        ray.shutdown()


def _connected(address: str | None) -> Any:
    """The module of Ray, connected to a cluster, or started on this machine. Raises `OptionError` where it is not."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
        import ray.data  # noqa: F401 - reached through ray
    except ImportError as error:
        raise OptionError(
            "--engine ray needs Ray, which is not installed", "pip install 'cnnexplain[ray]'"
        ) from error
    _require_reachable(address)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:  # from a stranger's cluster, nearly anything
        raise OptionError(
            f"no Ray at {address or 'this machine'}: {first_line(error)}", "see whether `ray status` finds it"
        ) from error
    signal.signal(signal.SIGTERM, terminate)  # Ray's own would end the run without a word
    return ray


def _require_reachable(address: str | None) -> None:
    """Raise `OptionError` where nobody answers, which Ray itself waits for many minutes to say."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise OptionError(
            f"no Ray at {address}: {first_line(error)}", "see whether `ray status` finds it there"
        ) from error


class Actor:
    """What Ray keeps alive on a machine."""

    def __init__(self, share: bytes) -> None:
        self._worker = ShardWorker(pickle.loads(share))  # noqa: S301 - from the process that started this one

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Explain the shards of a batch, which is one."""
        return {"answer": np.array([self._answer(one) for one in batch["shard"]], object)}

    def _answer(self, shard: bytes) -> bytes:
        answer: ShardResult | CnnexplainError
        try:
            answer = self._worker.explained(pickle.loads(shard))  # noqa: S301 - as above
        except CnnexplainError as error:
            answer = error
        return pickle.dumps(answer)
