"""The terminal: data on stdout, everything else on stderr. No other module of the package prints."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cnnexplain.cli.apart import apart
from cnnexplain.cli.findings import of_answers, of_commands, of_recognition, of_stages
from cnnexplain.cli.progress import progress_bar, stage_bar
from cnnexplain.cli.text import printable
from cnnexplain.cli.workflow import harmless, harmless_json
from cnnexplain.core.params import Param
from cnnexplain.core.results import counted, summaries
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.words import capped, count
from cnnexplain.errors import OutputError

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.status import Status

    from cnnexplain.core.choice import Choice
    from cnnexplain.core.results import Result
    from cnnexplain.core.verdict import Verdict
    from cnnexplain.engine.model import Model
    from cnnexplain.errors import CnnexplainError
    from cnnexplain.runner.request import Outcome

LONGEST = 4096  # characters of a line
FEW = 10  # up to so many images, each is reported


@dataclass(frozen=True)
class ConsoleOptions:
    """The options that say how much a command shows while it runs."""

    json: Annotated[
        bool, Param("Write one record a line to stdout instead of the report's path.", common=True)
    ] = False
    quiet: Annotated[
        bool, Param("Show errors, and what was left out, only.", ("-q", "--quiet"), common=True)
    ] = False
    verbose: Annotated[bool, Param("Tell every image, however many there are.", ("-v", "--verbose"))] = False
    debug: Annotated[bool, Param("Show the traceback of an error.")] = False


def show_error(error: CnnexplainError) -> None:
    """Write the two lines of an error, problem and hint, to stderr."""
    _tell(f"{_styled('error:', '1;31')} {printable(capped(error.problem, LONGEST))}")
    _tell(f"{_styled('hint:', '1;36')} {printable(capped(error.hint, LONGEST))}")


def show_trace(error: BaseException) -> None:
    """Write the traceback of an error to stderr."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        _tell(printable(line))


def show_lines(stream: TextIO | None, draw: Callable[..., list[str]]) -> None:
    """Write lines to a stream, as `draw(width, style, encoding)` makes them for it; `width` is None without a limit."""
    if stream is None:
        return
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = map(harmless, draw(width=width, style=_may_style(stream), encoding=encoding))
    _put(stream, "\n".join(lines).encode(encoding, "backslashreplace"))


class Console:
    """The runner's observer that reports a run on the terminal."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._options = options
        self._out = sys.stdout  # the output of other code is redirected while a command runs
        self._progress: Progress | None = None
        self._stage = ""  # whose progress the bar shows; empty for that of images
        self._each = options.verbose
        self._total = self._before = self._failed_again = 0
        self._table: LayerTable | None = None
        self._status: Status | None = None

    @contextmanager
    def watching(self) -> Iterator[Console]:
        """Allow a progress bar while the block runs; it is removed at the end.

        Output of a model's own code goes to stderr: stdout is for data.
        """
        try:
            with apart(self._out) as self._out, redirect_stdout(sys.stderr):
                yield self
        finally:
            if self._progress is not None:
                self._progress.stop()
            if self._status is not None:
                self._status.stop()

    def loaded(self, model: Model, source: str, choices: Iterable[Choice]) -> None:
        """Show the model, and the values that were chosen by default."""
        self._say("model", f"{model.name}: {source}")
        self._say("input", model.preprocess.words)
        for choice in choices:
            self._say(choice.setting, f"{choice.value} ({choice.reason})")

    def planned(self, images: int, done: int, noun: str = "image") -> None:
        """Start the progress bar where the work is long and somebody watches."""
        self._total, self._before = images, done
        self._each = self._options.verbose or images <= FEW
        if done:
            self._say("resumed", f"{done} of {images} {noun}s were done before")
        if not self._options.quiet and images > FEW and _is_terminal():
            self._progress = progress_bar(images, done)

    def recorded(self, record: Mapping[str, Any], *, again: bool = False, listed: bool = True) -> None:
        """Report a finished image that is `listed`; a repeated failure is only counted, unless --verbose is set."""
        if self._before:
            self._before -= 1  # of an earlier run, which says nothing about the rate of this run
        elif self._progress is not None and not self._stage:
            self._progress.advance(self._progress.task_ids[0])
        if not listed:
            return
        if self._options.json:
            self._show_data(harmless_json(json.dumps(record)))
        name = record["image"] or record.get("subject")
        if name is None:
            return  # each result was reported as it came
        if record["status"] == "error" and again and not self._options.verbose:
            self._failed_again += 1
        elif record["status"] == "error":
            self._say("failed", f"{record['image']}: {record['error']['message']}")
        elif self._each:
            lines = list(summaries(record["explanations"]))
            text = lines[0] if len(lines) == 1 else counted(record["explanations"])
            self._say(os.path.basename(name), text + of_recognition(record))
            for line in lines if len(lines) > 1 else ():
                self._say(" ", line)
            for note in record.get("notes", ()):
                self._say("note", note)

    def staged(self, stage: str, done: int, total: int) -> None:
        """Show a bar of each stage in the place of the one before, where the work is long and somebody watches."""
        if not self._options.quiet and total > FEW and _is_terminal():
            self._stage, before = printable(stage), self._stage
            self._progress = stage_bar(self._progress, self._stage, done, total, new=self._stage != before)

    def finding(self, result: Result) -> None:
        """Report a result about the model itself; the table of its layers is shown at the end."""
        if isinstance(result, LayerTable):
            self._table = result
        else:
            self._say(result.layer or "model", result.summary())

    def judging(self, check: str, place: int, total: int) -> None:
        """Show which check is being carried out, where somebody watches; the line is gone afterwards."""
        if self._options.quiet or not _is_terminal():
            return
        from rich.console import Console as RichConsole
        from rich.text import Text

        text = Text(f"checking {printable(check)} ({place} of {total})")
        if self._status is None:
            self._status = RichConsole(stderr=True).status(text)
            self._status.start()
        self._status.update(text)

    def verdict(self, verdict: Verdict) -> None:
        """Report the verdict of a check with --verbose; the table at the end shows all verdicts."""
        if self._options.verbose:
            self._say(verdict.check, f"{verdict.status}: {verdict.says}")

    def annotated(self, line: str) -> None:
        """Write a line for the machine that runs the command, such as GitHub's workflow."""
        _put_encoded(printable(line))

    def notice(self, topic: str, text: str) -> None:
        """Report a remark that does not stop the run."""
        self._say(topic, text)

    def finished(self, outcome: Outcome) -> None:
        """Report how the run went, and where its results are."""
        if outcome.images and not outcome.verdicts:
            self._summarise_images(outcome)
        else:
            self._say("done", f"in {outcome.seconds:.1f} s")
        data = outcome.report is None and not self._options.json
        if self._table is not None and not self._options.json:
            self._show_table(self._table, data=data)
        if outcome.verdicts:
            self._show_verdicts(outcome.verdicts, data=data)
        if outcome.report is not None and not self._options.json:
            self._show_data(os.fspath(outcome.report))

    def _show_table(self, table: LayerTable, *, data: bool) -> None:
        """Show the table of layers: on stdout where it is the command's only data, else on stderr."""
        from cnnexplain.cli.table import drawn

        if data or not self._options.quiet:
            stream = self._out if data else sys.stderr
            show_lines(stream, lambda **sheet: drawn(table, **sheet))

    def _show_verdicts(self, verdicts: Sequence[Verdict], *, data: bool) -> None:
        """Show the table of verdicts; with --quiet only the failed checks."""
        from cnnexplain.cli.verdicts import drawn

        shown = (
            [verdict for verdict in verdicts if verdict.status == "fail"] if self._options.quiet else verdicts
        )
        skipped = [verdict.check for verdict in verdicts if verdict.status == "skipped"]
        if self._options.quiet and skipped:
            self._warn("skipped", f"{len(skipped)} of {count(len(verdicts), 'check')}: {', '.join(skipped)}")
        stream = self._out if data else sys.stderr
        if shown:
            show_lines(stream, lambda **sheet: drawn(shown, counts=not self._options.quiet, **sheet))

    def _summarise_images(self, outcome: Outcome) -> None:
        done = outcome.images - outcome.failed
        if answers := outcome.answers:
            self._say("right", of_answers(answers))
        for word, line in outcome.lines:
            self._say(word, line)
        if self._failed_again:
            why = "" if outcome.report is None else f"; {outcome.report} says why"
            self._say("failed", f"{count(self._failed_again, 'image')} failed as before{why}")
        failures = f", {outcome.failed} failed" if outcome.failed else ""
        if self._options.quiet and 0 < outcome.failed <= outcome.allowed:
            self._warn("failed", f"{outcome.failed} of {outcome.images} images, as --max-failures allows")
        self._say(
            "done",
            f"{done} of {outcome.images} images {outcome.deed}{failures}, in {outcome.seconds:.1f} s",
        )
        if commands := of_commands(outcome):
            self._say("an image", commands)
        if outcome.done > FEW:
            self._say("work", of_stages(outcome))

    def _show_data(self, line: str) -> None:
        """Write a line to stdout. File names go out as the bytes that they are, whatever the locale."""
        _put(self._out, os.fsencode(line))

    def _say(self, topic: str, text: str) -> None:
        if not self._options.quiet:
            self._warn(topic, text)

    def _warn(self, topic: str, text: str) -> None:
        """Report, also with --quiet, that less was done than the user wanted."""
        topic, text = printable(capped(topic)), printable(capped(text, LONGEST))
        live = self._progress or self._status
        if live is None:
            _tell(f"{_styled(topic, '1')}  {text}")
        else:
            from rich.text import Text

            # Above the line, which would otherwise be written over.
            style = "bold" if _may_style() else ""
            live.console.print(Text.assemble((topic, style), f"  {text}"))


def _styled(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if _may_style() else text


def _may_style(stream: TextIO | None = None) -> bool:
    return _is_terminal(stream) and not os.environ.get("NO_COLOR")


def _is_terminal(stream: TextIO | None = None) -> bool:
    stream = stream or sys.stderr
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _tell(line: str) -> None:
    _put_encoded(harmless(line))


def _put_encoded(line: str) -> None:
    _put(sys.stderr, line.encode(getattr(sys.stderr, "encoding", None) or "utf-8", "backslashreplace"))


def _put(stream: TextIO | None, line: bytes) -> None:
    """Write a line. A reader that has gone away, as `head` does, does not end the work."""
    if stream is None:  # closed by whoever started us
        return
    try:
        stream.buffer.write(line + b"\n")
        stream.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            raise OutputError(
                f"standard output cannot be written: {error.strerror}",
                "the results are in the folder named with -o",
            ) from error
