"""Every command: the class that declares its options, the options it shares with others, and its runner."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from cnnexplain.cli.command import ShellCommand
from cnnexplain.cli.console import ConsoleOptions
from cnnexplain.cli.options import built
from cnnexplain.cli.settings import tables, variables
from cnnexplain.commands import FolderCommand, ImageCommand, command, names
from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import OptionError
from cnnexplain.images.find import ImageOptions
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.runner.checking.files import forget
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
from cnnexplain.runner.request import Checklist, Joining

Value = TypeVar("Value")


class OfPictures(ShellCommand):
    """A method of explaining pictures."""

    takes_pictures = True
    heading = "Method"
    runner = "cnnexplain.runner.explain_images"
    shared: ClassVar[Mapping[str, type]] = {
        "Pictures": ImageOptions,
        "Right and wrong": AnswerOptions,
        "Results": RunOptions,
        "Drawing": RenderOptions,
        "Device": DeviceOptions,
        "Model and preprocessing": ModelOptions,
        "Terminal": ConsoleOptions,
    }


class OfFolder(OfPictures):
    """Something that is said of all pictures of a folder together."""

    heading = "What to show"
    runner = "cnnexplain.runner.fold_images"


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

    def action(self, values: Mapping[str, Any]) -> Checklist:
        """The checks that are to be carried out."""
        options = built(CheckOptions, values)
        return Checklist(options, tuple(chosen(options, tables(Path.cwd()))))


class Merging(ShellCommand):
    """Joining the parts of a run."""

    takes_model = needs_model = False
    takes_parts = True
    heading = "Results"
    runner = "cnnexplain.runner.merge"
    shared: ClassVar[Mapping[str, type]] = {"Terminal": ConsoleOptions}

    def action(self, values: Mapping[str, Any]) -> Joining:
        """The parts that are to be joined."""
        return Joining(tuple(values["parts"]))


class OnDemand(Mapping[str, Value]):
    """Values by their names, in alphabetical order, each made when it is first asked for."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Value]) -> None:
        """Of `names`, each made by calling `make` with the name."""
        self._names, self._make = sorted(names), cache(make)

    def __getitem__(self, name: str) -> Value:
        """The value of that name."""
        if name not in self:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name; makes nothing."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


def commands() -> Mapping[str, ShellCommand]:
    """Every command by its name, in alphabetical order. A command's file is imported when it is asked for."""
    return OnDemand({*names(), "check", "merge"}, _command)


def _command(name: str) -> ShellCommand:
    if name == "check":
        return Checking(name, CheckOptions)
    if name == "merge":
        return Merging(name, MergeOptions)
    kind = command(name)
    if issubclass(kind, ImageCommand):
        return OfPictures(name, kind)
    if issubclass(kind, FolderCommand):
        return OfFolder(name, kind)
    return (OfDrawnModel if kind.needs_folder else OfModel)(name, kind)
