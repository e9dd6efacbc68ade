"""What can go wrong for a user. Each error is two lines (problem, hint) and knows its exit code."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

LONGEST_WORD = 200  # letters of a word that others are compared with


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


# What a dynamic linker says where it cannot map a library.
LIBRARY_SIGNS = ("failed to map segment", "cannot allocate memory in static TLS block", "cannot map")
# What allocators, devices and libraries of theirs say, each without an error class of its own; in small letters.
MEMORY_SIGNS = (
    "allocate memory",  # "can't", "cannot"
    "not enough memory",
    "out of memory",
    "outofmemory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "could not create a primitive",  # oneDNN
    "could not create a memory",
    "mmap() failed",
    *map(str.lower, LIBRARY_SIGNS),
)


class CnnexplainError(Exception):
    """Something that the user can put right, in two lines: `problem` and `hint`.

    It is also what Python code catches to catch every error of this package.
    """

    exit_code = ExitCode.USAGE
    stops_run = True

    def __init__(self, problem: str, hint: str) -> None:
        """Say what is wrong.

        Args:
            problem: What was wrong, and what was there instead; a sentence without capital and full stop.
            hint: What to type instead.
        """
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the error again in another process."""
        return type(self), (self.problem, self.hint)  # on its way from one process to another


class OptionError(CnnexplainError):
    """An option, or a combination of options, that makes no sense."""


class ModelError(CnnexplainError):
    """A model that cannot be found, loaded or run."""


class ForwardError(ModelError):
    """A model whose own code raised an error when it was given an input."""


class SeveralOutputsError(ModelError):
    """A model that returns several tensors that may be the class scores: `names` are theirs."""

    def __init__(self, problem: str, hint: str, names: tuple[str, ...]) -> None:
        """Say which outputs there are.

        Args:
            problem: What was wrong, and what was there instead.
            hint: What to type instead.
            names: The outputs, as `--model-output` takes them.
        """
        super().__init__(problem, hint)
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the error again in another process."""
        return type(self), (self.problem, self.hint, self.names)


class LayerError(CnnexplainError):
    """A layer that does not exist, or that has no map to explain."""


class TargetError(CnnexplainError):
    """A class that does not exist or is not unique."""


class OutputError(CnnexplainError):
    """A place that cannot be written to, or that holds something else."""


class WorkerError(CnnexplainError):
    """Processes that explain pictures crash again and again. What is done stays."""


class ImageError(CnnexplainError):
    """One picture that cannot be explained. The run continues with the others."""

    exit_code = ExitCode.TOO_MANY_FAILURES
    stops_run = False


class DeadlyImageError(ImageError):
    """A picture whose decoding crashes the whole program. It is not tried again as long as its file is the same."""


class ImageModelError(ImageError):
    """One picture on which the model itself fails. The run continues with the others, unless it fails on all."""


class ImageMemoryError(ImageModelError):
    """One picture for which the model has not enough memory."""


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
        """Say where the run was stopped.

        Args:
            problem: What was done by then.
            hint: How the run is continued.
            cause: `Terminated` for SIGTERM, which has an exit code of its own.
        """
        super().__init__(problem, hint)
        self.cause = cause
        self.exit_code = ExitCode.TERMINATED if isinstance(cause, Terminated) else ExitCode.INTERRUPTED

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the error again in another process."""
        return type(self), (self.problem, self.hint, self.cause)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as Python makes Ctrl-C an exception."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the machine had no memory left."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which need not have been imported
        or (
            isinstance(error, (RuntimeError, OSError, ImportError))
            and any(sign in text_of(error).lower() for sign in MEMORY_SIGNS)
        )
    )


def memory_behind(error: BaseException) -> BaseException | None:
    """Return the first of an error and its causes that says that no memory was left; None where none does."""
    cause: BaseException | None = error
    while cause is not None and not is_out_of_memory(cause):
        cause = cause.__cause__
    return cause


def shortage_behind(error: BaseException) -> CnnexplainError | None:
    """Return the error to show in the place of one that a lack of memory caused.

    Args:
        error: Any error, also one of ours that was raised because of another.

    Returns:
        None where no lack of memory is behind it, or where it says so itself.
    """
    cause = memory_behind(error)
    if cause is None or (isinstance(error, CnnexplainError) and "memory" in error.problem):
        return None
    if isinstance(cause, (ImportError, OSError)) and any(sign in text_of(cause) for sign in LIBRARY_SIGNS):
        return CnnexplainError(
            f"there is not enough memory to load a library: {first_line(cause)}",
            "give the program more memory (ulimit -v, the limit of the container); where it has enough: a library is "
            "on a disk from which nothing may be run (noexec), or is to be named in LD_PRELOAD",
        )
    return CnnexplainError(
        f"there is not enough memory: {first_line(cause)}",
        "close other programs or give this one more memory; a smaller --input-size, --batch-size 1 and --workers 1 "
        "need less",
    )


def near_misses(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Find the words that a typing mistake most likely meant.

    Args:
        word: What was typed.
        known: The words that would have been understood.
        count: How many are returned at most.

    Returns:
        The best first, as `known` writes them; empty where none is near.

    Example:
        >>> near_misses("resnet5", ["resnet50", "vgg16"])
        ['resnet50']
    """
    by_folded = {name.casefold(): name for name in known}
    word = word[:LONGEST_WORD].casefold()
    # They are alike also where all that they share is an ending, as .png, or many of the letters.
    alike = difflib.get_close_matches(word, by_folded, n=3 * count, cutoff=0.6)
    return [by_folded[name] for name in alike if _is_near(word, name)][:count]


def _is_near(word: str, name: str) -> bool:
    """Return whether a word is a part of the other, or differs in no more than every fourth letter."""
    if min(len(word), len(name)) > 2 and (word in name or name in word):
        return True
    (word, ending), (name, other) = os.path.splitext(word), os.path.splitext(name)
    if ending != other:
        word, name = word + ending, name + other
    longer = max(len(word), len(name))
    return _slips(word, name) <= min(max(1, longer // 4), longer - 1)


def _slips(word: str, name: str) -> int:
    """Return how many letters are left out, added, replaced, or exchanged (optimal string alignment)."""
    before, last = [0] * (len(name) + 1), list(range(len(name) + 1))
    for row, letter in enumerate(word, 1):
        now = [row]
        for column, other in enumerate(name, 1):
            slips = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and (letter, word[row - 2]) == (name[column - 2], other):
                slips = min(slips, before[column - 2] + 1)
            now.append(slips)
        before, last = last, now
    return last[-1]


def text_of(error: BaseException) -> str:
    """Return the message of another library's error; nothing where making it raises an error of its own."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a stranger's `__str__` may raise anything
        return ""


def first_line(error: BaseException, limit: int = 200) -> str:
    """Return the first line of another library's message, with its type, for quoting in ours.

    Args:
        error: The other library's error.
        limit: Letters; a longer line is cut.
    """
    lines = text_of(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
