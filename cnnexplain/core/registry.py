"""Rooms of the house that grow by a file, or by an entry point of another package.

A file's name is the command's (or the check's), and the one name in its `__all__` the class. An entry point of the
group that is called like the room, `cnnexplain.commands` for example, names such a class.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import OptionError, first_line, near_misses

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def own_names(room: ModuleType) -> list[str]:
    """The files of a package."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(room.__path__)
        if not (module.ispkg or module.name.startswith("_"))
    )


def names(room: ModuleType) -> list[str]:
    """Every command of a package, those of other packages included."""
    return sorted({*own_names(room), *plugins(room.__name__)})


def find(room: ModuleType, name: str, noun: str) -> Any:
    """The class behind a command's name; `noun` is what such a thing is called. Raises `OptionError`."""
    if name in own_names(room):
        module: Any = importlib.import_module(f"{room.__name__}.{name}")
        (exported,) = module.__all__
        return getattr(module, exported)
    if (plugin := plugins(room.__name__).get(name)) is not None:
        return load(plugin)
    near = near_misses(name, names(room))
    raise OptionError(
        f"there is no {noun} called {name!r}",
        f"did you mean {near[0]}?" if near else f"there are {', '.join(names(room))}",
    )


@lru_cache(maxsize=256)  # asked for every record
def module(room: str, name: str) -> Any:
    """The file of a room that has this name, or what an entry point of its group names; None where neither is there."""
    if name in own_names(importlib.import_module(room)):
        return importlib.import_module(f"{room}.{name}")
    plugin = plugins(room).get(name)
    return None if plugin is None else load(plugin)


def load(plugin: EntryPoint) -> Any:
    """What an entry point names. Raises `OptionError` where it cannot be imported."""
    try:
        return plugin.load()
    except Exception as error:
        package = plugin.dist.name if plugin.dist is not None else plugin.value
        raise OptionError(
            f"{plugin.name} of the package {package} cannot be imported: {first_line(error)}",
            f"update {package}, or remove it: pip uninstall {package}",
        ) from error


@cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. A name that the package itself has is never another package's."""
    if not any(f"[{group}]" in text for text in _declarations()):
        return {}  # importlib.metadata takes its time
    from importlib.metadata import entry_points

    return {plugin.name: plugin for plugin in entry_points(group=group)}


def _declarations() -> Iterator[str]:
    """The entry points that installed packages declare, as text."""
    for place in dict.fromkeys(sys.path):
        try:
            folders = [entry.path for entry in os.scandir(place or os.curdir) if entry.name.endswith("-info")]
        except OSError:  # a zip file, or nothing
            continue
        for folder in folders:
            declared = Path(folder, "entry_points.txt")
            if declared.is_file():
                yield declared.read_text("utf-8", "replace")
