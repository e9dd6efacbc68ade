"""What a person reads: data on stdout, everything else on stderr. Nothing else in the package prints."""

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
from cnnexplain.cli.findings import judged, of_answers, of_stages
from cnnexplain.cli.progress import progress_bar
from cnnexplain.cli.text import printable
from cnnexplain.cli.workflow import harmless, harmless_json
from cnnexplain.core.params import Param
from cnnexplain.core.records import kind_of
from cnnexplain.core.results import summaries
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

LONGEST = 4096  # letters of a line
FEW = 10  # up to so many images are told one by one


@dataclass(frozen=True)
class ConsoleOptions:
    """What is shown while a command runs."""

    json: Annotated[
        bool, Param("Write one record a line to stdout instead of the report's path.", common=True)
    ] = False
    quiet: Annotated[
        bool, Param("Show errors, and what was left out, only.", ("-q", "--quiet"), common=True)
    ] = False
    verbose: Annotated[bool, Param("Tell every image, however many there are.", ("-v", "--verbose"))] = False
    debug: Annotated[bool, Param("Show the traceback of an error.")] = False


def show_error(error: CnnexplainError) -> None:
    """The two lines of an error."""
    _tell(f"{_styled('error:', '1;31')} {printable(capped(error.problem, LONGEST))}")
    _tell(f"{_styled('hint:', '1;36')} {printable(capped(error.hint, LONGEST))}")


def show_trace(error: BaseException) -> None:
    """Where an error was raised."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        _tell(printable(line))


def show_lines(stream: TextIO | None, draw: Callable[..., list[str]]) -> None:
    """What `draw` makes of `width` (None where nothing limits it), `style` and `encoding` of a stream, on it."""
    if stream is None:
        return
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = map(harmless, draw(width=width, style=_may_style(stream), encoding=encoding))
    _put(stream, "\n".join(lines).encode(encoding, "backslashreplace"))


class Console:
    """Tells a person how a run goes; the runner's observer."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._options = options
        self._out = sys.stdout  # what strangers' code prints while it runs goes elsewhere
        self._progress: Progress | None = None
        self._each = options.verbose
        self._total = self._before = self._failed_again = 0
        self._table: LayerTable | None = None
        self._status: Status | None = None

    @contextmanager
    def watching(self) -> Iterator[Console]:
        """While the block runs a progress bar may be shown; it is gone after it.

        What a model's own code prints goes to stderr: stdout is for data.
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
        """Show the model, and what was chosen by default."""
        self._say("model", f"{model.name}: {source}")
        self._say("input", model.preprocess.words)
        for choice in choices:
            self._say(choice.what, f"{choice.value} ({choice.reason})")

    def planned(self, images: int, done: int) -> None:
        """Start the progress bar where the work is long and somebody watches."""
        self._total, self._before = images, done
        self._each = self._options.verbose or images <= FEW
        if done:
            self._say("resumed", f"{done} of {images} images were done before")
        if not self._options.quiet and images > FEW and _is_terminal():
            self._progress = progress_bar(images, done)

    def recorded(self, record: Mapping[str, Any], *, again: bool = False, listed: bool = True) -> None:
        """Tell one finished image, where it is `listed`; one that failed before is counted, and told with --verbose."""
        if self._before:
            self._before -= 1  # of an earlier run, which says nothing about this one's rate
        elif self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])
        if not listed:
            return
        if self._options.json:
            self._show_data(harmless_json(json.dumps(record)))
        if record["image"] is None:
            return  # each thing was told when it was found
        if record["status"] == "error" and again and not self._options.verbose:
            self._failed_again += 1
        elif record["status"] == "error":
            self._say("failed", f"{record['image']}: {record['error']['message']}")
        elif self._each:
            lines = list(summaries(record["explanations"]))
            kind = "layers" if any(kind_of(entry) != "map" for entry in record["explanations"]) else "maps"
            told = lines[0] if len(lines) == 1 else f"{len(lines)} {kind}"
            self._say(os.path.basename(record["image"]), told + judged(record))
            for found in lines if len(lines) > 1 else ():
                self._say(" ", found)
            for note in record.get("notes", ()):
                self._say("note", note)

    def found(self, result: Result) -> None:
        """Tell one result that is about a model; the table of its layers is shown at the end."""
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

    def judged(self, verdict: Verdict) -> None:
        """Tell what became of one check, where each is to be told; the table at the end tells all."""
        if self._options.verbose:
            self._say(verdict.check, f"{verdict.status}: {verdict.says}")

    def annotated(self, line: str) -> None:
        """A line for the machine that runs the command."""
        _put_encoded(printable(line))

    def told(self, what: str, text: str) -> None:
        """Tell something that stops nothing."""
        self._say(what, text)

    def finished(self, outcome: Outcome) -> None:
        """Tell how it went, and where to look."""
        if outcome.images and not outcome.verdicts:
            self._told_images(outcome)
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
        """The table of layers: on stdout where it is all that was asked for, else beside the other messages."""
        from cnnexplain.cli.table import drawn

        if data or not self._options.quiet:
            stream = self._out if data else sys.stderr
            show_lines(stream, lambda **sheet: drawn(table, **sheet))

    def _show_verdicts(self, verdicts: Sequence[Verdict], *, data: bool) -> None:
        """The table of verdicts; where it is to be quiet, those that failed."""
        from cnnexplain.cli.verdicts import drawn

        shown = [one for one in verdicts if one.status == "fail"] if self._options.quiet else verdicts
        skipped = [one.check for one in verdicts if one.status == "skipped"]
        if self._options.quiet and skipped:
            self._warn("skipped", f"{len(skipped)} of {count(len(verdicts), 'check')}: {', '.join(skipped)}")
        stream = self._out if data else sys.stderr
        if shown:
            show_lines(stream, lambda **sheet: drawn(shown, counts=not self._options.quiet, **sheet))

    def _told_images(self, outcome: Outcome) -> None:
        done = outcome.images - outcome.failed
        if answers := outcome.answers:
            self._say("right", of_answers(answers))
        for word, line in outcome.lines:
            self._say(word, line)
        if self._failed_again:
            again = (
                "failed as before"
                if outcome.report is None
                else f"failed as before; {outcome.report} says why"
            )
            self._say("failed", f"{count(self._failed_again, 'image')} {again}")
        failures = f", {outcome.failed} failed" if outcome.failed else ""
        if self._options.quiet and 0 < outcome.failed <= outcome.allowed:
            self._warn("failed", f"{outcome.failed} of {outcome.images} images, as --max-failures allows")
        self._say(
            "done",
            f"{done} of {outcome.images} images {outcome.what}{failures}, in {outcome.seconds:.1f} s",
        )
        if outcome.done > FEW:
            self._say("work", of_stages(outcome))

    def _show_data(self, line: str) -> None:
        """One line on stdout. File names go out as the bytes that they are, whatever the locale."""
        _put(self._out, os.fsencode(line))

    def _say(self, what: str, text: str) -> None:
        if not self._options.quiet:
            self._warn(what, text)

    def _warn(self, what: str, text: str) -> None:
        """Tell what is to be known even where it is to be quiet: that less was done than was asked for."""
        what, text = printable(capped(what)), printable(capped(text, LONGEST))
        live = self._progress or self._status
        if live is None:
            _tell(f"{_styled(what, '1')}  {text}")
        else:
            from rich.text import Text

            # Above the line, which would otherwise be written over.
            style = "bold" if _may_style() else ""
            live.console.print(Text.assemble((what, style), f"  {text}"))


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
    """Write one line. A reader that has gone away, as `head` does, does not end the work."""
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
