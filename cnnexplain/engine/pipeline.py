"""Decoding, computing and drawing at the same time, with a bounded number of pictures in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

from cnnexplain.core.interrupts import held
from cnnexplain.engine.pool import result, submit

From = TypeVar("From")
To = TypeVar("To")


def ahead(pool: Executor, work: Callable[[From], To], items: Iterable[From], depth: int) -> Iterator[To]:
    """`work` of every item, in order, with up to `depth` of them done ahead of time in the pool."""
    source = iter(items)
    waiting: deque[Future[To]] = deque(submit(pool, work, item) for item in islice(source, depth))
    try:
        while waiting:
            done = result(waiting.popleft())
            waiting.extend(submit(pool, work, item) for item in islice(source, 1))
            yield done
    finally:
        with held:
            for future in waiting:
                future.cancel()


def batched(items: Iterable[From], size: int) -> Iterator[list[From]]:
    """Lists of `size` items; the last may be shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
