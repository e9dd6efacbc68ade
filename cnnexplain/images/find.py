"""From what a user typed (files, folders, globs, lists) to the pictures that are meant."""

from __future__ import annotations

import glob
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cnnexplain.core.params import Param
from cnnexplain.errors import NoImagesError, OptionError, near_misses

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".gif",
        ".bmp",
        ".dib",
        ".webp",
        ".tif",
        ".tiff",
    ]  # what `decode` can read
)


@dataclass(frozen=True)
class ImageOptions:
    """Which pictures, beside the IMAGES arguments."""

    files_from: Annotated[
        Path | None,
        Param("Read the names of pictures from this file, one a line; - is standard input.", metavar="FILE"),
    ] = None
    null: Annotated[
        bool, Param("Names in --files-from end with NUL instead of a new line.", ("-0", "--null"))
    ] = False
    limit: Annotated[int | None, Param("Take the first N pictures.", min=1, metavar="N")] = None


@dataclass(frozen=True)
class Source:
    """One picture to explain: its path as the user gave it, and its folder below the argument it came from."""

    path: str
    folder: str  # "" where it was named itself


def find(arguments: Iterable[str], options: ImageOptions, outside: Path | None = None) -> list[Source]:
    """Every picture that is meant, each once, in the order of the arguments; folders are read sorted.

    A named file is taken whatever its name; in folders only the known suffixes are, and `outside` (where the
    results go) is left out. Raises `NoImagesError` where there is none.
    """
    given = list(arguments)
    asked = itertools.chain(_expanded(given), _listed(options))
    unique: dict[str, Source] = {}
    for path in asked:
        for source in _below(path, outside) if os.path.isdir(path) else [Source(path, "")]:
            unique.setdefault(os.path.abspath(source.path), source)
            if options.limit is not None and len(unique) >= options.limit:
                return list(unique.values())
    found = list(unique.values())
    if not found and not given and options.files_from is None:
        raise OptionError(
            "no pictures were named", "name files or folders: cnnexplain COMMAND MODEL cat.jpg photos/ -o out"
        )
    if not any(os.path.exists(source.path) for source in found):
        raise _nothing(given, options, found)
    return found


def _expanded(arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        if argument == "-":
            yield from _names(sys.stdin.buffer.read(), b"\n")
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            yield from sorted(glob.glob(argument, recursive=True))
        else:
            yield argument


def _listed(options: ImageOptions) -> Iterator[str]:
    if options.files_from is None:
        if options.null:
            raise OptionError(
                "-0 goes with --files-from", "find . -name '*.jpg' -print0 | cnnexplain … -0 --files-from -"
            )
        return
    if str(options.files_from) == "-":
        content = sys.stdin.buffer.read()
    else:
        try:
            content = options.files_from.read_bytes()
        except OSError as error:
            raise OptionError(
                f"--files-from {options.files_from} cannot be read: {error.strerror}",
                "give a text file with one picture a line, or - for standard input",
            ) from error
    yield from _names(content, b"\0" if options.null else b"\n")


def _names(content: bytes, end: bytes) -> list[str]:
    lines = content.split(end)
    if end == b"\n":
        lines = [line.removesuffix(b"\r") for line in lines]
    return [os.fsdecode(line) for line in lines if line]


def _below(folder: str, outside: Path | None) -> Iterator[Source]:
    """The pictures in a folder and all below it, by name; links to folders are not followed, to end for sure."""
    left_out = outside.resolve() if outside is not None else None
    closed: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(
            name for name in folders if left_out is None or Path(root, name).resolve() != left_out
        )
        below = os.path.relpath(root, folder)
        for name in sorted(files):
            if _is_picture(name):
                yield Source(os.path.join(root, name), "" if below == "." else below)
    for error in closed:
        yield Source(os.fsdecode(error.filename), "")  # reported as a failure when it cannot be decoded


def _nothing(given: list[str], options: ImageOptions, found: list[Source]) -> NoImagesError:
    missing = [source.path for source in found] or [name for name in given if name != "-"]
    if len(missing) == 1 and not os.path.lexists(missing[0]) and not glob.has_magic(missing[0]):
        folder, name = os.path.split(missing[0])
        near = near_misses(name, [one for one in _names_in(folder or ".") if _is_picture(one)])
        return NoImagesError(
            f"there is no picture called {missing[0]!r}",
            f"did you mean {os.path.join(folder, near[0])}?"
            if near
            else "name a picture, a folder of pictures, or a quoted 'glob'",
        )
    where = ", ".join(map(repr, missing[:3])) or str(options.files_from or "standard input")
    return NoImagesError(
        f"no pictures in {where}", "pictures are files ending in " + ", ".join(sorted(SUFFIXES))
    )


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):  # not there, not a folder, not ours to read, or a NUL in its name
        return []


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
