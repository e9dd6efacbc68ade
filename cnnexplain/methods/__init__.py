"""One file, one command. A file's name is the command's, and the one name in its `__all__` is the method."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol, cast

from cnnexplain.errors import OptionError, near_misses

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Answer, Batch
    from cnnexplain.engine.model import Model


class Method(Protocol):
    """A frozen dataclass whose fields, declared with `Param`, are the command's options."""

    def bind(self, model: Model) -> tuple[Method, tuple[Choice, ...]]:
        """The same method with every default settled for this model, and what was chosen on the way."""
        ...

    def explain(self, model: Model, batch: Batch) -> Answer:
        """The scores of a batch and the maps that explain them. Called on a bound method."""
        ...


def names() -> list[str]:
    """Every command that explains pictures."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def method(name: str) -> type[Method]:
    """The class behind a command's name."""
    if name not in names():
        near = near_misses(name, names())
        raise OptionError(
            f"there is no method called {name!r}",
            f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}",
        )
    module: Any = importlib.import_module(f"{__name__}.{name}")
    (exported,) = module.__all__
    return cast("type[Method]", getattr(module, exported))
