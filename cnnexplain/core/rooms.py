"""Rooms of the house that grow by a file: its name is the command's, and the one name in its `__all__` the class."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from cnnexplain.errors import OptionError, near_misses


def names(room: ModuleType) -> list[str]:
    """Every command of a package."""
    return sorted(one.name for one in pkgutil.iter_modules(room.__path__) if not one.name.startswith("_"))


def find(room: ModuleType, name: str, what: str) -> Any:
    """The class behind a command's name; `what` is what such a thing is called."""
    known = names(room)
    if name not in known:
        near = near_misses(name, known)
        raise OptionError(
            f"there is no {what} called {name!r}",
            f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}",
        )
    module: Any = importlib.import_module(f"{room.__name__}.{name}")
    (exported,) = module.__all__
    return getattr(module, exported)
