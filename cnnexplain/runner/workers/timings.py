"""Where the time of a run goes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from cnnexplain.core.interrupts import held

STAGES = DECODING, EXPLAINING, WRITING = "decoding", "explaining", "drawing and writing"


class Stages:
    """Seconds of processors in every stage, over all threads and processes; waiting is not work.

    Beside the stages the seconds of commands that one of them consists of, by whatever they are called.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = Lock()

    @contextmanager
    def spent(self, stage: str, threads: int = 0) -> Iterator[None]:
        """Count the time of the block; also that of one that fails.

        It is that of this thread alone, or of so many that it keeps busy all the time.
        """
        clock = time.perf_counter if threads else time.thread_time
        started = clock()
        try:
            yield
        finally:
            self.add({stage: (clock() - started) * max(threads, 1)})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count what was spent elsewhere."""
        with held, self._lock:
            for stage, more in seconds.items():
                self._seconds[stage] = self._seconds.get(stage, 0.0) + more

    def taken(self) -> dict[str, float]:
        """What was spent since this was asked last."""
        with held, self._lock:
            seconds_by_stage = {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}
            self._seconds = dict.fromkeys(self._seconds, 0.0)
        return seconds_by_stage
