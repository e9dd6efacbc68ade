"""How an option is declared: once, beside the field it fills, for the shell, Python, the docs and run.json.

steps: Annotated[int, Param("Steps of the integral.", min=1)] = 50
"""

from __future__ import annotations

import dataclasses
import os
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from cnnexplain.errors import OptionError, near_misses

# What each type may be given as, from Python, and what it is called in words.
GIVEN_AS: dict[type, tuple[tuple[type, ...], str]] = {
    str: ((str, Integral), "a text"),
    int: ((Integral,), "a whole number"),
    float: ((Real,), "a number"),
    bool: ((bool,), "True or False"),
    Path: ((str, os.PathLike), "a path"),
}


@dataclass(frozen=True)
class Param:
    """Help and bounds of one option. `flags` are its short or alternative spellings, as in `("-l", "--layer")`."""

    help: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    split: bool = False  # a list that may also be written with commas
    common: bool = False  # shown by --help where it is shared by several commands
    of: tuple[str, ...] = ()  # of `--method`, those that alone use it; all where it is empty


@dataclass(frozen=True)
class DeclaredOption:
    """One declared option of a dataclass: its name, type (without `None`), default and `Param`."""

    name: str
    type: Any
    optional: bool
    repeated: bool
    default: Any
    param: Param

    def is_used(self, methods: Iterable[str]) -> bool:
        """Whether one of these methods uses the option; a method is a value of `--method`.

        Returns:
            True also for options that belong to no method in particular.
        """
        return not self.param.of or not set(self.param.of).isdisjoint(methods)

    def require_use(self, value: Any, methods: Iterable[str]) -> None:
        """Refuse a value that was set for none of these methods.

        Args:
            value: What the field holds.
            methods: Those that are carried out.

        Raises:
            OptionError: Other methods use the option, and the value is not its default.
        """
        if value == self.default or self.is_used(methods):
            return
        who = ", ".join(self.param.of)
        raise OptionError(
            f"{self._flag} {value} has no use here: only {who} {'uses' if len(self.param.of) == 1 else 'use'} it",
            f"leave {self._flag} out, or add -m {self.param.of[0]}",
        )

    def check(self, value: Any) -> Any:
        """Return a value as the field holds it: of its type, and a tuple where the option may be repeated.

        Args:
            value: What a user gave, in Python or on the command line.

        Raises:
            OptionError: It is of another type, out of bounds, or not one of the choices.
        """
        if value is None and self.optional:
            return None
        if not self.repeated:
            return self._check_item(value)
        values = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
        if self.param.split:
            values = tuple(part.strip() for text in values for part in str(text).split(",") if part.strip())
            if self.type is int:
                values = tuple(int(part) if re.fullmatch(r"[+-]?\d{1,18}", part) else part for part in values)
        if self.default and not values:
            raise OptionError(f"{self._flag} names nothing", f"leave it out for {', '.join(self.default)}")
        return tuple(dict.fromkeys(map(self._check_item, values)))

    @property
    def _flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def _check_item(self, value: Any) -> Any:
        param, flag = self.param, self._flag
        kinds, expected = GIVEN_AS[self.type]
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.type is not bool):
            raise OptionError(f"{flag} is {value!r}, a {type(value).__name__}", f"give {expected}")
        try:
            value = self.type(value)
        except OverflowError as error:  # a whole number that no float holds
            raise OptionError(
                f"{flag} is too large a number", f"give {expected} with fewer digits"
            ) from error
        if param.choices and value not in param.choices:
            candidates = near_misses(str(value), param.choices)
            raise OptionError(
                f"{flag} {value!r} is not one of {', '.join(param.choices)}",
                f"did you mean {flag} {candidates[0]}?"
                if candidates
                else f"for example {flag} {param.choices[0]}",
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if param.min is not None and not value >= param.min:
                raise OptionError(f"{flag} {value} is too small", f"the smallest value is {param.min:g}")
            if param.max is not None and not value <= param.max:
                raise OptionError(f"{flag} {value} is too large", f"the largest value is {param.max:g}")
        return value


def declared(cls: type) -> Iterator[DeclaredOption]:
    """Find the options of a dataclass.

    Args:
        cls: A dataclass, of which some fields are annotated with a `Param`.

    Yields:
        Each of these fields, in their order, those of base classes first.

    Example:
        >>> [option.name for option in declared(GradCAM)]
        ['method', 'layer', 'target']
    """
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            continue
        kind, *extras = get_args(hint)
        param = next((extra for extra in extras if isinstance(extra, Param)), None)
        if param is None:
            continue
        optional = False
        if get_origin(kind) in (Union, types.UnionType):
            kinds = [arg for arg in get_args(kind) if arg is not types.NoneType]
            optional, kind = len(kinds) < len(get_args(kind)), kinds[0]
        repeated = get_origin(kind) is tuple
        if repeated:
            kind = get_args(kind)[0]
        yield DeclaredOption(field.name, kind, optional, repeated, field.default, param)


def checked(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Check values for the fields of a dataclass against their declarations.

    Args:
        cls: A dataclass, of which some fields are annotated with a `Param`.
        values: The values by the names of fields.

    Returns:
        The same names with the values as the fields hold them.

    Raises:
        OptionError: A name is no declared field, or a value is none that the field takes.
    """
    options = {field.name: field for field in declared(cls)}
    for name in values:
        if name not in options:
            candidates = near_misses(name, options)
            raise OptionError(
                f"there is no option {name!r}",
                f"did you mean {candidates[0]!r}?" if candidates else f"the options are {', '.join(options)}",
            )
    return {name: options[name].check(value) for name, value in values.items()}
