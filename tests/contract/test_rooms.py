"""What every command, check and source must satisfy; each is found by its name."""

from __future__ import annotations

import dataclasses
import inspect
import shlex

import pytest

from cnnexplain import checks, commands, sources
from cnnexplain.commands import Command, FolderCommand, ImageCommand, ModelCommand
from cnnexplain.core.params import declared
from cnnexplain.core.reduce import Reducer
from cnnexplain.errors import OptionError


@pytest.mark.parametrize("name", commands.names())
def test_a_command(name: str) -> None:
    kind = commands.command(name)
    assert issubclass(kind, Command)
    assert sum(issubclass(kind, each) for each in (ImageCommand, FolderCommand, ModelCommand)) == 1
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not inspect.isabstract(kind)
    assert isinstance(kind().seeded, bool)
    assert (inspect.getdoc(kind) or "").endswith(".")
    assert all(field.param.help for field in declared(kind))
    assert kind.examples
    for example in kind.examples:
        assert shlex.split(example)[:2] == ["cnnexplain", name]
    if issubclass(kind, ImageCommand):
        assert all(issubclass(reducer, Reducer) for reducer in kind.reducers)
        assert commands.image_command(name) is kind
    else:
        with pytest.raises(OptionError, match="explains no images"):
            commands.image_command(name)


def test_a_command_says_whether_it_is_seeded() -> None:
    @dataclasses.dataclass(frozen=True)
    class Silent(ImageCommand):
        def bind(self, model):
            return self, ()

        def explain(self, model, batch): ...

    with pytest.raises(TypeError, match="seeded"):
        Silent()


@pytest.mark.parametrize("name", checks.ids())
def test_a_check(name: str) -> None:
    kind = checks.check(name)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert kind.level in ("error", "warn", "off")
    assert set(kind.needs) <= {"pictures", "labels", "baseline"}
    assert kind.why
    assert checks.title(kind)
    assert callable(kind.measure)


@pytest.mark.parametrize("prefix", sources.sources())
def test_a_source(prefix: str) -> None:
    source = sources.sources()[prefix]
    assert prefix == source.PREFIX
    assert source.HELP
    assert callable(source.build)
    assert callable(source.names)


@pytest.mark.parametrize(
    ("find", "noun", "misspelt", "meant"),
    [(commands.command, "command", "gradcma", "gradcam"), (checks.check, "check", "finit", "finite")],
)
def test_a_misspelt_name_is_said_with_the_one_that_was_meant(find, noun, misspelt, meant) -> None:
    with pytest.raises(OptionError) as raised:
        find(misspelt)
    assert raised.value.problem == f"there is no {noun} called {misspelt!r}"
    assert raised.value.hint == f"did you mean {meant}?"
