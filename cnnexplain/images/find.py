"""From a user's arguments (files, folders, globs, lists) to the pictures that they name."""

from __future__ import annotations

import glob
import io
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

from cnnexplain.core.params import Param
from cnnexplain.core.words import abbreviated
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
    ]  # of files that `decode` can read
)


SHOWN = 3  # names in a message
CHUNK = 1 << 16  # bytes of a list that are read at once
LONGEST_NAME = 1 << 15  # bytes; no file system allows an eighth of it
MAX_NAMES, MAX_LIST = (
    4_000_000,
    1 << 28,
)  # of a list, and its bytes: a run holds all names, about 400 bytes each
IsResult = Callable[[Path], bool]


@dataclass(frozen=True)
class ImageOptions:
    """Which pictures, beside the IMAGES arguments."""

    files_from: Annotated[
        Path | None,
        Param("Read the names of pictures from this file, one a line; - is standard input.", metavar="FILE"),
    ] = None
    null: Annotated[bool, Param("Listed names end with NUL instead of a new line.", ("-0", "--null"))] = False
    limit: Annotated[int | None, Param("Take the first N pictures.", min=1, metavar="N", common=True)] = None
    sample: Annotated[
        int | None,
        Param("Take N pictures drawn at random, as --seed says, in their order.", min=1, metavar="N"),
    ] = None


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A picture to explain: its path as the user gave it, and its folder below the argument it came from."""

    path: str
    folder: str  # "" where the user named the picture itself
    start: str = field(default="", compare=False)  # the working folder at the time of the search

    @property
    def file(self) -> str:
        """Where the picture is, also after the user's own code has changed the working folder."""
        return os.path.join(self.start, self.path)


def _never(_path: Path) -> bool:
    return False


def find(
    arguments: Iterable[str],
    options: ImageOptions,
    results: Path | None = None,
    is_result: IsResult = _never,
    seed: int = 0,
) -> list[ImagePath]:
    """Every picture that the arguments name, each once, in their order; folders are read sorted.

    A named file is taken whatever its name; in folders only files with one of `SUFFIXES`. Files of an earlier run are
    no pictures to explain: the folder `results` is passed over when it lies within a named folder, and where it is the
    named folder itself, the files that `is_result` recognises are. `seed` is that of a sample. Raises `NoImagesError`
    where there is none.
    """
    names = list(arguments)
    if options.null and options.files_from is None and "-" not in names:
        raise OptionError(
            "-0 goes with a list of names",
            "find . -name '*.jpg' -print0 | cnnexplain COMMAND MODEL - -0 -o out",
        )
    unique: dict[str, ImagePath] = {}
    for source in _sources(itertools.chain(_expanded(names, options), _listed(options)), results, is_result):
        unique.setdefault(os.path.abspath(source.path), source)
        if len(unique) == options.limit:
            break
    images = list(unique.values())
    if not images and not names and options.files_from is None:
        raise OptionError(
            "no pictures were named", "name files or folders: cnnexplain COMMAND MODEL cat.jpg photos/ -o out"
        )
    if not any(os.path.exists(source.path) for source in images):
        raise _nothing(names, options, images)
    if options.sample is not None and options.sample < len(images):
        drawn = random.Random(seed).sample(range(len(images)), options.sample)  # noqa: S311 - no secret
        return [images[place] for place in sorted(drawn)]
    return images


def _sources(paths: Iterable[str], results: Path | None, is_result: IsResult) -> Iterator[ImagePath]:
    start = os.getcwd()
    for path in paths:
        if os.path.isdir(path):
            yield from _below(path, start, results, is_result)
        else:
            yield ImagePath(path, "", start)


def _expanded(arguments: list[str], options: ImageOptions) -> Iterator[str]:
    for argument in arguments:
        if argument == "-":
            yield from _names(_standard_input(), "standard input", options)
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            yield from sorted(glob.glob(argument, recursive=True)) or [argument]  # reported as missing
        else:
            yield argument


def _listed(options: ImageOptions) -> Iterator[str]:
    if options.files_from is None:
        return
    if str(options.files_from) == "-":
        yield from _names(_standard_input(), "standard input", options)
        return
    try:
        with options.files_from.open("rb") as file:
            yield from _names(file, f"--files-from {options.files_from}", options)
    except OSError as error:
        raise OptionError(
            f"--files-from {options.files_from} cannot be read: {error.strerror}",
            "give a text file with one picture a line, or - for standard input",
        ) from error


def _standard_input() -> IO[bytes]:
    return sys.stdin.buffer if sys.stdin is not None else io.BytesIO()  # None: closed by whoever started us


def _names(file: IO[bytes], where: str, options: ImageOptions) -> Iterator[str]:
    """The names in a list, as they come. Raises `OptionError` for a list that does not end, or is not a list."""
    end, remainder, length, listed = (b"\0" if options.null else b"\n"), b"", 0, 0
    while chunk := file.read(CHUNK):
        *names, remainder = (remainder + chunk).split(end)
        length, listed = length + len(chunk), listed + len(names)
        if len(remainder) > LONGEST_NAME or any(len(name) > LONGEST_NAME for name in names):
            kind = "NUL" if options.null else "an end of the line"
            raise OptionError(
                f"{where} has {LONGEST_NAME:,} bytes without {kind} and is no list of names",
                "give a text file with one picture a line; -0 is for names that end with NUL",
            )
        if length > MAX_LIST or listed > MAX_NAMES:
            raise OptionError(
                f"{where} does not end: {listed:,} names in {length / 1e6:,.0f} MB and more",
                f"give lists of at most {MAX_NAMES:,} names, or take the first with --limit N",
            )
        for name in names:
            yield from _name(name, options)
    yield from _name(remainder, options)


def _name(written: bytes, options: ImageOptions) -> Iterator[str]:
    name = written if options.null else written.removesuffix(b"\r")
    if name:
        yield os.fsdecode(name)


def _below(folder: str, start: str, results: Path | None, is_result: IsResult) -> Iterator[ImagePath]:
    """The pictures in a folder and all below it, by name; links to folders are not followed: they may form circles."""
    excluded = results.resolve() if results is not None else None
    within = excluded is not None and excluded in (Path(folder).resolve(), *Path(folder).resolve().parents)
    closed: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(
            name for name in folders if excluded is None or Path(root, name).resolve() != excluded
        )
        below = os.path.relpath(root, folder)
        for name in sorted(files):
            if is_picture(name) and not (within and is_result(Path(root, name))):
                yield ImagePath(os.path.join(root, name), "" if below == "." else below, start)
    for error in closed:
        # Reported as a failure when it cannot be decoded.
        yield ImagePath(os.fsdecode(error.filename), "", start)


def _nothing(arguments: list[str], options: ImageOptions, sources: list[ImagePath]) -> NoImagesError:
    missing = [source.path for source in sources]
    for path in missing[:SHOWN]:
        if suggestion := _suggestion(path):
            kind = "picture" if is_picture(path) else "picture or folder"
            return NoImagesError(f"there is no {kind} called {path!r}", f"did you mean {suggestion}?")
    named = [path for path in missing if not glob.has_magic(path)]
    if not named:
        places = [argument for argument in arguments if argument != "-"] or [
            str(options.files_from or "standard input")
        ]
        return NoImagesError(
            f"no pictures in {abbreviated(map(repr, places), SHOWN)}",
            "pictures are files ending in " + ", ".join(sorted(SUFFIXES)),
        )
    folder = os.path.dirname(named[0])
    example = next(
        (name for name, is_folder in _entries(Path(folder)) if is_picture(name) and not is_folder), None
    )
    return NoImagesError(
        f"there is no picture called {abbreviated(map(repr, named), SHOWN)}",
        "name a picture, a folder of pictures, or a quoted 'glob'"
        + (f"; {os.path.join(folder, example)} is there, for example" if example else ""),
    )


def _suggestion(path: str) -> str:
    """The existing path that a mistyped path, or the folder of a glob, most likely meant; empty where there is none."""
    parts = Path(path).parts
    place, changed = Path(), False
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if glob.has_magic(part) and not os.path.lexists(place / part):
            candidate = os.path.join(place, *parts[number:])
            return candidate if changed and glob.glob(candidate, recursive=True) else ""
        if not os.path.exists(place / part):
            candidates = [
                name for name, is_folder in _entries(place) if is_folder or (last and is_picture(name))
            ]
            near = near_misses(part, candidates, 1)
            if not near:
                return ""
            part, changed = near[0], True  # noqa: PLW2901 - the corrected part
        place /= part
    return f"{place}{os.sep if path.endswith(os.sep) else ''}" if changed else ""


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """The names in a folder, sorted, and whether each is a folder itself; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries)
    except (OSError, ValueError):  # not there, not a folder, not ours to read, or a NUL in its name
        return []


def is_picture(name: str) -> bool:
    """Whether a file is named as a picture is."""
    return os.path.splitext(name)[1].lower() in SUFFIXES
