"""What every picture should be: from the names of folders, or from a CSV file."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cnnexplain.core.target import SHOWN_CANDIDATES, class_named, matching
from cnnexplain.core.words import printable
from cnnexplain.engine.model import Model
from cnnexplain.errors import CheckInputError, TargetError, near_misses
from cnnexplain.images.find import ImagePath
from cnnexplain.sources.kit.libraries import library

FOLDER = "folder"
COLUMNS = ("image", "label")
HEADER = "its first line should be: image,label"
LARGEST = 64 * 2**20  # bytes: no list of labels, but what a mistaken path may lead to
LONGEST = 100  # characters of a label, in a message
DESCRIBED = 60  # characters of a class, among several
COMPARED = 1000  # rows that a missing picture is looked for in
SYNSET = re.compile(r"(n[0-9]{8})(?:[-_ .].*)?", re.DOTALL)  # as n02123045, or n02123045_tabby


class Written(NamedTuple):
    """A label as it is written, and where."""

    text: str
    where: str
    folder: bool = False  # it is the name of one


def written_labels(wanted: str, sources: Sequence[ImagePath]) -> dict[str, Written]:
    """The label of every picture by its path: `wanted` is `folder`, or the path of a CSV file. Needs no model.

    Raises `CheckInputError` where a picture has none.
    """
    if wanted == FOLDER:
        folders: dict[str, Written] = {}  # one for all pictures in it
        return {one.path: folders.setdefault(os.path.dirname(one.path), _folder(one.path)) for one in sources}
    if os.path.isdir(wanted):
        raise CheckInputError(
            f"--labels-from {_short(wanted)} is a folder, not a CSV file",
            "write --labels-from folder, that very word: classes are then the names of the pictures' own folders, as "
            "photos/tiger_cat/x.jpg",
        )
    return _listed(Path(wanted), sources)


def expected(written: Mapping[str, Written], model: Model) -> dict[str, int]:
    """The class of every picture by its path.

    A label is a class's name, its index, a unique part of its name, or where the model has ImageNet's classes the id of
    a synset; in all of them _ may stand for a space. Raises `CheckInputError` where one is no class.
    """
    known: dict[str, int] = {}
    for text, where, folder in written.values():
        if text not in known:
            known[text] = class_index(text, model.labels, where, folder=folder)
    return {path: known[one.text] for path, one in written.items()}


def _folder(path: str) -> Written:
    """The name of the folder that a picture lies in."""
    name = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return Written(name, f"the folder of {path}", folder=True)


def class_index(text: str, labels: Sequence[str], where: str, *, folder: bool = False) -> int:
    """The class that a label means, by the strictest reading that finds any."""
    plain = printable(text)  # as classes are called, which have lost their control characters
    spellings = tuple(dict.fromkeys((text, text.replace("_", " "), plain, plain.replace("_", " "))))
    for spelling in spellings:
        # Before all others, as a class may be called 7, top, or by its synset's id.
        matches = [index for index, label in enumerate(labels) if label.casefold() == spelling.casefold()]
        if len(matches) == 1:
            return matches[0]
        if matches and text.isdecimal() and len(text) < 19 and int(text) in matches:
            return int(text)  # which is what a refusal asks for
        if matches:
            _refuse_many(text, matches, labels, where, folder)
    write = "rename the folder to" if folder else "write"
    if synset := SYNSET.fullmatch(text):
        return _of_synset(synset[1], labels, where, write)
    problem, hint = f"{_short(text)} is no class", ""
    for spelling in spellings:
        try:
            return class_named(spelling[:LONGEST].strip(), labels)
        except TargetError as error:
            if len(matches := matching(spelling[:LONGEST], labels)) > 1:
                _refuse_many(text, matches, labels, where, folder)
            problem, hint = error.problem.removeprefix("--target "), error.hint.replace("--target ", "")
    rename = f"{write} a class's name or index"
    raise CheckInputError(f"{where}: {problem}", f"{rename}; {hint}" if hint else rename)


def _refuse_many(
    text: str, matches: Sequence[int], labels: Sequence[str], where: str, folder: bool
) -> NoReturn:
    """A name of several classes: which there are, so that the one that is meant can be picked."""
    shown = matches[:SHOWN_CANDIDATES]
    detailed = _descriptions(labels) if len({labels[index] for index in shown}) < len(shown) else labels
    named = ", ".join(f"{index} ({_cut(detailed[index])})" for index in shown)
    more = f" and {len(matches) - len(shown)} more" if len(matches) > len(shown) else ""
    raise CheckInputError(
        f"{where}: {_short(text)} fits {len(matches)} classes",
        f"{'rename the folder to' if folder else 'write'} the index that is meant: {named}{more}",
    )


def _descriptions(labels: Sequence[str]) -> Sequence[str]:
    """What ImageNet's classes are, at length, as several share a name; the labels themselves where they are others."""
    info = _imagenet(labels)
    return labels if info is None else info.label_descriptions(detailed=True)


def _of_synset(synset: str, labels: Sequence[str], where: str, write: str) -> int:
    """The class with this id in WordNet. Only ImageNet's classes have ids that are known."""
    info = _imagenet(labels)
    if info is None:
        raise CheckInputError(
            f"{where}: {synset} is the id of a synset, and the model's classes are not ImageNet's",
            f"{write} the model's own name of the class, or its index",
        )
    ids = list(info.label_names())
    if synset not in ids:
        raise CheckInputError(
            f"{where}: {synset} is none of the model's {len(ids)} classes", f"{write} a class's name or index"
        )
    return ids.index(synset)


def _imagenet(labels: Sequence[str]) -> Any:
    """What timm knows of ImageNet's classes; None where a model's are others."""
    data = library("timm.data")
    subset = data.infer_imagenet_subset({"num_classes": len(labels)})
    info = None if subset is None else data.ImageNetInfo(subset)
    return info if info is not None and _alike(labels, info.label_descriptions()) else None


def _alike(labels: Sequence[str], names: Sequence[str]) -> bool:
    """Whether classes are ImageNet's: libraries write a few of the names differently."""
    same = sum(
        label.split(",")[0].casefold() == name.split(",")[0].casefold()
        for label, name in zip(labels, names, strict=True)
    )
    return same >= 0.9 * len(labels)


def _listed(file: Path, sources: Sequence[ImagePath]) -> dict[str, Written]:
    """The label of every picture in a CSV file, and where it stands; paths are as given, or relative to the file."""
    wanted: dict[str, list[str]] = {}
    for source in sources:
        for spelling in dict.fromkeys(_spellings(source.path)):
            wanted.setdefault(spelling, []).append(source.path)
    folders = dict.fromkeys((*_spellings(os.path.dirname(file) or "."), os.getcwd()))
    labels: dict[str, Written] = {}
    listed: list[str] = []
    for line, image, label in _rows(file):
        if len(listed) < COMPARED:
            listed.append(image)
        places = dict.fromkeys(os.path.normpath(os.path.join(folder, image)) for folder in folders)
        for name in dict.fromkeys(name for place in places for name in wanted.get(place, ())):
            where = f"{file}, line {line}"
            if not label:
                raise CheckInputError(f"{where}: {name} has no label", "write what the picture should be")
            if labels.setdefault(name, Written(label, where)).text != label:
                raise CheckInputError(
                    f"{where}: {name} is {_short(label)}, but {_short(labels[name].text)} before",
                    "leave one of the lines out",
                )
    for source in sources:
        if source.path not in labels:
            near = near_misses(source.path, listed)
            raise CheckInputError(
                f"{file} does not say what {source.path} is",
                f"it has {_short(near[0])}: paths are as given, or relative to the file"
                if near
                else "add a line for it, its path as given or relative to the file",
            )
    return labels


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """The line, the image and the label of every row."""
    rows = csv.reader(io.StringIO(_text(file), newline=""))
    places: list[int] | None = None
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = _places(file, row)
                continue
            if len(row) <= max(places):
                raise CheckInputError(
                    f"{file}, line {rows.line_num}: there are {len(row)} cells, and {max(places) + 1} are needed",
                    "a name that holds a comma is written in quotes",
                )
            image, label = (row[place].strip() for place in places)
            yield rows.line_num, image, label
    except csv.Error as error:
        raise CheckInputError(
            f"{file}, line {rows.line_num} cannot be read: {error}", "it should be CSV in UTF-8"
        ) from error
    if places is None:
        raise CheckInputError(f"{file} is empty", HEADER)


def _places(file: Path, head: Sequence[str]) -> list[int]:
    names = [name.strip().casefold() for name in head]
    for column in COLUMNS:
        if column not in names:
            raise CheckInputError(f"{file} has no column {column!r}", HEADER)
        if names.count(column) > 1:
            raise CheckInputError(f"{file} has {names.count(column)} columns {column!r}", HEADER)
    return [names.index(column) for column in COLUMNS]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise CheckInputError(
            f"there is no {file}", "give --labels-from folder, or a CSV file with the columns image and label"
        ) from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CheckInputError(f"{file} cannot be read: {why}", "give a CSV file") from error
    if len(content) > LARGEST:
        raise CheckInputError(
            f"{file} is larger than {LARGEST // 2**20} MiB", "give a CSV file with a line for every picture"
        )
    if 0 in content:
        line = content[: content.index(0)].count(b"\n") + 1
        raise CheckInputError(f"{file}, line {line} holds a NUL byte", "it should be CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CheckInputError(f"{file}, line {line} is not text in UTF-8", "save it as UTF-8") from error


def _spellings(path: str) -> tuple[str, str]:
    """A path as it was given, and where it really leads."""
    return os.path.abspath(path), os.path.realpath(path)


def _cut(text: str) -> str:
    return text if len(text) <= DESCRIBED else text[: DESCRIBED - 1] + "…"


def _short(text: str) -> str:
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
