"""Names of classes from a file, in the forms that people keep them in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError
from cnnexplain.sources._files import existing_file

LARGEST = 32_000_000  # bytes; a file of names is far smaller
CONFIGURED = ("id2label", "label_names")  # where a config.json of the Hugging Face hub has them
FORMS = (
    'write one name a line, or JSON such as ["cat", "dog"], {"0": "cat", "1": "dog"} or {"cat": 0, "dog": 1}'
)


def read_labels(path: Path) -> tuple[str, ...]:
    """The names in `path`, by index: one a line, or a JSON list or map."""
    if existing_file(path, "file of labels").stat().st_size > LARGEST:
        raise ModelError(f"{path} is too large for a file of labels", FORMS)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not text in UTF-8", f"save it as UTF-8 and {FORMS}") from error
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{"):
        names = _from_json(text, path)
    else:
        names = text.rstrip().splitlines()
    if not names:
        raise ModelError(f"{path} holds no names of classes", FORMS)
    return tuple(map(printable, names))


def _from_json(text: str, path: Path) -> list[str]:
    try:
        data = json.loads(text)
        for key in CONFIGURED:
            if isinstance(data, dict) and isinstance(data.get(key), (dict, list)):
                data = data[key]
        if isinstance(data, dict):
            data = _by_index(data, path)
        if not isinstance(data, list):
            raise ModelError(f"{path} holds neither a list nor a map of names", FORMS)
        return [_name(value, path) for value in data]
    except (
        ValueError,
        RecursionError,
    ) as error:  # also of indices with too many digits, and of lists too deep to show
        raise ModelError(f"{path} is not JSON that can be read: {error}", FORMS) from error


def _by_index(data: Mapping[str, Any], path: Path) -> list[Any]:
    """The values of a map in the order of their indices, whichever of name and index is the key."""
    if all(type(value) is int for value in data.values()):
        pairs = [(index, name) for name, index in data.items()]
    elif all(key.isascii() and key.isdigit() for key in data):
        pairs = [(int(key), value) for key, value in data.items()]
    else:
        raise ModelError(f"{path} maps neither indices to names nor names to indices", FORMS)
    by_index = dict(pairs)
    missing = next((index for index in range(len(pairs)) if index not in by_index), None)
    if missing is not None:
        raise ModelError(
            f"{path} names {len(pairs)} classes, but none with index {missing}",
            f"the indices must run from 0 to {len(pairs) - 1}",
        )
    return [by_index[index] for index in range(len(pairs))]


def _name(value: Any, path: Path) -> str:
    if isinstance(value, list) and value:
        value = value[-1]  # Keras writes ["n01440764", "tench"]
    if isinstance(value, str) or type(value) in (int, float):
        return str(value)
    raise ModelError(f"{path} holds {json.dumps(value)[:40]} where a name should be", FORMS)
