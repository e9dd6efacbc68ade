"""The pages of --help and --help-all: examples, a command's own options, then the most common shared options."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING
from functools import partial
from typing import Any

from typer.core import TyperCommand, TyperGroup

from cnnexplain.cli.command import ShellCommand
from cnnexplain.cli.commands import commands
from cnnexplain.cli.console import show_lines
from cnnexplain.cli.options import meaning, spellings
from cnnexplain.core.params import DeclaredOption, declared

MODEL_HELP = (
    "A timm or torchvision name (resnet50), bundled:efficientnet_lite0, timm:NAME, torchvision:NAME, "
    "hf-hub:OWNER/NAME, a checkpoint with --arch, or your own code (package.module:factory, file.py:factory)."
)
IMAGES_HELP = "Files, folders, quoted globs, or - for names on standard input."
PARTS_HELP = "Folders of the parts: those given with -o when they were explained."
EXAMPLES = (
    "cnnexplain gradcam bundled:efficientnet_lite0 cat.jpg",
    "cnnexplain summary resnet50",
    "cnnexplain check net.pth --arch resnet18 photos/ --labels-from folder",
)
NARROWEST, WIDEST = 60, 100  # columns that are used
ENTRY = 28  # of them at most for an option, where its meaning stands beside it

Row = tuple[str, str]


class HelpfulCommand(TyperCommand):
    """A command whose --help is that of `of_command`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the formatter stays empty
        """Show the help of the command."""
        show_lines(sys.stdout, partial(of_command, commands()[self.name or ""]))


class HelpfulGroup(TyperGroup):
    """The program, whose --help lists the commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the formatter stays empty
        """Show the help of the program."""
        options = [
            (", ".join(parameter.opts), str(getattr(parameter, "help", "")))
            for parameter in self.get_params(ctx)
        ]
        show_lines(sys.stdout, partial(of_program, options))


def of_program(options: Sequence[Row], width: int | None, style: bool, encoding: str) -> list[str]:  # noqa: ARG001
    """The lines of the program's help. The last three arguments are those of `show_lines`."""
    page = _Page(width, style)
    rows = [(name, _paragraphs(command)[0]) for name, command in commands().items()]
    return [
        "Usage: cnnexplain COMMAND MODEL [IMAGES]... [options]",
        "",
        *page.wrapped("Shows what a convolutional network looked at."),
        *page.examples(EXAMPLES),
        *page.section("Commands", rows),
        *page.section("Options", options),
        *page.wrapped(
            "Every option can also be set as CNNEXPLAIN_<OPTION> or in [tool.cnnexplain] of pyproject.toml."
        ),
    ]


def of_command(
    command: ShellCommand,
    width: int | None,
    style: bool,
    encoding: str,  # noqa: ARG001
    everything: bool = False,
) -> list[str]:
    """The lines of a command's help; without `everything` only its own options and the most common shared options."""
    page = _Page(width, style)
    arguments = list(_arguments(command))
    says = _paragraphs(command)
    lines = [f"Usage: cnnexplain {' '.join([command.name, *(name for name, _ in arguments)])} [options]", ""]
    for paragraph in says if everything else says[:1]:
        lines += page.wrapped(paragraph)
    lines += page.examples(command.examples)
    lines += page.section("Arguments", [(name.strip("[]."), text) for name, text in arguments])
    lines += page.section(command.heading, map(row_of, declared(command.kind)))
    if everything:
        for title, fields in command.shared_fields.items():
            lines += page.section(title, map(row_of, fields))
    else:
        shared = [field for fields in command.shared_fields.values() for field in fields]
        lines += page.section("Common options", [row_of(field) for field in shared if field.param.common])
    lines += page.section("Help", [("-h, --help", "Show this."), ("--help-all", "Show every option.")])
    return lines[:-1]


def row_of(field: DeclaredOption) -> Row:
    """How an option is typed, and its meaning."""
    spelled = spellings(field)
    if field.type is bool and not field.default and not field.param.flags:
        spelled = (spelled[0].partition("/")[0],)  # the spelling that turns it off is of no use here
    typed = ", ".join(name for spelling in spelled for name in spelling.split("/"))
    value = "" if field.type is bool else f" {field.param.metavar or kind_of(field)}"
    return typed + value, meaning(field) + _default(field)


def kind_of(field: DeclaredOption) -> str:
    """The placeholder of an option's value where its declaration has no metavar."""
    return "NAME" if field.param.choices else {int: "N", float: "X"}.get(field.type, "TEXT")


def _default(field: DeclaredOption) -> str:
    if field.type is bool or field.default in (MISSING, None, (), ""):
        return ""
    return f" [default: {','.join(field.default) if field.repeated else field.default}]"


def _paragraphs(command: ShellCommand) -> list[str]:
    """The paragraphs of a command's description, each on a line."""
    return [" ".join(paragraph.split()) for paragraph in (inspect.getdoc(command.kind) or "").split("\n\n")]


def _arguments(command: ShellCommand) -> Iterator[Row]:
    if command.takes_model:
        yield "MODEL" if command.needs_model else "[MODEL]", MODEL_HELP
    if command.takes_pictures:
        yield "[IMAGES]...", IMAGES_HELP
    if command.takes_parts:
        yield "PART...", PARTS_HELP


class _Page:
    """Lines of some width; headings are bold on a terminal."""

    def __init__(self, width: int | None, style: bool) -> None:
        self._width = max(NARROWEST, min(width or WIDEST, WIDEST))
        self._style = style

    def wrapped(self, text: str) -> list[str]:
        return [*textwrap.wrap(text, self._width, break_on_hyphens=False), ""]

    def examples(self, calls: Sequence[str]) -> list[str]:
        """The lines of example calls, which are never wrapped."""
        return [self._heading("Examples"), *(f"  {call}" for call in calls), ""] if calls else []

    def section(self, title: str, rows: Iterable[Row]) -> list[str]:
        """A heading and the rows below it: how each entry is typed, beside its meaning."""
        entries = list(rows)
        if not entries:
            return []
        entry = min(ENTRY, max(len(typed) for typed, _ in entries)) + 4
        lines = [self._heading(title)]
        for typed, text in entries:
            meaning_lines = textwrap.wrap(text, self._width - entry, break_on_hyphens=False)
            if len(typed) + 4 > entry:
                lines.append(f"  {typed}")
                typed = ""  # noqa: PLW2901 - it has a line of its own
            beside = [f"  {typed}", *[""] * len(meaning_lines)]
            lines += [
                f"{left:<{entry}}{right}".rstrip()
                for left, right in zip(beside, meaning_lines or [""], strict=False)
            ]
        return [*lines, ""]

    def _heading(self, title: str) -> str:
        return f"\033[1m{title}:\033[0m" if self._style else f"{title}:"
