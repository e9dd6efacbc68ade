"""The base class of commands: a command's options, and how it is carried out."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cnnexplain.cli.options import built, flag
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import DeclaredOption, declared
from cnnexplain.errors import OptionError
from cnnexplain.images.find import ImageOptions
from cnnexplain.render.kit.options import WORDLESS, RenderOptions
from cnnexplain.runner.options import AnswerOptions, DeviceOptions, RunOptions
from cnnexplain.runner.request import Request

if TYPE_CHECKING:
    from cnnexplain.runner.request import Observer, Outcome

Options = TypeVar("Options")
FOR_PAPERS = frozenset({"figure", "scale", "dpi"})  # options that are refused where they change nothing


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
    def own(self) -> frozenset[str]:
        """Its own options. One that is called as a shared option stands in its place: `--scale` of activations."""
        return frozenset(field.name for field in declared(self.kind))

    @property
    def shared_fields(self) -> dict[str, list[DeclaredOption]]:
        """The options that it shares with others, by heading, without those that it does not use."""
        return {
            heading: [field for field in declared(cls) if field.name not in self.unused | self.own]
            for heading, cls in self.shared.items()
        }

    def shown(self, values: Mapping[str, Any]) -> Callable[..., list[str]] | None:  # noqa: ARG002
        """A function that draws the lines to show at once, without a model; None where a model is needed.

        Needs no torch. See `console.show_lines`.
        """
        return None

    def action(self, values: Mapping[str, Any]) -> Any:
        """What differs between the requests of commands."""
        return built(self.kind, values)

    def request(self, values: Mapping[str, Any], chosen: set[str], arguments: str) -> Request[Any]:
        """What the values ask for. `chosen`: the options that the user set; `arguments`: the call."""
        return Request(
            command=self.name,
            action=self.action(values),
            reference=values.get("model") or "",
            images=tuple(values.get("images") or ()),
            chosen=self.own & chosen,
            run=self._results(values, chosen),
            model=self._shared(ModelOptions, values),
            where=self._shared(DeviceOptions, values),
            find=self._shared(ImageOptions, values),
            answers=self._shared(AnswerOptions, values),
            render=self._shared(RenderOptions, values),
            arguments=arguments,
        )

    def _shared(self, kind: type[Options], values: Mapping[str, Any]) -> Options:
        """Options that are shared by several commands; their defaults where this is none of these."""
        mine = values if kind in self.shared.values() else {}
        return built(kind, {name: value for name, value in mine.items() if name not in self.own})

    def _results(self, values: Mapping[str, Any], chosen: set[str]) -> RunOptions:
        """Where results go: nowhere with --json where the user named no folder, since then only records are wanted."""
        options = built(RunOptions, values)
        if "Results" not in self.shared or not values["json"] or "output" in chosen or options.output is None:
            return options
        for name in ("save_raw", "tensorboard"):
            if values[name]:
                raise OptionError(
                    f"{flag(name)} needs a run's files, and --json without -o writes none", "add -o out"
                )
        return replace(options, output=None)

    def forget(self, arguments: Sequence[str], start: Path) -> None:  # noqa: B027 - most leave nothing of the kind
        """Remove files of an earlier run that must not be taken for this run's, even if this run fails.

        Paths are relative to `start`.
        """

    def settled(self, values: Mapping[str, Any], typed: set[str]) -> dict[str, Any]:
        """The values without settings that conflict with the `typed` options: those are meant for other calls.

        Nor those of options that none of the methods uses.
        """
        values = {**values, **self._figure(values, typed)}
        own = {option.name: option for option in declared(self.kind)}
        wanted = values.get("method") or (own["method"].default if "method" in own else ())
        methods = {part.strip() for word in wanted for part in word.split(",")}
        unused = {name for name, option in own.items() if not option.is_used(methods)} - typed
        return {**values, **{name: own[name].default for name in unused}}

    def _figure(self, values: Mapping[str, Any], typed: set[str]) -> dict[str, Any]:
        """What pictures are, without a setting that they cannot be. Raises `OptionError` where that was typed."""
        if useless := sorted(typed & FOR_PAPERS & self.unused):
            raise OptionError(
                f"{flag(useless[0])} has no use in {self.name}: its pictures have no such choice",
                f"leave {flag(useless[0])} out",
            )
        if values.get("pictures") is False and "figure" in values:
            return self._without_pictures(typed)
        figure = values.get("figure")
        if figure not in WORDLESS or not getattr(self.kind, "worded", False):
            return {}
        if "figure" in typed:
            raise OptionError(
                f"--figure {figure} leaves out words, and what {self.name} draws is nothing without them",
                "for a paper --figure pdf, or --figure svg",
            )
        return {"figure": "card"}

    @staticmethod
    def _without_pictures(typed: set[str]) -> dict[str, Any]:
        """What holds where none are drawn; where their look was typed the setting was meant for other calls."""
        asked = sorted(typed & FOR_PAPERS)
        if not asked:
            return {"figure": "card"}
        if "pictures" in typed:
            raise OptionError(
                f"{flag(asked[0])} says how pictures look, and --no-pictures draws none",
                "leave one of them out",
            )
        return {"pictures": True}

    def carry_out(
        self, values: Mapping[str, Any], chosen: set[str], arguments: str, observer: Observer
    ) -> Outcome:
        """Carry the command out, which needs torch."""
        from cnnexplain.runner.run import run

        return run(self.request(values, chosen, arguments), observer)
