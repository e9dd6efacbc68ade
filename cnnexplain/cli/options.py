"""From declared fields to command-line options, and back to the dataclasses that declare them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from cnnexplain.core.params import Field, checked, declared
from cnnexplain.errors import OptionError, near_misses

Options = TypeVar("Options")
TABLED = "check"  # the command whose table in pyproject.toml holds further ones: of each check


def parameters(cls: type, unused: Collection[str] = ()) -> list[inspect.Parameter]:
    """One keyword parameter, as typer reads it, for every declared field; those `unused` are not completed."""
    return [_parameter(field, hidden=field.name in unused) for field in declared(cls)]


def built(cls: type[Options], values: Mapping[str, Any]) -> Options:
    """The dataclass with its share of the command line's values, each checked."""
    own = {field.name: values[field.name] for field in declared(cls) if field.name in values}
    return cls(**checked(cls, own))


def flag(name: str) -> str:
    """A field's name as it is typed."""
    return "--" + name.replace("_", "-")


def configured(folder: Path, command: str, commands: Mapping[str, Mapping[str, Field]]) -> dict[str, Any]:
    """A command's options in `[tool.cnnexplain]` of the nearest pyproject.toml above `folder`, as typer takes them.

    `[tool.cnnexplain.COMMAND]` goes before what stands in `[tool.cnnexplain]` for all. Unknown options are errors.
    Paths are relative to the file.
    """
    file = _nearest(folder)
    if file is None:
        return {}
    table = _table(file)
    own = {name: table.pop(name) for name in commands if isinstance(table.get(name), dict)}
    for name in commands:
        if name in table:
            raise OptionError(
                f"tool.cnnexplain.{name} in {file} is no table",
                f"write [tool.cnnexplain.{name}] and options below",
            )
    everything = {*commands, *(name for fields in commands.values() for name in fields)}
    fields = commands[command]
    for_all = _known(table, everything, f"[tool.cnnexplain] in {file}")
    options = {
        name: value
        for name, value in own.get(command, {}).items()
        if command != TABLED or type(value) is not dict
    }
    mine = _known(options, fields, f"[tool.cnnexplain.{command}] in {file}")
    asked = {name: value for name, value in {**for_all, **mine}.items() if name in fields}
    return {name: _from_file(value, fields[name], file) for name, value in asked.items()}


def tables(folder: Path) -> dict[str, dict[str, Any]]:
    """The tables within `[tool.cnnexplain.check]` of the nearest pyproject.toml, one for each check."""
    file = _nearest(folder)
    own = _table(file).get(TABLED, {}) if file is not None else {}
    return {name: value for name, value in own.items() if type(value) is dict} if type(own) is dict else {}


def _nearest(folder: Path) -> Path | None:
    return next(
        (one for place in (folder, *folder.parents) if (one := place / "pyproject.toml").is_file()), None
    )


def _table(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("cnnexplain", {})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise OptionError(
            f"{file} cannot be read: {error}", "mend the file, or run the command elsewhere"
        ) from error
    if not isinstance(table, dict):
        raise OptionError(
            f"tool.cnnexplain in {file} is no table", "write [tool.cnnexplain] and options below it"
        )
    return table


def _known(table: Mapping[str, Any], known: Collection[str], where: str) -> dict[str, Any]:
    """A table's options by their fields' names; unknown ones are errors."""
    table = {name.replace("-", "_"): value for name, value in table.items()}
    if "resume" in table:
        table["overwrite"] = not table.pop("resume")
    for name in table:
        if name not in known:
            near = near_misses(name, known)
            raise OptionError(
                f"{where} has {name!r}, which is no option",
                f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(sorted(known))}",
            )
    return table


def _from_file(value: Any, field: Field, file: Path) -> Any:
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


def _parameter(field: Field, *, hidden: bool) -> inspect.Parameter:
    written: Any = str if field.param.split else field.type  # the parts of a list are read later
    kind: Any = list[written] if field.repeated else written
    if field.optional:
        kind = kind | None
    default = ... if field.default is MISSING else list(field.default) if field.repeated else field.default
    option = typer.Option(
        *spellings(field),
        help=meaning(field),
        metavar=field.param.metavar or ("NAME" if field.param.choices else None),
        envvar=f"CNNEXPLAIN_{field.name.upper()}",
        hidden=hidden,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[kind, option],
    )


def spellings(field: Field) -> tuple[str, ...]:
    """How an option is typed; a slash stands before what turns it off."""
    if field.param.flags:
        return field.param.flags
    name = flag(field.name)
    return (f"{name}/--no-{name[2:]}",) if field.type is bool else (name,)


def meaning(field: Field) -> str:
    """What an option does, and which words it takes."""
    if not field.param.choices:
        return field.param.help
    how_many = "One or more of" if field.repeated else "One of"
    return f"{field.param.help} {how_many} {', '.join(field.param.choices)}."
