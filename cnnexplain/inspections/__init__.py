"""Commands that look into a model, without pictures. One file, one command, as in `methods`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from cnnexplain.core import registry

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.results import Result
    from cnnexplain.engine.model import Model


class Inspection(Protocol):
    """A frozen dataclass whose fields, declared with `Param`, are the command's options."""

    needs_folder: ClassVar[bool]  # whether it means nothing without pictures in a folder

    @property
    def seeded(self) -> bool:
        """Whether results depend on `--seed`, which then tells one run from another."""
        ...

    def bind(self, model: Model) -> tuple[Inspection, tuple[Choice, ...]]:
        """The same inspection with every default settled for this model, and what was chosen on the way."""
        ...

    def inspect(self, model: Model) -> Iterator[Result]:
        """What is found, one thing after another, so that each can be drawn and let go. Called on a bound one."""
        ...


def names() -> list[str]:
    """Every command that looks into a model."""
    return registry.names(sys.modules[__name__])


def inspection(name: str) -> type[Inspection]:
    """The class behind a command's name."""
    return cast("type[Inspection]", registry.find(sys.modules[__name__], name, "inspection"))
