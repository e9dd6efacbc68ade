"""Pictures that may have ended an earlier run, decoded apart: in a process that may die of them."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

from cnnexplain.errors import DeadlyImageError
from cnnexplain.images.decode import read, refuse_bombs
from cnnexplain.images.decoded import DecodeOptions
from cnnexplain.runner.workers.process import end_with_parent, leave_signals


def find_deadly(paths: Sequence[str], wanted: DecodeOptions) -> dict[str, DeadlyImageError]:
    """Those of the pictures that end the process which decodes them, by path, each with what is to be said of it.

    A decoder written in C that is led astray ends the whole program, and no `except` holds it.
    """
    deadly: dict[str, DeadlyImageError] = {}
    left = list(paths)
    while left:
        decoded, end = _decoded(left, wanted)
        if end is None or decoded == len(left):
            break
        deadly[left[decoded]] = DeadlyImageError(
            f"decoding it ends the program ({end})",
            "remove the picture, or save it again with another program",
        )
        left = left[decoded + 1 :]
    return deadly


def _decoded(paths: Sequence[str], wanted: DecodeOptions) -> tuple[int, str | None]:
    """How many were decoded by a process, and how it ended before its time, if it did."""
    context = get_context("spawn")  # a fork would share locks of torch's threads
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_decode, args=(paths, wanted, theirs), daemon=True)
    process.start()
    theirs.close()
    decoded = -1  # until it has begun
    try:
        with suppress(EOFError):
            while decoded < len(paths):
                ours.recv_bytes()
                decoded += 1
        process.join()
    finally:
        process.kill()
        ours.close()
    code = process.exitcode or 0
    if decoded < 0 or code in (0, -signal.SIGTERM):  # by a scheduler, who ends this process too
        return max(decoded, 0), None
    return decoded, signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _decode(paths: Sequence[str], wanted: DecodeOptions, listener: Connection) -> None:
    leave_signals()
    end_with_parent()
    refuse_bombs()
    with suppress(OSError):  # nobody is listening any more
        listener.send_bytes(b"begun")
        for path in paths:
            with suppress(Exception):  # told when its turn comes
                read(path, wanted)
            listener.send_bytes(b"decoded")
