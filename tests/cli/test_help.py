"""What --help shows: examples that can be typed, a command's own options, and no more of the shared than is needed."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from cnnexplain.cli.app import application, run
from cnnexplain.cli.commands import commands
from cnnexplain.cli.help import EXAMPLES, of_command
from cnnexplain.cli.options import flag, spellings
from cnnexplain.core.params import DeclaredOption, declared

EVERY = pytest.mark.parametrize("name", commands())
PROGRAM = typer.main.get_command(application(commands()))


def page(name: str, width: int = 100, *, everything: bool = False) -> str:
    return "\n".join(of_command(commands()[name], width, False, "utf-8", everything))


def listed(text: str) -> set[str]:
    """The options that a help describes, each by its first long name."""
    lines = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)
    return set(lines) - {"--help"}


def long_name(field: DeclaredOption) -> str:
    return next(
        one for one in ",".join(spellings(field)).replace("/", ",").split(",") if one.startswith("--")
    )


@EVERY
def test_examples_stand_first_and_are_calls_that_are_understood(name: str) -> None:
    examples = commands()[name].examples
    assert len(examples) in (2, 3)
    shown = page(name)
    assert shown.index(examples[0]) < shown.index("Arguments:")
    for example in (*examples, *EXAMPLES):
        program, asked, *words = shlex.split(example.split(" | ")[0])
        assert program == "cnnexplain"
        command = PROGRAM.get_command(None, asked)  # type: ignore[attr-defined]
        values = command.make_context(asked, list(words)).params
        assert values["model" if commands()[asked].takes_model else "parts"]


@EVERY
def test_own_options_are_shown_and_shared_ones_are_folded(name: str) -> None:
    command, short, long = commands()[name], page(name), page(name, everything=True)
    assert len(short.splitlines()) < 65
    own = {long_name(field) for field in declared(command.kind)}
    shared = {
        long_name(field): field.param.common
        for cls in command.shared.values()
        for field in declared(cls)
        if field.name not in command.unused
    }
    assert listed(long) == own | shared.keys() | {"--help-all"}
    assert listed(short) == own | {name for name in shared if shared[name]} | {"--help-all"}
    assert len([name for name in shared if shared[name]]) < 12


def test_what_a_command_does_not_use_is_not_shown_and_still_taken() -> None:
    for name, words in {
        "summary": ["--colormap", "magma", "--save-raw"],
        "filters": ["--alpha", "0.5", "--mean", "0.5"],
        "deconv": ["--colormap", "magma"],
    }.items():
        assert words[0] not in page(name, everything=True)
        command = PROGRAM.get_command(None, name)  # type: ignore[attr-defined]
        values = command.make_context(name, ["resnet50", *words]).params
        assert str(values[words[0][2:]]) == words[1]
        complete = [one.value for one in command.shell_complete(command.make_context(name, ["x"]), "--")]
        assert words[0] not in complete
        assert {"--seed", "--input-size", "--help-all"} <= set(complete)


@pytest.mark.parametrize("width", [60, 80, 100])
@EVERY
def test_no_line_is_longer_than_the_terminal_but_for_calls_to_copy(name: str, width: int) -> None:
    for line in page(name, width, everything=True).splitlines():
        assert len(line) <= width or "cnnexplain" in line, line


def test_help_of_the_program_and_of_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == run(["--help"]) == run(["-h"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    third = len(out) // 3
    assert out[:third] == out[third : 2 * third] == out[2 * third :]
    assert all(f"\n  {name} " in out for name in commands())
    assert run(["gradcam", "--help"]) == run(["gradcam", "--help-all"]) == 0
    out, err = capfd.readouterr()
    assert (err, out.count("--ray-address"), out.count("-t, --target CLASS")) == ("", 1, 2)
    assert "[default: cnnexplain-out]" in out
    assert flag("help_all") in out
