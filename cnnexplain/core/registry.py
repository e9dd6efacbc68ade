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
    """Return the names of the files of a package, without those that begin with an underscore."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(room.__path__)
        if not (module.ispkg or module.name.startswith("_"))
    )


def names(room: ModuleType) -> list[str]:
    """Return the name of every command, check or source of a package, those of other packages included."""
    return sorted({*own_names(room), *plugins(room.__name__)})


def find(room: ModuleType, name: str, noun: str) -> Any:
    """Return the class that a file or another package adds to a package of this one.

    Args:
        room: The package: `cnnexplain.commands`.
        name: The file's name, or that of an entry point of the package's group.
        noun: What such a class is called in a message: command.

    Raises:
        OptionError: There is none of that name.
    """
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
    """Return the file of a package that has this name, or what an entry point of its group names.

    Args:
        room: The package's name, which is that of the group as well: `cnnexplain.render`.
        name: The file's name; any text, as records may have it.

    Returns:
        The module, or the object that the entry point names; None where neither is there.
    """
    if name in own_names(importlib.import_module(room)):
        return importlib.import_module(f"{room}.{name}")
    plugin = plugins(room).get(name)
    return None if plugin is None else load(plugin)


def load(plugin: EntryPoint) -> Any:
    """Return what an entry point names.

    Raises:
        OptionError: It cannot be imported.
    """
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
    """Return the entry points of a group by name; they are looked up once a process."""
    if not any(f"[{group}]" in text for text in _declarations()):
        return {}  # importlib.metadata takes its time
    from importlib.metadata import entry_points

    return {plugin.name: plugin for plugin in entry_points(group=group)}


def _declarations() -> Iterator[str]:
    """Yield the entry points that installed packages declare, as text."""
    for place in dict.fromkeys(sys.path):
        try:
            folders = [entry.path for entry in os.scandir(place or os.curdir) if entry.name.endswith("-info")]
        except OSError:  # a zip file, or nothing
            continue
        for folder in folders:
            declared = Path(folder, "entry_points.txt")
            if declared.is_file():
                yield declared.read_text("utf-8", "replace")
