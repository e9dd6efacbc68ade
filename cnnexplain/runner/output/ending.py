"""How a run ends that writes into a folder: well, by an error, or because somebody stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from cnnexplain.errors import InterruptedRunError, OutputError

Status = Literal["finished", "interrupted"]


@contextmanager
def ended(conclude: Callable[[Status], None], note: Callable[[], None]) -> Iterator[None]:
    """Run a block, and conclude whatever came of it.

    Args:
        conclude: Writes what is written once, at the end.
        note: Writes no more than that the run was interrupted, where concluding fails or is interrupted itself.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM came while `conclude` was at work after a block that went well.
        Exception: What `conclude` raised, after a block that went well. Where the block itself failed, its own error is
            the one raised, whatever concluding raises.
    """
    try:
        yield
    except BaseException:
        try:
            conclude("interrupted")
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - what went wrong first is what counts
            with suppress(Exception, KeyboardInterrupt):
                note()
        raise
    try:
        conclude("finished")
    except KeyboardInterrupt as interruption:
        with suppress(OutputError):
            note()
        raise InterruptedRunError(
            "everything is done, but writing the report was interrupted",
            "run the same command again: it writes the report",
            interruption,
        ) from interruption
