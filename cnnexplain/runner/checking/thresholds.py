"""Which checks are carried out, how strictly, and by which limits: defaults, checks.toml, pyproject.toml, --only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from cnnexplain import checks
from cnnexplain.checks import Check
from cnnexplain.core.params import declared
from cnnexplain.core.verdict import LEVELS, Level
from cnnexplain.errors import OptionError, near_misses
from cnnexplain.runner.checking.options import CheckOptions

Tables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Chosen:
    """One check as it will be carried out."""

    id: str
    check: Check
    level: Level
    asked: bool  # by name: then it must be carried out
    turned_on: bool = False  # by --only, where the configuration has it off
    set_by_user: bool = False  # the level stands in the configuration

    @property
    def title(self) -> str:
        """What it means, in a line."""
        return checks.title(type(self.check))

    @property
    def limits(self) -> dict[str, Any]:
        """Its thresholds, by name."""
        return {field.name: getattr(self.check, field.name) for field in declared(type(self.check))}


def chosen(options: CheckOptions, tables: Tables, where: str = "[tool.cnnexplain.check]") -> list[Chosen]:
    """Every check that is to be carried out. `tables` stand in `where`; `--config` goes before them.

    Raises `OptionError` for ids and thresholds that there are none of, with near misses.
    """
    known, only, config = checks.ids(), options.only, options.config
    for name in only:
        _require(name, known, "--only")
    settings: dict[str, dict[str, Any]] = {}
    for place, content in ((where, tables), (str(config), _read(config) if config else {})):
        for name, table in content.items():
            _require_table(name, table, known, place)
            settings.setdefault(name, {}).update(_checked(name, table, place))
    configured = [
        _configured(name, settings.get(name, {}), name in only) for name in known if not only or name in only
    ]
    entries = [entry for entry in configured if entry.level != "off"]
    if not entries:
        raise OptionError("every check is off", 'turn one on: level = "error" in its table, or --only ID')
    return entries


def _configured(name: str, settings: Mapping[str, Any], named: bool) -> Chosen:
    kind = checks.check(name)
    limits = {key: value for key, value in settings.items() if key != "level"}
    level = settings.get("level", kind.level)
    # Somebody who asks for a check by its name wants it carried out, whatever a file says.
    turned_on = named and level == "off"
    return Chosen(
        name,
        kind(**limits),
        cast("Level", kind.level if turned_on else level),
        named or settings.get("level") == "error",
        turned_on,
        "level" in settings and not turned_on,
    )


def _require(name: str, known: list[str], where: str) -> None:
    if name not in known:
        near = near_misses(name, known)
        raise OptionError(
            f"{where} names {name!r}, which is no check",
            f"did you mean {near[0]}?" if near else "cnnexplain check --list shows all",
        )


def _require_table(name: str, table: Any, known: list[str], where: str) -> None:
    """Raise `OptionError` where anything but the table of a check stands in a file."""
    if not isinstance(table, dict):
        if name in known:
            raise OptionError(f"{name} in {where} is no table", f'write [{name}] and below it level = "warn"')
        raise OptionError(
            f"{name!r} in {where} stands in no check's table",
            "write it below the name of a check, as [finite]",
        )
    if name == "tool" and "cnnexplain" in table:
        raise OptionError(
            f"{where} names tool.cnnexplain, as pyproject.toml does", "in a file for --config write [finite]"
        )
    _require(name, known, where)


def _checked(name: str, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The level and limits that one table sets, each checked against what the check declares."""
    fields = {field.name: field for field in declared(checks.check(name))}
    settings: dict[str, Any] = {}
    for written, value in table.items():
        key = written.replace("-", "_")
        if key == "level":
            if value not in LEVELS:
                raise OptionError(
                    f"the level of {name} in {where} is {value!r}", f"it is one of {', '.join(LEVELS)}"
                )
            settings[key] = value
        elif key not in fields:
            near = near_misses(key, ("level", *fields))
            raise OptionError(
                f"{name} in {where} has {written!r}, which it does not know",
                f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(('level', *fields))}",
            )
        else:
            try:
                settings[key] = fields[key].check(value)
            except OptionError as error:
                problem = error.problem.removeprefix("--")
                raise OptionError(f"{name} in {where}: {problem}", error.hint.replace("--", "")) from error
    return settings


def _read(path: Path) -> Tables:
    try:
        content: Tables = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise OptionError(f"there is no {path}", "give --config a file, as checks.toml") from error
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(
            f"{path} cannot be read: {error}", "fix the file: it is TOML, a table a check"
        ) from error
    return content
