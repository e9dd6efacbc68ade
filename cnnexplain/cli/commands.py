"""Every command: the class that declares its options, the options it shares with others, and its runner."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cnnexplain.cli.command import ShellCommand
from cnnexplain.cli.console import ConsoleOptions
from cnnexplain.cli.options import built, flag
from cnnexplain.cli.settings import tables, variables
from cnnexplain.commands import ImageCommand, command, names
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import declared
from cnnexplain.errors import OptionError
from cnnexplain.images.find import ImageOptions
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.checking.files import cleared, forget
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.thresholds import chosen
from cnnexplain.runner.options import (
    AnswerOptions,
    DeviceOptions,
    FolderOptions,
    MergeOptions,
    OutputOptions,
    RunOptions,
)
from cnnexplain.runner.request import CheckRequest, MergeRequest, ModelRequest, Request

if TYPE_CHECKING:
    from cnnexplain.runner.request import Observer, Outcome


Options = TypeVar("Options", bound=OutputOptions)


class OfPictures(ShellCommand):
    """A method of explaining pictures."""

    takes_pictures = True
    heading = "Method"
    runner = "cnnexplain.runner.run"
    shared: ClassVar[Mapping[str, type]] = {
        "Pictures": ImageOptions,
        "Right and wrong": AnswerOptions,
        "Results": RunOptions,
        "Drawing": RenderOptions,
        "Device": DeviceOptions,
        "Model and preprocessing": ModelOptions,
        "Terminal": ConsoleOptions,
    }

    def carry_out(
        self, values: Mapping[str, Any], chosen: set[str], arguments: str, observer: Observer
    ) -> Outcome:
        """Explain the pictures."""
        from cnnexplain.runner.run import run

        request = Request(
            images=tuple(values["images"] or ()),
            method=built(self.kind, values),
            asked=frozenset(field.name for field in declared(self.kind) if field.name in chosen),
            run=_written(built(RunOptions, values), values, chosen),
            find=built(ImageOptions, values),
            answers=built(AnswerOptions, values),
            **self.common(values, arguments),
        )
        return run(request, observer)


class OfModel(ShellCommand):
    """A way of looking into a model, without pictures."""

    heading = "What to show"
    without: ClassVar[frozenset[str]] = frozenset(
        {"interpolation", "crop_pct", "crop_mode", "range", "activation", "verbose"}
    )
    runner = "cnnexplain.runner.inspect"
    shared: ClassVar[Mapping[str, type]] = {
        "Results": OutputOptions,
        "Drawing": RenderOptions,
        "Device": DeviceOptions,
        "Model and preprocessing": ModelOptions,
        "Terminal": ConsoleOptions,
    }

    def carry_out(
        self,
        values: Mapping[str, Any],
        chosen: set[str],
        arguments: str,
        observer: Observer,
    ) -> Outcome:
        """Look into the model."""
        from cnnexplain.runner.inspect import inspect

        request = ModelRequest(
            inspection=built(self.kind, values),
            output=_written(built(self.shared["Results"], values), values, chosen),
            **self.common(values, arguments),
        )
        return inspect(request, observer)


class OfDrawnModel(OfModel):
    """A way of looking into a model whose results are figures."""

    shared: ClassVar[Mapping[str, type]] = {**OfModel.shared, "Results": FolderOptions}


class Checking(ShellCommand):
    """The check of a model's sanity."""

    takes_pictures = True
    needs_model = False  # for --list
    heading = "What to check"
    runner = "cnnexplain.runner.checking.check"
    shared: ClassVar[Mapping[str, type]] = {
        "Pictures": ImageOptions,
        "Device": DeviceOptions,
        "Model and preprocessing": ModelOptions,
        "Terminal": ConsoleOptions,
    }

    def forget(self, arguments: Sequence[str], start: Path) -> None:
        """Remove the JUnit file of an earlier run, which would stand for this run if it fails early."""
        if {"-h", "--help", "--help-all"}.isdisjoint(arguments):
            named = [next(filter(None, map(os.environ.get, variables(self.name, "junit"))), None)]
            named += [word.partition("=")[2] for word in arguments if word.startswith("--junit=")]
            named += [path for flag, path in itertools.pairwise(arguments) if flag == "--junit"]
            if named[-1]:
                forget(Path(named[-1]), start)

    def settled(self, values: Mapping[str, Any], typed: set[str]) -> dict[str, Any]:
        """Leave out a stored run and labels where there are no images to compare with them."""
        settled = super().settled(values, typed)
        only = {part.strip() for word in values["only"] or () for part in word.split(",")}
        useless = (
            set()
            if values["images"] or values["files_from"]
            else {"baseline", "update_baseline", "labels_from"}
        )
        if (only and "baseline" not in only) or "update_baseline" in typed:
            useless.add("baseline")
        if "baseline" in typed:
            useless.add("update_baseline")
        return settled | dict.fromkeys(useless - typed)

    def shown(self, values: Mapping[str, Any]) -> Callable[..., list[str]] | None:
        """All checks, where `--list` asks for them."""
        if not values["list"]:
            return None
        if values["model"] is not None:
            raise OptionError("--list shows the checks and carries none out", "leave out --list, or MODEL")
        from cnnexplain.cli.verdicts import listing

        return partial(listing, chosen(built(CheckOptions, values), tables(Path.cwd())))

    def carry_out(
        self,
        values: Mapping[str, Any],
        chosen: set[str],  # noqa: ARG002 - no file name depends on the options here
        arguments: str,
        observer: Observer,
    ) -> Outcome:
        """Check the model."""
        options = built(CheckOptions, values)
        cleared(options)  # before torch is there, which takes its time
        from cnnexplain.runner.checking.check import check

        request = CheckRequest(
            reference=values["model"],
            images=tuple(values["images"] or ()),
            options=options,
            tables=tables(Path.cwd()),
            find=built(ImageOptions, values),
            model=built(ModelOptions, values),
            where=built(DeviceOptions, values),
            arguments=arguments,
        )
        return check(request, observer)


class Merging(ShellCommand):
    """Joining the parts of a run."""

    takes_model = needs_model = False
    takes_parts = True
    heading = "Results"
    runner = "cnnexplain.runner.merge"
    shared: ClassVar[Mapping[str, type]] = {"Terminal": ConsoleOptions}

    def carry_out(
        self,
        values: Mapping[str, Any],
        chosen: set[str],  # noqa: ARG002 - no file name depends on the options here
        arguments: str,
        observer: Observer,
    ) -> Outcome:
        """Join the parts."""
        from cnnexplain.runner.merge import merge

        return merge(MergeRequest(tuple(values["parts"]), built(MergeOptions, values), arguments), observer)


def _written(options: Options, values: Mapping[str, Any], chosen: set[str]) -> Options:
    """`options` without a folder where --json is set and the user named none: then only records are wanted."""
    if not values["json"] or "output" in chosen or options.output is None:
        return options
    for name in ("save_raw", "tensorboard"):
        if values[name]:
            raise OptionError(
                f"{flag(name)} needs a run's files, and --json without -o writes none", "add -o out"
            )
    return replace(options, output=None)


def commands() -> dict[str, ShellCommand]:
    """Every command by its name, in alphabetical order."""
    by_name: dict[str, ShellCommand] = {}
    for name in names():
        kind = command(name)
        if issubclass(kind, ImageCommand):
            by_name[name] = OfPictures(name, kind)
        else:
            by_name[name] = (OfDrawnModel if kind.needs_folder else OfModel)(name, kind)
    by_name["check"] = Checking("check", CheckOptions)
    by_name["merge"] = Merging("merge", MergeOptions)
    return dict(sorted(by_name.items()))
