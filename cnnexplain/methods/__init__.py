"""Commands that explain pictures. One file, one command; the one name in its `__all__` is the method."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from cnnexplain.core import registry

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Answer, Batch
    from cnnexplain.core.reduce import Reducer
    from cnnexplain.engine.model import Model


class Method(Protocol):
    """A frozen dataclass whose fields, declared with `Param`, are the command's options."""

    reducers: ClassVar[tuple[type[Reducer], ...]]  # what is said of all images together

    @property
    def seeded(self) -> bool:
        """Whether results depend on `--seed`, which then tells one run from another."""
        ...

    def bind(self, model: Model) -> tuple[Method, tuple[Choice, ...]]:
        """The same method with every default settled for this model, and what was chosen on the way."""
        ...

    def explain(self, model: Model, batch: Batch) -> Answer:
        """The scores of a batch and the results of each of its pictures. Called on a bound method."""
        ...


def names() -> list[str]:
    """Every command that explains pictures."""
    return registry.names(sys.modules[__name__])


def method(name: str) -> type[Method]:
    """The class behind a command's name."""
    return cast("type[Method]", registry.find(sys.modules[__name__], name, "method"))
