"""From declared fields to command-line options, and back to the dataclasses that declare them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import MISSING
from typing import Annotated, Any, TypeVar

import typer

from cnnexplain.core.params import DeclaredOption, checked, declared

Options = TypeVar("Options")


def parameters(cls: type, unused: Collection[str] = ()) -> list[inspect.Parameter]:
    """A keyword parameter, as typer reads it, for every declared field; those in `unused` are hidden."""
    return [_parameter(field, hidden=field.name in unused) for field in declared(cls)]


def built(cls: type[Options], values: Mapping[str, Any]) -> Options:
    """An instance of `cls` with its share of the command line's values. Raises `OptionError` for a wrong value."""
    own = {field.name: values[field.name] for field in declared(cls) if field.name in values}
    return cls(**checked(cls, own))


def flag(name: str) -> str:
    """The option of a field's name, as it is typed: `--crop-pct` for `crop_pct`."""
    return "--" + name.replace("_", "-")


def _parameter(field: DeclaredOption, *, hidden: bool) -> inspect.Parameter:
    written: Any = str if field.param.split else field.type  # the parts of a list are read later
    kind: Any = list[written] if field.repeated else written
    if field.optional:
        kind = kind | None
    default = ... if field.default is MISSING else list(field.default) if field.repeated else field.default
    option = typer.Option(
        *spellings(field),
        help=meaning(field),
        metavar=field.param.metavar or ("NAME" if field.param.choices else None),
        hidden=hidden,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[kind, option],
    )


def spellings(field: DeclaredOption) -> tuple[str, ...]:
    """How an option is typed; a slash stands before the spelling that turns it off."""
    if field.param.flags:
        return field.param.flags
    name = flag(field.name)
    return (f"{name}/--no-{name[2:]}",) if field.type is bool else (name,)


def meaning(field: DeclaredOption) -> str:
    """The meaning of an option, and the words that it accepts."""
    if not field.param.choices:
        return field.param.help
    how_many = "One or more of" if field.repeated else "One of"
    return f"{field.param.help} {how_many} {', '.join(field.param.choices)}."
