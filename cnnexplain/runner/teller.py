"""Tells a board of a run's images, one after another."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from cnnexplain.core.explanation import Explanation
from cnnexplain.engine.model import Model
from cnnexplain.errors import OutputError
from cnnexplain.runner.board import Board, Record, Values, values_of
from cnnexplain.runner.request import Observer
from cnnexplain.runner.write import Job


class Teller:
    """Does nothing without a board.

    A board that was told of this run before gets only what is new; another one also what is in OUT already.
    """

    def __init__(
        self,
        board: Board | None,
        out: Path,
        jobs: Sequence[Job],
        records: Mapping[str, Record],
        identity: Mapping[str, str],
    ) -> None:
        """`records` are those that OUT has of this run, to which the new ones are added on the way."""
        self._board = board
        self._out = out
        self._steps = {job.image: step for step, job in enumerate(jobs, 1)}
        self._waiting = deque(jobs)
        self._records = records
        self._kept = frozenset(records)
        self._last_kept = max((self._steps[image] for image in records), default=0)
        self._goes_on = board is not None and board.knows(identity) and bool(records)
        self._new = False  # whether this run had something new
        self._retell = False  # whether it had numbers of an image before those that are kept

    def __enter__(self) -> Teller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Bring the board up to date, also after an interruption."""
        up_to_date = kind is None or issubclass(kind, KeyboardInterrupt)
        if self._board is None or not up_to_date:
            return
        with contextlib.suppress(*(() if kind is None else (OutputError,))):  # what went wrong first counts
            self._catch_up()
            if self._new or not self._goes_on:
                done = [self._records[image] for image in self._steps if image in self._records]
                self._board.images(done, self._steps)

    def begin(self, described: Record, model: Model, observer: Observer) -> None:
        """What is told once. Call it where the model is borrowed."""
        if self._board is not None and not self._goes_on:
            self._board.begin(described, model, observer)

    def values(self, found: Explanation | Exception, record: Record) -> Values:
        """The values that `add` needs of what was found in one image."""
        if self._board is None or isinstance(found, Exception) or record["status"] != "ok":
            return {}
        return values_of(found, record)

    def add(self, record: Record, values: Values) -> None:
        """A new record. Those of explained images come in the order of the jobs; failed ones may come before."""
        if self._board is None:
            return
        self._new = True
        job = self._catch_up(record["image"]) if record["status"] == "ok" else None
        if job is None:
            return
        self._retell = True
        step = self._steps[job.image]
        self._board.record(record, self._out, job.stem, step)
        if not self._goes_on or step > self._last_kept:  # those of kept images could not be told again
            self._board.histograms(values, step)

    def _catch_up(self, image: str | None = None) -> Job | None:
        """Tell, as far as the board needs it, what an earlier run did before `image`; its job, where there is one."""
        while self._waiting:
            job = self._waiting.popleft()
            if job.image == image:
                return job
            if self._board is None or job.image not in self._kept:
                continue
            if not self._goes_on:
                self._board.record(self._records[job.image], self._out, job.stem, self._steps[job.image])
            elif self._retell:
                self._board.numbers(self._records[job.image], self._steps[job.image])
        return None
