"""The reference pages, written from what the code declares."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import MISSING
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnexplain import __version__, checks
from cnnexplain.cli.command import ShellCommand
from cnnexplain.cli.commands import OfPictures
from cnnexplain.cli.commands import commands as all_commands
from cnnexplain.cli.help import IMAGES_HELP, MODEL_HELP, PARTS_HELP, kind_of
from cnnexplain.cli.options import flag, spellings
from cnnexplain.core.params import DeclaredOption, declared
from cnnexplain.errors import ExitCode
from cnnexplain.sources import sources

CODES = {
    ExitCode.OK: "Everything asked for was done.",
    ExitCode.CHECK_FAILED: "Every check was carried out, and one of level error failed.",
    ExitCode.USAGE: "An option, a model, a layer, a class or a checkpoint that is not there or makes no sense, "
    "or an OUT that cannot be used.",
    ExitCode.TOO_MANY_FAILURES: "Finished, but more images failed than `--max-failures` allows.",
    ExitCode.NO_IMAGES: "There were no pictures. For `check` that is 2: what it was to look at is not there.",
    ExitCode.DEFECT: "A defect in cnnexplain: please report it.",
    ExitCode.INTERRUPTED: "Interrupted with Ctrl-C. The same command continues.",
    ExitCode.TERMINATED: "Ended from outside (SIGTERM). The same command continues.",
}
SECONDS = Path(__file__).parent / "checks" / "seconds.json"  # written by benchmarks/checking.py --write
HEAD = f"""# Commands

<!-- Written by docs/make.py from the code. Change the code, then run make docs. -->

This is version {__version__}. In the terminal `cnnexplain COMMAND --help` shows the options that are needed most, and
`cnnexplain COMMAND --help-all` all of them.

```
cnnexplain COMMAND MODEL [IMAGES]... [-o OUT] [options]
```

Options may stand before or after the arguments. `cnnexplain --version` shows the version;
`cnnexplain --install-completion` sets up completion for your shell.

## Where an option may stand

1. On the command line: `--batch-size 16`.
2. In the environment: for one command alone as `CNNEXPLAIN_GRADCAM_BATCH_SIZE=16`, for all by the name in the tables,
   `CNNEXPLAIN_BATCH_SIZE=16`.
3. In `pyproject.toml`, of the folder you are in or the nearest one above, without the dashes in front:
   `batch-size = 16` under `[tool.cnnexplain]`, or under `[tool.cnnexplain.COMMAND]` for one command alone.

What comes first in this list wins. A setting for all commands is passed over by those whose option of that name takes
other words, as `--method` and `--baseline` do. An error names the variable or the table that a value came from.
"""


def commands() -> str:
    """The page of all commands."""
    parts = [
        HEAD,
        *(_command(command) for command in all_commands().values()),
        "## Options of every command\n",
        *(_panel(title, cls) for title, cls in OfPictures.shared.items()),
        _models(),
        _exit_codes(),
    ]
    return "\n".join(parts)


SECTIONS = {"Args:": "Arguments", "Returns:": "Returns", "Raises:": "Raises"}


def signatures(page: str, namespace: ModuleType) -> str:
    """A page with each `<!-- signature: NAME -->` followed by what the code says of NAME."""

    def written(found: re.Match[str]) -> str:
        return f"<!-- signature: {found[1]} -->\n{_described(namespace, found[1])}\n<!-- end -->"

    return re.sub(r"<!-- signature: ([\w.]+) -->\n.*?<!-- end -->", written, page, flags=re.DOTALL)


def check_table(page: str) -> str:
    """A page with the table of all checks between `<!-- checks -->` and `<!-- end -->`."""
    seconds = json.loads(SECONDS.read_text("utf-8"))["seconds"]
    rows = [
        f"| [`{name}`](checks/{name}.md) | {kind.level} | {_cell(checks.title(kind))} | "
        f"{', '.join(kind.needs) or 'nothing'} | {_seconds(seconds.get(name))} |"
        for name in checks.ids()
        for kind in [checks.check(name)]
    ]
    head = ["| id | level | what should be true | needs | seconds |", "|---|---|---|---|--:|"]
    table = "\n".join(["<!-- checks -->", *head, *rows, "<!-- end -->"])
    return re.sub(r"<!-- checks -->\n.*?<!-- end -->", lambda _: table, page, flags=re.DOTALL)


def check_limits(page: str, name: str) -> str:
    """A check's page with the table of its limits between `<!-- limits -->` and `<!-- end -->`."""
    kind = checks.check(name)
    rows = [
        f"| `{field.name.replace('_', '-')}` | {_default(field) or '`0.0`'} | {_meaning(field)} |"
        for field in declared(kind)
    ]
    table = "\n".join(
        [
            "<!-- limits -->",
            "| limit | default | what it is, and why |",
            "|---|---|---|",
            *rows,
            "<!-- end -->",
        ]
    )
    return re.sub(r"<!-- limits -->\n.*?<!-- end -->", lambda _: table, page, flags=re.DOTALL)


def _seconds(found: float | None) -> str:
    return "" if found is None else f"{found:.1f}"


def _command(command: ShellCommand) -> str:
    images, model, parts = command.takes_pictures, command.takes_model, command.takes_parts
    return "\n".join(
        [
            f"## `cnnexplain {command.name}`\n",
            _prose(inspect.getdoc(command.kind) or ""),
            "",
            _examples(command),
            "| argument | what it means |",
            "|---|---|",
            *([f"| `MODEL` | {_cell(MODEL_HELP)} See [below](#model). |"] if model else []),
            *([f"| `PART` | {_cell(PARTS_HELP)} |"] if parts else []),
            *([f"| `IMAGES` | {_cell(IMAGES_HELP)} |"] if images else []),
            "",
            *_table(declared(command.kind)),
            *_unused(command),
        ]
    )


def _examples(command: ShellCommand) -> str:
    return "\n".join(["```", *command.examples, "```", ""]) if command.examples else ""


def _unused(command: ShellCommand) -> list[str]:
    """The shared options that change nothing in this command."""
    shared = {field.name for cls in command.shared.values() for field in declared(cls)}
    names = [f"`{flag(name)}`" for name in sorted(command.unused & shared)]
    return (
        [
            f"Of the [options of every command](#options-of-every-command) it does not use {', '.join(names)}.",
            "",
        ]
        if names
        else []
    )


def _panel(title: str, cls: type) -> str:
    return "\n".join([f"### {title}\n", *_table(declared(cls))])


def _table(options: Iterable[DeclaredOption]) -> list[str]:
    head = ["| option | default | what it does | environment |", "|---|---|---|---|"]
    return [*head, *(_row(option) for option in options), ""]


def _row(option: DeclaredOption) -> str:
    names = ", ".join(f"`{one}`" for name in spellings(option) for one in name.split("/"))
    value = "" if option.type is bool else f" `{_cell(option.param.metavar or kind_of(option))}`"
    return (
        f"| {names}{value} | {_default(option)} | {_meaning(option)} | `CNNEXPLAIN_{option.name.upper()}` |"
    )


def _default(option: DeclaredOption) -> str:
    if option.default is MISSING:
        return "required"
    if option.default in (None, (), ""):
        return ""
    if option.type is bool:
        return "yes" if option.default else "no"
    return f"`{','.join(option.default) if option.repeated else option.default}`"


def _meaning(option: DeclaredOption) -> str:
    param = option.param
    said = [_cell(param.help)]
    if param.choices:
        listed = ", ".join(f"`{one}`" for one in param.choices)
        said.append(f"{'One or more of' if option.repeated else 'One of'} {listed}.")
    if param.split:
        said.append("May be repeated, or written with commas.")
    bounds = [
        f"{word} {bound:,.12g}".replace(",", "\N{NO-BREAK SPACE}")
        for word, bound in (("at least", param.min), ("at most", param.max))
        if bound is not None and bound < 2**31
    ]
    if bounds:
        said.append(f"{', '.join(bounds)[:1].upper()}{', '.join(bounds)[1:]}.")
    return " ".join(said)


def _models() -> str:
    rows = [
        (written, meaning)
        for source in sorted(sources().values(), key=lambda source: (not source.PREFIX, source.PREFIX))
        for written, meaning in [source.HELP.split(": ", maxsplit=1)]
    ]
    rows.append(
        ("a bare name, as in resnet50", "looked up in timm, then in torchvision; the choice is shown")
    )
    rows.append(
        (
            "FILE.pth (.pt, .ckpt, .bin, .safetensors) with --arch NAME",
            "a checkpoint, put into that architecture",
        )
    )
    lines = [f"| {_cell(written)} | {_cell(meaning)} |" for written, meaning in rows]
    more = "More, with an example of each: [models](models.md).\n"
    return "\n".join(["## MODEL\n", "| written as | means |", "|---|---|", *lines, "", more])


def _exit_codes() -> str:
    lines = [f"| {int(code)} | {CODES[code]} |" for code in ExitCode]
    said = "An error is two lines on stderr: `error:` says what was wrong, `hint:` what to type instead.\n"
    return "\n".join(["## Exit codes\n", "| code | meaning |", "|---|---|", *lines, "", said])


def _described(namespace: ModuleType, name: str) -> str:
    thing: Any = namespace
    for part in name.split("."):
        thing = inspect.getattr_static(thing, part) if inspect.isclass(thing) else getattr(thing, part)
    said = _prose(inspect.getdoc(thing) or "")
    return (
        f"`{name}`: {said}"
        if isinstance(thing, (property, cached_property))
        else f"```text\n{_signature(name, thing)}\n```\n\n{said}"
    )


def _signature(name: str, thing: Any) -> str:
    """A function's or a class's parameters, on one line where that is short, or one a line."""
    found = inspect.signature(thing)
    parts, starred = [], False
    for one in found.parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        stars = "**" if one.kind is one.VAR_KEYWORD else ""
        default = "" if one.default is one.empty else f" = {one.default!r}"
        parts.append(f"{stars}{one.name}{_annotation(': ', one.annotation)}{default}")
    result = _annotation(" -> ", found.return_annotation) if inspect.isfunction(thing) else ""
    line = f"{name}({', '.join(parts)}){result}"
    return (
        line
        if len(line) <= 100
        else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"
    )


def _annotation(before: str, annotation: Any) -> str:
    return "" if annotation is inspect.Signature.empty else f"{before}{annotation}"


def _prose(text: str) -> str:
    """A docstring with each paragraph on one line, its sections as lists, and its example as code."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    title, _, body = text.partition("\n")
    if title == "Example:":
        return f"```python\n{inspect.cleandoc(body).replace('>>> ', '')}\n```"
    if title not in SECTIONS:
        return " ".join(text.split())
    if title == "Returns:":
        return f"{SECTIONS[title]}: {' '.join(body.split())}"
    entries = (" ".join(entry.split()) for entry in re.split(r"\n(?=\S)", inspect.cleandoc(body)))
    rows = (re.sub(r"^([*\w]+):", r"- `\1`:", entry) for entry in entries)
    return "\n".join([f"{SECTIONS[title]}:\n", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
