"""Signals that wait for a moment at which they do no harm.

An exception that a signal raises while a lock of the standard library is being taken may leave it locked for good, and
whoever wants it next waits for ever: so Ctrl-C within `ThreadPoolExecutor.submit` (Python 3.11) left a command hanging.
"""

from __future__ import annotations

import threading


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
