"""Signals, from the first import on: whoever stops the command gets words, not a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has not all of them
CODES = (
    130,
    143,
)  # of `errors.ExitCode`, whose import would leave a signal more time to come before it is watched
BEFORE_ANYTHING = ("interrupted before anything was done", "run the same command again")

_at_work = False
_code: int | None = None  # the exit code, once it is known


def watch() -> None:
    """End the process in words when it is interrupted or terminated, until it is `at_work`.

    A signal that whoever started the process has it ignore, as `nohup` does, stays ignored.
    """
    global _at_work, _code
    _at_work, _code = False, None
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def at_work() -> None:
    """From here on a signal raises `KeyboardInterrupt`, or `Terminated`, so that what was done is written down.

    Where locks are held it waits: see `core.interrupts`.
    """
    # So that no signal comes while they are half there.
    import cnnexplain.core.interrupts  # noqa: F401
    import cnnexplain.errors  # noqa: F401

    global _at_work  # noqa: PLW0603 - as above
    _at_work = True


def over(code: int) -> None:
    """From here on a signal only ends the process sooner, with the exit code that is known."""
    global _code  # noqa: PLW0603 - as above
    _code = code


def _stop(number: int, _frame: FrameType | None) -> None:
    if _code is not None:
        os._exit(_code)
    by_keyboard = number == signal.SIGINT
    if _at_work:
        from cnnexplain.core.interrupts import interrupt  # as `at_work` did
        from cnnexplain.errors import Terminated

        interrupt(KeyboardInterrupt if by_keyboard else Terminated)
        return
    # Not by an exception: imports catch those, print them, or make others of them.
    problem, hint = BEFORE_ANYTHING
    with contextlib.suppress(OSError):  # nobody is there to read it
        os.write(2, f"error: {problem}\nhint: {hint}\n".encode())
    os._exit(CODES[0] if by_keyboard else CODES[1])
