"""What every picture should be: from the names of folders, or from a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from cnnexplain.core.target import parse_target
from cnnexplain.engine.model import Model
from cnnexplain.errors import CheckInputError, TargetError, near_misses
from cnnexplain.images.find import Source

FOLDER = "folder"
COLUMNS = ("image", "label")


def expected(wanted: str, sources: Sequence[Source], model: Model) -> dict[str, int]:
    """The class of every picture by its path: `wanted` is `folder`, or the path of a CSV file.

    A label is a class's index, its name, or a unique part of it; folders may write _ for a space. Raises
    `CheckInputError` where a picture has none, or one that is no class.
    """
    if wanted == FOLDER:
        named = {one.path: os.path.basename(os.path.dirname(os.path.abspath(one.path))) for one in sources}
        where = "the folder"
    else:
        named = _listed(Path(wanted), sources)
        where = wanted
    known: dict[str, int] = {}
    for path, text in named.items():
        if text not in known:
            known[text] = class_index(text, model.labels, f"{where} of {path}" if wanted == FOLDER else where)
    return {path: known[text] for path, text in named.items()}


def class_index(text: str, labels: Sequence[str], where: str) -> int:
    """The class that a label means; `where` it stands is told in the `CheckInputError` where it means none."""
    for spelling in dict.fromkeys((text, text.replace("_", " "))):
        try:
            index = parse_target(spelling, labels).index
        except TargetError as error:
            problem, hint = error.problem.removeprefix("--target "), error.hint.replace("--target ", "")
            continue
        if index is not None:
            return index
        problem, hint = f"{text!r} is no class", "write a class's index or name"
    raise CheckInputError(f"{where}: {problem}", hint)


def _listed(file: Path, sources: Sequence[Source]) -> dict[str, str]:
    """The label of every picture in a CSV file; its paths are as given, or relative to the file."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except FileNotFoundError as error:
        raise CheckInputError(
            f"there is no {file}", "give --labels-from folder, or a CSV file with the columns image and label"
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise CheckInputError(f"{file} cannot be read: {error}", "it should be CSV in UTF-8") from error
    for column in COLUMNS:
        if not rows or rows[0].get(column) is None:
            raise CheckInputError(f"{file} has no column {column!r}", "its first line should be: image,label")
    found = {_real(file.parent / row["image"]): row["label"] or "" for row in rows}
    found |= {_real(Path(row["image"])): row["label"] or "" for row in rows if os.path.exists(row["image"])}
    labels: dict[str, str] = {}
    for source in sources:
        label = found.get(_real(Path(source.path)))
        if label is None:
            near = near_misses(source.path, [row["image"] for row in rows])
            raise CheckInputError(
                f"{file} does not say what {source.path} is",
                f"it has {near[0]}" if near else "add a line for it: image,label",
            )
        labels[source.path] = label
    return labels


def _real(path: Path) -> str:
    return os.path.realpath(path)
