"""What can go wrong for a user. Each error is two lines (problem, hint) and knows its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes that scripts may rely on."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    TOO_MANY_FAILURES = 3
    NO_IMAGES = 4
    DEFECT = 70
    INTERRUPTED = 130
    TERMINATED = 143


class CnnexplainError(Exception):
    """Something the user can put right. `problem`: what was wrong and found; `hint`: what to type instead."""

    exit_code = ExitCode.USAGE
    stops_run = True

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __reduce__(self) -> tuple[type[CnnexplainError], tuple[str, str]]:
        return type(self), (self.problem, self.hint)  # on its way from one process to another


class OptionError(CnnexplainError):
    """An option, or a combination of options, that makes no sense."""


class ModelError(CnnexplainError):
    """A model that cannot be found, loaded or run."""


class ForwardError(ModelError):
    """A model whose own code raised an error when it was given an input."""


class LayerError(CnnexplainError):
    """A layer that does not exist, or that has no map to explain."""


class TargetError(CnnexplainError):
    """A class that does not exist or is not unique."""


class OutputError(CnnexplainError):
    """A place that cannot be written to, or that holds something else."""


class WorkerError(CnnexplainError):
    """Processes that explain pictures die again and again. What is done stays."""


class ImageError(CnnexplainError):
    """One picture that cannot be explained. The others go on."""

    exit_code = ExitCode.TOO_MANY_FAILURES
    stops_run = False


class DeadlyImageError(ImageError):
    """A picture whose decoding ends the whole program. It is not tried again as long as its file is the same."""


class TooManyFailuresError(CnnexplainError):
    """The run is finished, but more images failed than was allowed."""

    exit_code = ExitCode.TOO_MANY_FAILURES


class NoImagesError(CnnexplainError):
    """Nothing to explain."""

    exit_code = ExitCode.NO_IMAGES


class CheckInputError(CnnexplainError):
    """Pictures, labels or a baseline that a check cannot rely on: never a pass."""


class CheckFailedError(CnnexplainError):
    """Every check was carried out, and some failed."""

    exit_code = ExitCode.CHECK_FAILED


class InterruptedRunError(CnnexplainError):
    """Ctrl-C or SIGTERM. What is done stays and the run can be resumed."""

    def __init__(self, problem: str, hint: str, cause: KeyboardInterrupt) -> None:
        super().__init__(problem, hint)
        self.exit_code = ExitCode.TERMINATED if isinstance(cause, Terminated) else ExitCode.INTERRUPTED


class Terminated(KeyboardInterrupt):
    """SIGTERM, as Python makes Ctrl-C an exception."""


def near_misses(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known words that a typing mistake most likely meant, best first; empty when none is near."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[name] for name in found]


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of another library's message, with its type, for quoting in ours."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
