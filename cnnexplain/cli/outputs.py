"""`--output`: a folder, as -o; where -o is present or a model has several outputs, the name of an output."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from cnnexplain.errors import SeveralOutputsError

LONG, CHOICE = "--output", "--model-output"
FOLDER = re.compile(
    r"-[qv]*o.*", re.DOTALL
)  # -o DIR, -oDIR, or behind short options without a value: -qo DIR


def with_output(main: Callable[..., Any], arguments: Sequence[str]) -> Any:
    """Call `main` with the arguments, once the meaning of --output is settled, and return its result."""
    try:
        return main(args=_with_folder(arguments) or ["--help"])
    except SeveralOutputsError as error:
        again = _choosing(arguments, error.names)
        if again is None:
            raise
        if any(word == "-" or word.endswith("=-") for word in again):  # it was read to its end
            raise SeveralOutputsError(
                error.problem, f"type {CHOICE} in the place of {LONG}, which names a folder here", error.names
            ) from error
        return main(args=again)


def _with_folder(arguments: Sequence[str]) -> list[str]:
    """The arguments with --model-output for --output where -o names the folder."""
    return _renamed(arguments) if any(map(FOLDER.fullmatch, _options(arguments))) else list(arguments)


def _choosing(arguments: Sequence[str], names: Collection[str]) -> list[str] | None:
    """The arguments with --model-output for an --output that names an output of the model; None where none does.

    Then no folder of that name was meant, though no -o stands beside it.
    """
    options = _options(arguments)
    values = [word.partition("=")[2] for word in options if word.startswith(f"{LONG}=")]
    values += [value for word, value in itertools.pairwise(options) if word == LONG]
    return _renamed(arguments) if len(values) == 1 and values[0] in names else None


def _options(arguments: Sequence[str]) -> list[str]:
    """The arguments before --, behind which nothing is an option."""
    return list(arguments[: list(arguments).index("--")] if "--" in arguments else arguments)


def _renamed(arguments: Sequence[str]) -> list[str]:
    before = _options(arguments)
    named = [
        CHOICE + word.removeprefix(LONG) if word == LONG or word.startswith(f"{LONG}=") else word
        for word in before
    ]
    return [*named, *arguments[len(before) :]]
