"""Options that are not typed: those of the environment, and those of pyproject.toml."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from cnnexplain.cli.options import flag, spellings
from cnnexplain.core.params import DeclaredOption
from cnnexplain.errors import CnnexplainError, OptionError, near_misses

TABLED = "check"  # the command whose table in pyproject.toml holds further ones: of each check

Commands = Mapping[str, Mapping[str, DeclaredOption]]  # the fields of every command, by its name and theirs


@dataclass(frozen=True)
class Setting:
    """The value of an option, as typer takes it, and the place where it is set."""

    value: Any
    origin: str


def settings(folder: Path, command: str, commands: Commands) -> dict[str, Setting]:
    """A command's options in the environment, and in the nearest pyproject.toml above `folder`, by their fields.

    The first of these counts: `CNNEXPLAIN_COMMAND_OPTION`, `CNNEXPLAIN_OPTION`, `[tool.cnnexplain.COMMAND]`,
    `[tool.cnnexplain]`. One that is for all commands is passed over where the option means something else in this
    command (see `_is_meant`). Unknown options in the file are errors; paths in it are relative to it.
    """
    return {**dict(_in_file(folder, command, commands)), **dict(_in_environment(command, commands))}


def variables(command: str, option: str) -> tuple[str, str]:
    """The environment variables that set an option: of this command alone, and of all commands."""
    return f"CNNEXPLAIN_{command}_{option}".upper(), f"CNNEXPLAIN_{option}".upper()


def with_origin(
    error: CnnexplainError,
    used: Mapping[str, Setting],
    fields: Mapping[str, DeclaredOption],
    arguments: Sequence[str],
) -> None:
    """Add to an error the place of the setting it is about: a setting whose option or value it names."""
    for name, setting in used.items():
        if _is_typed(fields[name], arguments):
            continue
        value = str(setting.value) if not isinstance(setting.value, list) else " ".join(setting.value)
        named = re.search(rf"(?<![\w-]){flag(name)}(?![\w-])", error.problem)
        if named or (len(value) > 1 and repr(value) in error.problem):
            error.problem += f" ({flag(name)} is set by {setting.origin})"


def _is_typed(field: DeclaredOption, arguments: Sequence[str]) -> bool:
    """Whether an option stands on the command line, which goes before all settings."""
    names = [name for spelling in spellings(field) for name in spelling.split("/")]
    return any(
        word == name or word.startswith(f"{name}=" if name.startswith("--") else name)
        for word in arguments
        for name in names
    )


def _in_environment(command: str, commands: Commands) -> Iterator[tuple[str, Setting]]:
    for name, field in commands[command].items():
        own, for_all = variables(command, name)
        variable = own if os.environ.get(own) else for_all
        value = os.environ.get(variable)
        if value and (variable == own or _is_meant(value, field, commands)):
            yield name, Setting(value.split() if field.repeated else value, variable)


def _in_file(folder: Path, command: str, commands: Commands) -> Iterator[tuple[str, Setting]]:
    file = _nearest(folder)
    if file is None:
        return
    table = _table(file)
    own = {name: table.pop(name) for name in commands if isinstance(table.get(name), dict)}
    for name in commands:
        if name in table:
            raise OptionError(
                f"tool.cnnexplain.{name} in {file} is no table",
                f"write [tool.cnnexplain.{name}] and options below",
            )
    fields = commands[command]
    options = {
        name: value
        for name, value in own.get(command, {}).items()
        if command != TABLED or type(value) is not dict
    }
    where = f"[tool.cnnexplain.{command}] in {file}"
    mine = _known_options(options, fields, where)
    for name, value in mine.items():
        yield name, Setting(_from_file(value, fields[name], file), where)
    if not table:
        return  # without importing the file of every command
    everything = {*commands, *(name for fields in commands.values() for name in fields)}
    where = f"[tool.cnnexplain] in {file}"
    for name, value in _known_options(table, everything, where).items():
        if name in fields and name not in mine and _is_meant(value, fields[name], commands):
            yield name, Setting(_from_file(value, fields[name], file), where)


def _is_meant(value: Any, field: DeclaredOption, commands: Commands) -> bool:
    """Whether a setting for all commands is meant for this command's option.

    Options of one name may take other words in another command, or a file: `--method`, `--baseline`. A setting is for
    those commands that accept its words; a setting that no command accepts is for those that take anything, and where
    there are none it is an error of all of them.
    """
    kin = [fields[field.name] for fields in commands.values() if field.name in fields]
    if len({other.param.choices for other in kin}) < 2:
        return True
    if field.param.choices:
        others = any(_takes_anything(other) or _knows(other, value) for other in kin)
        return _knows(field, value) or not others
    return not any(_knows(other, value) for other in kin)


def _takes_anything(field: DeclaredOption) -> bool:
    """Whether an option takes any word, as that of a file; not where it takes a list of names that others declare."""
    return not field.param.choices and not field.param.split


def _knows(field: DeclaredOption, value: Any) -> bool:
    """Whether all words of a setting are among those that an option accepts."""
    parts = value if isinstance(value, list) else str(value).split() if field.repeated else [value]
    words = [
        word.strip()
        for part in parts
        for word in (str(part).split(",") if field.param.split else [str(part)])
    ]
    return bool(words) and all(word in field.param.choices for word in words)


def tables(folder: Path) -> dict[str, dict[str, Any]]:
    """The tables of checks within `[tool.cnnexplain.check]` of the nearest pyproject.toml, by the check's id."""
    file = _nearest(folder)
    own = _table(file).get(TABLED, {}) if file is not None else {}
    return {name: value for name, value in own.items() if type(value) is dict} if type(own) is dict else {}


def _nearest(folder: Path) -> Path | None:
    return next(
        (file for place in (folder, *folder.parents) if (file := place / "pyproject.toml").is_file()), None
    )


def _table(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("cnnexplain", {})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise OptionError(
            f"{file} cannot be read: {error}", "fix the file, or run the command elsewhere"
        ) from error
    if not isinstance(table, dict):
        raise OptionError(
            f"tool.cnnexplain in {file} is no table", "write [tool.cnnexplain] and options below it"
        )
    return table


def _known_options(table: Mapping[str, Any], names: Collection[str], where: str) -> dict[str, Any]:
    """A table's options by their fields' names. Raises `OptionError` for an unknown option."""
    table = {name.replace("-", "_"): value for name, value in table.items()}
    if "resume" in table:
        table["overwrite"] = not table.pop("resume")
    for name in table:
        if name not in names:
            near = near_misses(name, names)
            raise OptionError(
                f"{where} has {name!r}, which is no option",
                f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(sorted(names))}",
            )
    return table


def _from_file(value: Any, field: DeclaredOption, file: Path) -> Any:
    if isinstance(value, (dict, list)) and not (field.repeated and isinstance(value, list)):
        raise OptionError(
            f"{field.name} in {file} is not one value",
            f"write {field.name} = VALUE, as for {flag(field.name)}",
        )
    if field.repeated and not isinstance(value, list):
        return [str(value)]
    if field.type is Path and isinstance(value, str) and value != "-":
        return str(file.parent / value)
    return value
