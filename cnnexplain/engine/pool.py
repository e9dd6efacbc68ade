"""Work in a pool whose locks no signal leaves locked: see `core.interrupts`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from cnnexplain.core.interrupts import held

To = TypeVar("To")

LOOK = 0.1  # seconds between two looks whether a signal came, while something is waited for

_under_way: WeakKeyDictionary[Executor, WeakSet[Future[Any]]] = WeakKeyDictionary()


@contextmanager
def closing(pool: Executor) -> Iterator[Executor]:
    """A pool for a block. At its end what is under way is waited for, unless a signal comes; the rest is given up."""
    futures = _under_way.setdefault(pool, WeakSet())
    try:
        yield pool
    finally:
        with held:
            pool.shutdown(wait=False, cancel_futures=True)
        for future in list(futures):
            _finish(future)
        with held:
            pool.shutdown()


def submit(pool: Executor, work: Callable[..., To], *arguments: Any) -> Future[To]:
    """Have a pool do some work, which `closing` waits for."""
    with held:
        future = pool.submit(work, *arguments)
        _under_way.setdefault(pool, WeakSet()).add(future)
        return future


def result(future: Future[To]) -> To:
    """What came of some work. A signal is raised while it is waited for; so is what the work raised."""
    _finish(future)
    with held:
        return future.result()


def _finish(future: Future[Any]) -> None:
    while not future.done():
        with held:
            wait([future], LOOK)
