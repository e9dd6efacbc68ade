"""From declared fields to command-line options, and back to the dataclasses that declare them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
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


def parameters(cls: type, panel: str) -> list[inspect.Parameter]:
    """One keyword parameter, as typer reads it, for every declared field."""
    return [_parameter(field, panel) for field in declared(cls)]


def built(cls: type[Options], values: Mapping[str, Any]) -> Options:
    """The dataclass with its share of the command line's values, each checked."""
    own = {field.name: values[field.name] for field in declared(cls) if field.name in values}
    return cls(**checked(cls, own))


def flag(name: str) -> str:
    """A field's name as it is typed."""
    return "--" + name.replace("_", "-")


def configured(folder: Path, known: Iterable[str]) -> dict[str, Any]:
    """The options in `[tool.cnnexplain]` of the nearest pyproject.toml above `folder`; unknown ones are errors."""
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        if file.is_file():
            return _table(file, set(known))
    return {}


def _table(file: Path, known: set[str]) -> dict[str, Any]:
    try:
        tool = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{file} cannot be read: {error}", "mend the file, or run the command elsewhere"
        ) from error
    table = {name.replace("-", "_"): value for name, value in dict(tool.get("cnnexplain", {})).items()}
    for name in table:
        if name not in known:
            near = near_misses(name, known)
            raise OptionError(
                f"[tool.cnnexplain] in {file} has {name!r}, which is no option",
                f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(sorted(known))}",
            )
    return table


def _parameter(field: Field, panel: str) -> inspect.Parameter:
    kind: Any = list[field.type] if field.repeated else field.type  # type: ignore[name-defined]
    if field.optional:
        kind = kind | None
    default = ... if field.default is MISSING else list(field.default) if field.repeated else field.default
    option = typer.Option(
        *_spellings(field),
        help=_help(field),
        metavar=field.param.metavar or ("NAME" if field.param.choices else None),
        envvar=f"CNNEXPLAIN_{field.name.upper()}",
        show_envvar=False,
        show_default=field.default not in (MISSING, None, (), ""),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[kind, option],
    )


def _spellings(field: Field) -> tuple[str, ...]:
    if field.param.flags:
        return field.param.flags
    name = flag(field.name)
    return (f"{name}/--no-{name[2:]}",) if field.type is bool else (name,)


def _help(field: Field) -> str:
    if not field.param.choices:
        return field.param.help
    how_many = "One or more of" if field.repeated else "One of"
    return f"{field.param.help} {how_many} {', '.join(field.param.choices)}."
