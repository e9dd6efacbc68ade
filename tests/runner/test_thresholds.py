"""Levels and limits of checks: from files, from pyproject.toml, from --only; what is misspelt is never overlooked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnexplain import checks
from cnnexplain.cli.settings import settings, tables
from cnnexplain.core.params import declared
from cnnexplain.core.verdict import LEVELS
from cnnexplain.errors import OptionError
from cnnexplain.runner.checking.options import CheckOptions
from cnnexplain.runner.checking.thresholds import Chosen, chosen

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a checks.toml."""

    def written(text: str) -> Path:
        path = tmp_path / "checks.toml"
        path.write_text(text)
        return path

    return written


def one(name: str, taken: list[Chosen]) -> Chosen:
    (found,) = (each for each in taken if each.id == name)
    return found


def test_without_settings_every_check_is_as_it_declares() -> None:
    taken = chosen(CheckOptions(), {})
    assert [each.id for each in taken] == [name for name in checks.ids() if checks.check(name).level != "off"]
    for each in taken:
        assert each.level == checks.check(each.id).level
        assert not each.asked
        assert each.limits == {field.name: field.default for field in declared(type(each.check))}


def test_a_file_sets_levels_and_limits(write: Write) -> None:
    file = write(
        '[baseline]\nlevel = "warn"\nprobability = 0.5\nsame = ["model", "images"]\n[finite]\nlevel="off"'
    )
    taken = chosen(CheckOptions(config=file), {})
    base = one("baseline", taken)
    assert (base.level, base.asked) == ("warn", False)
    assert base.limits == {"probability": 0.5, "correlation": 0.99, "shift": 0.0, "same": ("model", "images")}
    assert "finite" not in [each.id for each in taken]


def test_the_file_goes_before_pyproject_key_by_key(write: Write, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.cnnexplain.check]\njunit = 'a.xml'\n"
        "[tool.cnnexplain.check.baseline]\nlevel = 'warn'\nshift = 3\nprobability = 0.2\n"
    )
    file = write("[baseline]\nshift = 5")
    base = one("baseline", chosen(CheckOptions(config=file), tables(tmp_path)))
    assert (base.level, base.limits["shift"], base.limits["probability"]) == ("warn", 5.0, 0.2)
    fields = {"check": {field.name: field for field in declared(CheckOptions)}}
    found = settings(tmp_path, "check", fields)
    assert {name: one.value for name, one in found.items()} == {"junit": str(tmp_path / "a.xml")}


def test_only_what_is_asked_for_is_carried_out(write: Write) -> None:
    (taken,) = chosen(CheckOptions(only=("finite",)), {})
    assert (taken.id, taken.asked) == ("finite", True)
    (again,) = chosen(CheckOptions(only=("finite",), config=write('[finite]\nlevel = "off"')), {})
    assert again.level == "error", "asked for by name, it is carried out"
    assert (again.turned_on, taken.turned_on) == (True, False)
    (warned,) = chosen(CheckOptions(only=("finite",), config=write('[finite]\nlevel = "warn"')), {})
    assert warned.level == "warn"


def test_a_level_of_error_asks_for_the_check(write: Write) -> None:
    assert one("baseline", chosen(CheckOptions(config=write('[baseline]\nlevel = "error"')), {})).asked


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("[finit]", "names 'finit', which is no check", "did you mean finite?"),
        ("[xyzzy]", "names 'xyzzy', which is no check", "--list"),
        ("[baseline]\nprobabilty = 1", "'probabilty', which it does not know", "did you mean 'probability'?"),
        ("[baseline]\nlevl = 'warn'", "'levl', which it does not know", "did you mean 'level'?"),
        ("[baseline]\nxyzzy = 1", "'xyzzy'", "it knows level, probability"),
        ("[baseline]\nlevel = 'warning'", "the level of baseline", "error, warn, off"),
        ("[baseline]\nlevel = true", "the level of baseline", "error, warn, off"),
        ("[baseline]\nlevel = ['warn']", "the level of baseline", "error, warn, off"),
        ("[baseline]\nprobability = 2", "baseline in .*: probability 2.0 is too large", "largest value is 1"),
        ("[baseline]\nprobability = -1", "probability -1.0 is too small", "smallest value is 0"),
        ("[baseline]\nprobability = nan", "probability nan is too small", ""),
        ("[baseline]\nshift = inf", "shift inf is too large", ""),
        ("[baseline]\nprobability = '0.5'", "probability is '0.5', a str", "give a number"),
        ("[baseline]\nprobability = true", "probability is True, a bool", "give a number"),
        ("[baseline]\nprobability = [0.5]", "probability is", "give a number"),
        ("[baseline]\nsame = ['weight']", "same 'weight' is not one of", "weights"),
        ("[baseline]\nsame = []", "same names nothing", "leave it out"),
        ("[baseline]\nsame = [{}]", "same ", ""),
        ("finite = 'warn'", "finite in .* is no table", r"write \[finite\]"),
        (
            "level = 'warn'",
            "'level' in .* stands in no check's table",
            "below the name of a check, as [finite]",
        ),
        ("[tool.cnnexplain.check.finite]", "names tool.cnnexplain", "for --config write [finite]"),
        ("[tool]", "names 'tool', which is no check", "--list"),
        ("[[finite]]", "finite in .* is no table", ""),
        ("[finite", "cannot be read", "TOML"),
        ("x = " + "[" * 100_000, "cannot be read", "TOML"),
    ],
)
def test_what_is_misspelt_or_out_of_bounds_is_an_error(
    text: str, problem: str, hint: str, write: Write
) -> None:
    with pytest.raises(OptionError, match=problem) as error:
        chosen(CheckOptions(config=write(text)), {})
    assert hint.replace("\\", "") in error.value.hint
    assert "checks.toml" in error.value.problem


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no "):
        chosen(CheckOptions(config=tmp_path / "none.toml"), {})
    with pytest.raises(OptionError, match="cannot be read"):
        chosen(CheckOptions(config=tmp_path), {})
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(OptionError, match="cannot be read"):
        chosen(CheckOptions(config=tmp_path / "latin.toml"), {})


def test_pyproject_and_only_are_held_to_the_same() -> None:
    with pytest.raises(OptionError, match=r"\[tool\.cnnexplain\.check\] names 'finit'"):
        chosen(CheckOptions(), {"finit": {}})
    with pytest.raises(OptionError, match="--only names 'fnite'"):
        chosen(CheckOptions(only=("fnite",)), {})


def test_no_check_at_all_is_an_error() -> None:
    off: dict[str, dict[str, Any]] = {name: {"level": "off"} for name in checks.ids()}
    with pytest.raises(OptionError, match="every check is off"):
        chosen(CheckOptions(), off)


@pytest.mark.parametrize("name", checks.ids())
def test_every_check_declares_what_people_are_told(name: str) -> None:
    kind = checks.check(name)
    assert name in checks.ORDER
    assert kind.level in LEVELS
    assert 10 < len(checks.title(kind)) < 100
    assert kind.why.endswith(".")
    for field in declared(kind):
        assert len(field.param.help) > 20, "the reason for the default belongs there"
        field.check(field.default)
        if field.type in (int, float):
            assert field.param.min is not None, "without bounds NaN would be a limit that nothing breaks"
            assert field.param.max is not None, "an infinite limit is none: the level off says so"
