"""Hands the images of a run to its TensorBoard log, one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from cnnexplain.engine.model import Model
from cnnexplain.errors import OutputError
from cnnexplain.runner.output.journal import Records
from cnnexplain.runner.output.write import Job
from cnnexplain.runner.request import Observer
from cnnexplain.runner.tensorboard.log import Record, TensorBoardLog
from cnnexplain.runner.workers.worker import Done


class LogFeed:
    """Does nothing without a log.

    A log that has this run already gets only what is new; another gets also what is in OUT already.
    """

    def __init__(
        self,
        log: TensorBoardLog | None,
        out: Path,
        jobs: Sequence[Job],
        records: Records,
        identity: Mapping[str, str],
    ) -> None:
        """`records` are those that OUT has of this run, to which the new ones are added on the way."""
        self._log = log
        self._out = out
        self._jobs = jobs
        self._next = 0  # the position of the first job that was not looked at
        self._records = records
        new = set(records.missing()) if log is not None else set()
        self._kept = frozenset(range(len(jobs))) - new if log is not None else frozenset()
        self._last_kept = max(self._kept, default=-1)
        self.goes_on = log is not None and log.continues(identity) and bool(self._kept)
        self._new = False  # whether this run had something new
        self._repeat = False  # whether it had numbers of an image before those that are kept

    def __enter__(self) -> LogFeed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Bring the log up to date, also after an interruption."""
        up_to_date = kind is None or issubclass(kind, KeyboardInterrupt)
        if self._log is None or not up_to_date:
            return
        with contextlib.suppress(*(() if kind is None else (OutputError,))):  # what went wrong first counts
            self._catch_up()
            if self._new or not self.goes_on:
                self._log.images(self._records, {job.image: step for step, job in enumerate(self._jobs, 1)})

    def begin(self, described: Record, model: Model, observer: Observer) -> None:
        """Write what is written once. Call it where the model is borrowed."""
        if self._log is not None and not self.goes_on:
            self._log.begin(described, model, observer)

    def add(self, done: Done) -> None:
        """Add the record of an image. Explained ones come in the order of the jobs; failed ones may come before."""
        if self._log is None:
            return
        self._new = True
        job = done.job
        if done.record["status"] != "ok":
            return
        self._catch_up(job.position)
        self._repeat = True
        self._log.record(done.record, self._out, job.stem, job.position + 1)
        if (
            not self.goes_on or job.position > self._last_kept
        ):  # those of kept images could not be written again
            self._log.histograms(done.values, job.position + 1)

    def _catch_up(self, until: int | None = None) -> None:
        """Write, as far as the log needs it, the results of an earlier run before a position."""
        end = len(self._jobs) if until is None else until
        for position in range(self._next, end):
            record = self._records.at(position) if position in self._kept else None
            if self._log is None or record is None:
                continue
            if not self.goes_on:
                self._log.record(record, self._out, self._jobs[position].stem, position + 1)
            elif self._repeat:
                self._log.numbers(record, position + 1)
        self._next = end + 1
