"""Threads that each compute one batch after another, with a copy of the model and a processor of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from cnnexplain.engine.model import Model
from cnnexplain.engine.streams import copies
from cnnexplain.runner.workers.pipeline import ahead
from cnnexplain.runner.workers.pool import closing

Work = TypeVar("Work")
Answer = TypeVar("Answer")


class Streams:
    """Computes batches of a model: several at the same time where threads can share its weights, or one by one."""

    def __init__(self) -> None:
        self.count = 0  # how many compute at the same time; 0 until it is settled
        self.reason = ""  # why no more than one does, where several could
        self._copies: tuple[Model, ...] = ()

    def settle(self, model: Model, batches: int) -> None:
        """Find out how many streams a run of so many batches has. Inside `model.borrowed()`, once.

        They are as many as torch has threads, each of which computes with one. So what is computed depends neither on
        the number of threads nor on that of streams. On a GPU, and of one batch, there is one.
        """
        count = min(batches, torch.get_num_threads())
        if not self.count and model.device.type == "cpu" and count > 1:
            self._copies, self.reason = copies(model, count)
        self.count = max(1, len(self._copies))

    def answers(
        self, model: Model, work: Callable[[Model, Work, int], Answer], batches: Iterable[Work]
    ) -> Generator[Answer, None, None]:
        """The answers of `work` for every batch, in order. Inside `model.borrowed()`.

        Args:
            model: Is looked at already, and settled.
            work: Called with a model, a batch, and how many threads compute it: 0 for the calling one alone.
            batches: Taken one after another, as they are needed.

        Yields:
            What `work` returned. What it raises is raised in the batch's place.
        """
        if self._copies:
            yield from self._at_once(model, work, batches)
            return
        threads = torch.get_num_threads() if model.device.type == "cpu" else 1
        for batch in batches:
            yield work(model, batch, threads)

    def _at_once(
        self, model: Model, work: Callable[[Model, Work, int], Answer], batches: Iterable[Work]
    ) -> Generator[Answer, None, None]:
        free, own = list(self._copies), threading.local()

        def begin() -> None:
            torch.set_num_threads(1)
            own.model = free.pop()
            own.model.chunks.stopped = False

        def of_batch(batch: Work) -> Answer:
            stream: Model = own.model
            with stream.borrowed():
                answer = work(stream, batch, 0)
            model.chunks.alone = model.chunks.alone or stream.chunks.alone  # which the run says
            return answer

        threads = torch.get_num_threads()
        try:
            with closing(ThreadPoolExecutor(self.count, "stream", begin)) as pool:
                try:
                    yield from ahead(pool, of_batch, batches, self.count + 1)
                finally:
                    for stream in self._copies:  # which may be in the midst of a batch that nobody waits for
                        stream.chunks.stopped = True
        finally:
            torch.set_num_threads(threads)  # what a thread sets holds for those that begin after it
