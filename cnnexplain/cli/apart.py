"""Standard output for data alone, whatever other code writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextmanager
def apart(stream: TextIO | None) -> Iterator[TextIO | None]:
    """Standard output as a stream that only its holder can write to, in the block and after it.

    In the block the descriptor that everybody knows leads to standard error: libraries that are not written in Python,
    and programs that a model starts, write there and know nothing of `sys.stdout`. A stream that is not the process's
    standard output is handed back as it is.
    """
    if stream is None or not _is_standard(stream):
        yield stream
        return
    stream.flush()
    kept = os.dup(STDOUT)
    held = open(kept, "w", encoding=stream.encoding, errors=stream.errors)  # noqa: SIM115 - used after the block
    os.dup2(STDERR, STDOUT)
    try:
        yield held
    finally:
        os.dup2(kept, STDOUT)


def _is_standard(stream: TextIO) -> bool:
    """Whether a stream is the process's standard output, beside an open standard error."""
    try:
        os.fstat(STDERR)
        return stream.fileno() == STDOUT
    except (OSError, ValueError, AttributeError):  # closed, or made by somebody who captures it
        return False
