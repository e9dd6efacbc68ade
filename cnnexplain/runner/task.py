"""What differs between commands while a request is carried out: how its inputs become records."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cnnexplain.core.reduce import Reductions
from cnnexplain.report.pages.long import pages
from cnnexplain.runner.output.ending import Status
from cnnexplain.runner.output.folder import REPORT, OutputFolder
from cnnexplain.runner.output.journal import RECORDS, Lines, Record, Records
from cnnexplain.runner.request import Observer, Outcome, Request

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.loading import Loaded
    from cnnexplain.engine.model import Model


class Item(NamedTuple):
    """The record of one input."""

    position: int  # of the input among those of the run
    record: Record
    new: bool = True  # rather than taken over from an earlier run
    again: bool = False  # an earlier run had one of this input already


class Task(ABC):
    """A request whose inputs are settled: what cannot be done was refused while the task was made.

    `run.run` carries it out, by these methods in their order.
    """

    # Whether what was done before a run was stopped is written down, for the next one to go on from.
    resumable: ClassVar[bool] = True
    recorded_in: ClassVar[str] = RECORDS  # the file of the records, below OUT

    def __init__(self, request: Request[Any], observer: Observer) -> None:
        """Begin to settle a request. Raises `OutputError` where nothing can be written into its folder."""
        self.request, self.observer = request, observer
        self.started, self._clock = time.time(), time.monotonic()
        self.folder = (
            None if request.run.output is None else OutputFolder(request.run.output, self.recorded_in)
        )
        self.reductions = Reductions(())
        self.records: Lines = Records(1)

    @property
    @abstractmethod
    def described(self) -> dict[str, Any]:
        """The content of run.json, as far as it is known before the first record."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what is to be done before anything is written."""

    def resume(self, folder: OutputFolder) -> None:
        """Take over those of an earlier run's records in the folder that still hold."""
        self.records = folder.keep([str(None)], self.still_holds)

    def still_holds(self, position: int, record: Record) -> bool:  # noqa: ARG002 - others look at them
        """Whether an earlier run's record of the input at a position need not be made again."""
        return False

    def working(self) -> AbstractContextManager[object]:
        """What is held while records are made."""
        return nullcontext()

    @abstractmethod
    def items(self) -> Generator[Item, None, None]:
        """Map every input to its record."""

    def fold(self) -> None:  # noqa: B027 - most have nothing to do
        """Make of all records what is said of them together, once each input has one."""

    def results(self) -> Iterable[str] | None:
        """The lines of results.jsonl, where that is not the file of the records."""
        return None

    def pages(self, end: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """The report's pages, path and content, out of run.json as it is at the `end`."""
        return pages(end, self.records)

    def is_listed(self, record: Record) -> bool:  # noqa: ARG002 - others look at it
        """Whether a record, which comes here once, is one of those that are shown."""
        return True

    def end(self) -> dict[str, Any]:
        """What run.json has at the end beside what is `described`."""
        return {}

    def finish(self) -> None:  # noqa: B027 - as above
        """Do what is to be done once everything is written."""

    @abstractmethod
    def interruption(self) -> tuple[str, str]:
        """What is said when somebody stops the run: problem and hint."""

    def outcome(self) -> Outcome:
        """How it went."""
        report = None if self.folder is None else self.folder.as_named / REPORT
        return Outcome(report, self.seconds(), lines=tuple(self.reductions.lines()))

    def run_json(self, status: Status) -> dict[str, Any]:
        """The content of run.json at the end."""
        content = {**self.described, **self.end(), "status": status}
        content.setdefault("seconds", round(self.seconds(), 3))  # of parts of a run it is the sum
        return content

    def seconds(self) -> float:
        """How long it took until now."""
        return time.monotonic() - self._clock


class LoadedTask(Task):
    """A task about a model that was loaded for it."""

    model: Model
    loaded: Loaded
    choices: tuple[Choice, ...]  # what was chosen by default: while loading, and by the command
