"""The base class of commands: a command's options, and how it is carried out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexplain.cli.options import built
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import DeclaredOption, declared
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.options import DeviceOptions

if TYPE_CHECKING:
    from cnnexplain.runner.request import Observer, Outcome


@dataclass(frozen=True)
class ShellCommand(ABC):
    """A command. `kind` is the dataclass whose declared fields are its own options."""

    name: str
    kind: type[Any]
    # Every group of options that it shares with others, by the heading in --help.
    shared: ClassVar[Mapping[str, type]]

    takes_model: ClassVar[bool] = True
    needs_model: ClassVar[bool] = True
    takes_pictures: ClassVar[bool] = False
    takes_parts: ClassVar[bool] = False  # folders of earlier runs
    heading: ClassVar[str]  # of its own options in --help
    without: ClassVar[frozenset[str]] = frozenset()  # shared options that none of its kind uses
    runner: ClassVar[str]  # the module that carries it out, which may take seconds to import

    @property
    def fields(self) -> dict[str, DeclaredOption]:
        """All its declared options, by their names."""
        return {field.name: field for cls in (*self.shared.values(), self.kind) for field in declared(cls)}

    @property
    def examples(self) -> tuple[str, ...]:
        """Calls that --help shows first."""
        return getattr(self.kind, "examples", ())

    @property
    def unused(self) -> frozenset[str]:
        """Shared options that change nothing here. They are accepted, since settings for all commands may name them."""
        return self.without | getattr(self.kind, "unused", frozenset())

    @property
    def shared_fields(self) -> dict[str, list[DeclaredOption]]:
        """The options that it shares with others, by heading, without those that it does not use."""
        return {
            heading: [field for field in declared(cls) if field.name not in self.unused]
            for heading, cls in self.shared.items()
        }

    def shown(self, values: Mapping[str, Any]) -> Callable[..., list[str]] | None:  # noqa: ARG002
        """A function that draws the lines to show at once, without a model; None where a model is needed.

        Needs no torch. See `console.show_lines`.
        """
        return None

    def common(self, values: Mapping[str, Any], arguments: str) -> dict[str, Any]:
        """The arguments that all kinds of requests share."""
        return {
            "command": self.name,
            "reference": values["model"],
            "model": built(ModelOptions, values),
            "where": built(DeviceOptions, values),
            "render": built(RenderOptions, values),
            "arguments": arguments,
        }

    def forget(self, arguments: Sequence[str], start: Path) -> None:  # noqa: B027 - most leave nothing of the kind
        """Remove files of an earlier run that must not be taken for this run's, even if this run fails.

        Paths are relative to `start`.
        """

    def settled(self, values: Mapping[str, Any], typed: set[str]) -> dict[str, Any]:  # noqa: ARG002
        """The values without settings that conflict with the `typed` options: those are meant for other calls."""
        return dict(values)

    def prepare(self) -> None:
        """Import the module that carries it out."""
        importlib.import_module(self.runner)

    @abstractmethod
    def carry_out(
        self, values: Mapping[str, Any], chosen: set[str], arguments: str, observer: Observer
    ) -> Outcome:
        """Carry the command out, which needs torch. `chosen`: the options that the user set; `arguments`: the call."""
