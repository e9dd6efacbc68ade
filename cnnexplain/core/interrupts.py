"""Signals that wait for a moment at which they do no harm.

An exception that a signal raises while a lock of the standard library is being taken may leave it locked for good, and
whoever wants it next waits for ever: so Ctrl-C within `ThreadPoolExecutor.submit` (Python 3.11) left a command hanging.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

To = TypeVar("To")

LOOK = 0.1  # seconds between two looks whether a signal came, while something is waited for


class _State(threading.local):  # signals are handled by the main thread, whatever others do
    depth = 0
    waiting: type[BaseException] | None = None


_state = _State()


def interrupt(error: type[BaseException]) -> None:
    """Raise an error now, or at the end of the block that holds it. Called by a signal's handler."""
    if not _state.depth:
        raise error
    _state.waiting = error


class Held:
    """A block in which `interrupt` raises nothing; what came meanwhile is raised at its end. Blocks may be nested."""

    def __enter__(self) -> None:
        _state.depth += 1

    def __exit__(self, *_: object) -> None:
        _state.depth -= 1
        error = _state.waiting
        if error is not None and not _state.depth:
            _state.waiting = None
            raise error


held = Held()
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
