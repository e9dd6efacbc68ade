"""Commands. One file, one command: its options, what it needs, and what it says; `__all__` names its class alone."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cnnexplain.core import registry
from cnnexplain.core.params import declared
from cnnexplain.core.reduce import Reducer
from cnnexplain.engine.capabilities import Capability, require
from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Answer, Batch
    from cnnexplain.core.results import Result
    from cnnexplain.engine.model import Model


class Command(ABC):
    """A frozen dataclass whose fields, declared with `Param`, are the command's options; its docstring is the help."""

    examples: ClassVar[tuple[str, ...]] = ()  # command lines, for the help
    unused: ClassVar[frozenset[str]] = frozenset()  # shared options that mean nothing here
    worded: ClassVar[bool] = False  # whether its pictures are nothing without their words

    @property
    def needs(self) -> frozenset[Capability]:
        """What the model must have, seen to before `bind`; a class variable will do where it is always the same."""
        return frozenset()

    @property
    @abstractmethod
    def seeded(self) -> bool:
        """Whether results depend on `--seed`, which then tells one run from another; a class variable will do."""

    @abstractmethod
    def bind(self, model: Model) -> tuple[Any, tuple[Choice, ...]]:
        """The same command with every default settled for this model, and what was chosen on the way.

        Called through `bound`, on a model that has what the command `needs`. Raises a `CnnexplainError` where options
        and model do not fit.
        """


class BatchCommand(Command):
    """A command that is asked of images, batch by batch."""

    reducers: ClassVar[tuple[type[Reducer], ...]] = ()  # what is said of all images together
    # Whether images gain nothing by going through the model together, since each takes many passes of its own. They
    # then come one at a time unless a user says otherwise, so that each is written as soon as it is done.
    image_by_image: ClassVar[bool] = False

    @abstractmethod
    def explain(self, model: Model, batch: Batch) -> Answer:
        """The scores of a batch and the results of each of its pictures. Called on a bound command."""


class ImageCommand(BatchCommand):
    """A command that explains images."""

    @property
    def needs(self) -> frozenset[Capability]:
        """Class scores, or a function in their place."""
        return frozenset({Capability.SCORES})


class FolderCommand(BatchCommand):
    """A command that says nothing of single images, but something of all together, when the last has been seen.

    The results of single images only serve for that: they are kept in scan.jsonl, and results.jsonl has other records.
    """


class ModelCommand(Command):
    """A command that looks into a model, without images."""

    needs_folder: ClassVar[bool] = False  # whether it means nothing without pictures in a folder

    @abstractmethod
    def inspect(self, model: Model) -> Iterator[Result]:
        """One result after another, so that each can be drawn and let go. Called on a bound command."""


AnyCommand = TypeVar("AnyCommand", bound=Command)


class SeriesCommand(ModelCommand):
    """A command whose results are of many targets, each with a record of its own, so that a stopped run goes on."""

    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """The targets by name, each once, in the order of the records. Called on a bound command."""

    @abstractmethod
    def series(self, model: Model, places: Sequence[int]) -> Iterator[tuple[int, tuple[Result, ...]]]:
        """The results of the targets at these places among the subjects, each place once, in any order."""

    def inspect(self, model: Model) -> Iterator[Any]:
        """The results of all targets.

        Yields:
            Each result, target by target.
        """
        with model.borrowed():
            for _, results in self.series(model, range(len(self.subjects()))):
                yield from results


def bound(command: AnyCommand, model: Model) -> tuple[AnyCommand, tuple[Choice, ...]]:
    """Settle every default of a command for a model.

    Args:
        command: The command with the options that a user gave.
        model: The model that it is carried out on.

    Returns:
        The command as `bind` gives it back, and what was chosen, each choice with its reason.

    Raises:
        CnnexplainError: The model lacks what the command needs, or options and model do not fit.
    """
    for option in declared(type(command)):
        option.require_use(getattr(command, option.name), getattr(command, "method", ()))
    require(model, command.needs)
    return command.bind(model)


def names() -> list[str]:
    """Return the name of every command: those that have a file here, and those of other packages."""
    return registry.names(sys.modules[__name__])


def command(name: str) -> type[ImageCommand] | type[ModelCommand] | type[FolderCommand]:
    """Return the class of a command.

    Args:
        name: The command's name on the command line: `gradcam`.

    Raises:
        OptionError: There is no command of that name.
    """
    kind = registry.find(sys.modules[__name__], name, "command")
    if not (isinstance(kind, type) and issubclass(kind, (ImageCommand, ModelCommand, FolderCommand))):
        raise OptionError(
            f"{name} is no command: {kind!r}",
            "derive it from cnnexplain.commands.ImageCommand or ModelCommand",
        )
    return kind


def image_command(name: str) -> type[ImageCommand]:
    """Return the class of a command that explains images.

    Args:
        name: The command's name on the command line: `gradcam`.

    Raises:
        OptionError: There is no command of that name, or it takes no images, as `filters`.
    """
    kind = command(name)
    if not issubclass(kind, ImageCommand):
        candidates = [name_of for name_of in names() if issubclass(command(name_of), ImageCommand)]
        raise OptionError(f"{name} explains no images", f"there are {', '.join(candidates)}")
    return kind
