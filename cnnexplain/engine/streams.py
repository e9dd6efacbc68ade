"""Threads that each compute with a copy of a model and a processor of their own: batches, or the chunks of one picture.

The threads of one batch wait for each other in every layer, and beside other programs for the one that was kept from
its processor: a batch of eight through EfficientNet-Lite0 takes ten times as long on two processors of which another
program keeps one busy. Threads that each have a batch of their own wait for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closing_generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from cnnexplain.engine.chunks import split
from cnnexplain.engine.copies import copies, refresh
from cnnexplain.engine.pipeline import ahead
from cnnexplain.engine.pool import closing
from cnnexplain.engine.trace.tracing import learnt
from cnnexplain.errors import is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

Work = TypeVar("Work")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Streams:
    """Computes batches of a model: several at the same time where threads can share its weights, or one by one."""

    def __init__(self) -> None:
        self.count = 0  # how many compute at the same time; 0 until it is settled
        self.reason = ""  # why no more than one does, where several could
        self.depth = 0  # of the blocks in which the model is borrowed: copies are made anew in each
        self._copies: tuple[Model, ...] = ()
        self._hooks = 0  # that were there when the copies were made, and are therefore theirs as well
        self._short = False  # whether memory did not suffice for several

    def settle(self, model: Model, batches: int) -> None:
        """Find out how many streams so many batches have. Inside `model.borrowed()`.

        They are as many as torch has threads, each of which computes with one. So what is computed depends neither on
        the number of threads nor on that of streams. On a GPU, which takes larger batches, and of one batch, there is
        one.
        """
        count = min(batches, torch.get_num_threads())
        if count > len(self._copies) and not self.reason and not self._short and model.device.type == "cpu":
            self._hooks = _hooks(model.module)
            more, self.reason = copies(model, count - len(self._copies)) if count > 1 else ((), "")
            self._copies += more
        self.count = max(1, len(self._copies[:count]))

    def forget(self) -> None:
        """Let the copies go: the model is given back, and may be another one the next time."""
        self._copies, self.reason, self._short = (), "", False

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
        if self.count > 1:
            yield from self._at_once(model, work, batches)
            return
        threads = torch.get_num_threads() if model.device.type == "cpu" else 1
        for batch in batches:
            yield work(model, batch, threads)

    def of_chunks(
        self, model: Model, work: Callable[[Model, range], Result], chunks: list[range]
    ) -> Generator[list[tuple[range, Result]], None, None]:
        """The results of `work` for chunks of the inputs made of one picture, with the rows that each is of.

        One computing thread each, whether there are several streams or one. Where memory does not suffice for several
        at a time they go on one by one.
        """

        def of_chunk(own: Model, chunk: range, _threads: int = 0) -> list[tuple[range, Result]]:
            return list(own.chunks.within(chunk, lambda rows: work(own, rows)))

        done = 0
        if self._usable(model):
            self.settle(model, len(chunks))
        if self.count > 1 and self._usable(model):
            refresh(model, self._copies)
            try:
                with closing_generator(self._at_once(model, of_chunk, chunks)) as answers:
                    for answer in answers:
                        done += 1
                        yield answer
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._short, self._copies, self.count = True, (), 1
        with one_thread(only=not self.reason and model.device.type == "cpu"):
            for chunk in chunks[done:]:
                yield of_chunk(model, chunk)

    def _usable(self, model: Model) -> bool:
        """Whether a copy would run as the model does here: hooks and what watches torch's functions are not copied."""
        watched = torch._C._len_torch_function_stack() > 0 or torch.is_autocast_enabled(model.device.type)
        return not watched and not (self._copies and _hooks(model.module) != self._hooks)

    def _at_once(
        self, model: Model, work: Callable[[Model, Work, int], Answer], batches: Iterable[Work]
    ) -> Generator[Answer, None, None]:
        used = self._copies[: self.count]
        free, own, grad = (
            [_like(model, stream) for stream in used],
            threading.local(),
            torch.is_grad_enabled(),
        )

        def begin() -> None:
            torch.set_num_threads(1)
            own.model = free.pop()
            own.model.chunks.stopped = False

        def of_batch(batch: Work) -> Answer:
            stream: Model = own.model
            with stream.borrowed(), torch.set_grad_enabled(grad):
                answer = work(stream, batch, 0)
            model.chunks.alone = model.chunks.alone or stream.chunks.alone  # which the run says
            return answer

        # What a thread sets holds for those that begin after it.
        with one_thread(), closing(ThreadPoolExecutor(len(used), "stream", begin)) as pool:
            try:
                yield from ahead(pool, of_batch, batches, len(used) + 1)
            finally:
                for stream in used:  # which may be in the midst of a batch that nobody waits for
                    stream.chunks.stopped = True


def over(
    model: Model,
    rows: int,
    work: Callable[[Model, range], Result],
    row_size: float = 1,
    most: int | None = None,
) -> Iterator[tuple[range, Result]]:
    """Do `work` on many inputs made of one picture, in streams of some at a time. Inside `model.borrowed()`.

    How many go together depends on neither threads nor streams, so that the results are the same bytes. After an
    out-of-memory error it is fewer, and one where the model's own code fails on several and not on one.

    Args:
        model: The model.
        rows: How many inputs there are.
        work: Called with the model or a copy of it, for a thread of its own, and the rows that it shall compute; in
            any order, and several at the same time.
        row_size: How many times an input of 224x224 a row is.
        most: How many rows are wanted at once where the device is not to say it.

    Yields:
        Rows in order, and what `work` returned for them.

    Raises:
        Exception: What `work` raised for a single row.
    """
    chunks = split(rows, model.device, row_size, 1 if model.chunks.alone else most)
    with closing_generator(model.streams.of_chunks(model, work, chunks)) as answers:
        for answer in answers:
            yield from answer


def of_pictures(
    model: Model, pictures: int, work: Callable[[Model, range], Result], row_size: float
) -> Iterator[tuple[range, Result]]:
    """Do `work` on the pictures of a batch as `over` does; on a single one with all threads."""
    if pictures == 1:
        yield range(1), work(model, range(1))
        return
    yield from over(model, pictures, work, row_size)


@contextmanager
def one_thread(*, only: bool = True) -> Iterator[None]:
    """Inside the block torch computes with the calling thread alone, where `only` says so."""
    threads = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if only:
            torch.set_num_threads(threads)


@contextmanager
def streaming(streams: Streams) -> Iterator[None]:
    """A block in which a model is borrowed; at the end of the outermost its copies are let go."""
    streams.depth += 1
    try:
        yield
    finally:
        streams.depth -= 1
        if not streams.depth:
            streams.forget()


def _like(model: Model, copied: Model) -> Model:
    """A copy of the model as it is asked here, which may be fed otherwise than the one that was copied."""
    own = replace(
        model, module=copied.module, chunks=copied.chunks, layout=copied.layout, streams=copied.streams
    )
    return learnt(own, model)


def _hooks(module: nn.Module) -> int:
    return sum(len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules())
