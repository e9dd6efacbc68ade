"""`--output`: a folder, as -o, and where that is given or a model has several outputs, which of these is meant."""

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
    """What `main` makes of the arguments, once it is settled what --output means."""
    try:
        return main(args=_with_folder(arguments) or ["--help"])
    except SeveralOutputsError as error:
        again = _choosing(arguments, error.names)
        if again is None:
            raise
        if any(one == "-" or one.endswith("=-") for one in again):  # it was read to its end
            raise SeveralOutputsError(
                error.problem, f"type {CHOICE} in the place of {LONG}, which names a folder here", error.names
            ) from error
        return main(args=again)


def _with_folder(arguments: Sequence[str]) -> list[str]:
    """The arguments with --model-output for --output where -o names the folder."""
    return _renamed(arguments) if any(map(FOLDER.fullmatch, _options(arguments))) else list(arguments)


def _choosing(arguments: Sequence[str], names: Collection[str]) -> list[str] | None:
    """The arguments with --model-output for an --output that names one of a model's outputs; None where none does.

    Then no folder of that name was meant, though no -o stands beside it.
    """
    options = _options(arguments)
    values = [one.partition("=")[2] for one in options if one.startswith(f"{LONG}=")]
    values += [after for one, after in itertools.pairwise(options) if one == LONG]
    return _renamed(arguments) if len(values) == 1 and values[0] in names else None


def _options(arguments: Sequence[str]) -> list[str]:
    """What stands before --, behind which nothing is an option."""
    return list(arguments[: list(arguments).index("--")] if "--" in arguments else arguments)


def _renamed(arguments: Sequence[str]) -> list[str]:
    before = _options(arguments)
    named = [
        CHOICE + one.removeprefix(LONG) if one == LONG or one.startswith(f"{LONG}=") else one
        for one in before
    ]
    return [*named, *arguments[len(before) :]]
