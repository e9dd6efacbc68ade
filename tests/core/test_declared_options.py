"""Options are declared once; what is out of bounds is told in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from cnnexplain.core.params import Param, checked, declared
from cnnexplain.errors import OptionError, first_line, near_misses


@dataclass(frozen=True)
class Options:
    steps: Annotated[int, Param("Steps.", min=1, max=100)] = 50
    share: Annotated[float, Param("Share.", min=0, max=1)] = 0.5
    colour: Annotated[str, Param("Colour.", choices=("red", "green"))] = "red"
    method: Annotated[tuple[str, ...], Param("Methods.", choices=("cam", "grad"), split=True)] = ("cam",)
    layer: Annotated[tuple[str, ...], Param("Layers.")] = ()
    file: Annotated[Path | None, Param("File.")] = None
    count: Annotated[int | None, Param("Count.", min=1)] = None
    fast: Annotated[bool, Param("Fast.")] = False
    hidden: int = 3


def check(**values: Any) -> dict[str, Any]:
    return checked(Options, values)


def test_what_is_declared_is_found_in_order() -> None:
    fields = {field.name: field for field in declared(Options)}
    assert list(fields) == ["steps", "share", "colour", "method", "layer", "file", "count", "fast"]
    assert (fields["count"].type, fields["count"].optional, fields["count"].default) == (int, True, None)
    assert (fields["layer"].type, fields["layer"].repeated) == (str, True)
    assert fields["steps"].param.help == "Steps."


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"steps": 1}, 1),
        ({"steps": 100}, 100),
        ({"steps": np.int64(7)}, 7),
        ({"share": 1}, 1.0),
        ({"share": np.float32(0.5)}, 0.5),
        ({"colour": "green"}, "green"),
        ({"count": None}, None),
        ({"file": "a/b"}, Path("a/b")),
        ({"file": Path("a/b")}, Path("a/b")),
        ({"fast": True}, True),
        ({"method": "cam"}, ("cam",)),
        ({"method": " grad , cam,,cam "}, ("grad", "cam")),
        ({"method": ["grad", "cam,grad"]}, ("grad", "cam")),
        ({"layer": "a,b"}, ("a,b",)),  # only what is declared so is split
        ({"layer": ("a", "b", "a")}, ("a", "b")),
        ({"layer": []}, ()),
    ],
)
def test_a_good_value_is_held_as_its_type(given: dict[str, Any], held: Any) -> None:
    (value,) = check(**given).values()
    assert value == held
    assert type(value) is type(held)


def test_a_whole_number_may_stand_for_a_text() -> None:
    assert check(layer=3) == {"layer": ("3",)}, "target=281 is how Python people name a class"


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        ({"steps": 0}, "--steps 0 is too small", "the smallest value is 1"),
        ({"steps": 101}, "--steps 101 is too large", "the largest value is 100"),
        ({"share": float("nan")}, "--share nan", "0"),
        ({"share": float("inf")}, "--share inf", "1"),
        ({"count": -1}, "--count -1 is too small", "1"),
        ({"colour": "gren"}, "--colour 'gren' is not one of red, green", "did you mean --colour green?"),
        ({"colour": ""}, "--colour ''", "for example --colour red"),
        ({"method": "cam,grat"}, "--method 'grat' is not one of cam, grad", "grad"),
        ({"method": ""}, "--method names nothing", "leave it out for cam"),
        ({"method": ()}, "--method names nothing", "leave it out for cam"),
        ({"steps": "many"}, "--steps is 'many', a str", "give a whole number"),
        ({"steps": 1.5}, "--steps is 1.5, a float", "give a whole number"),
        ({"steps": True}, "--steps is True, a bool", "give a whole number"),
        ({"share": "half"}, "--share is 'half', a str", "give a number"),
        ({"steps": None}, "--steps is None", "give a whole number"),
        ({"layer": [None]}, "--layer is None", "give a text"),
        ({"file": 3}, "--file is 3", "give a path"),
        ({"fast": 1}, "--fast is 1", "True or False"),
        ({"step": 1}, "there is no option 'step'", "did you mean 'steps'?"),
        ({"zzz": 1}, "there is no option 'zzz'", "the options are steps, share"),
        ({"hidden": 1}, "there is no option 'hidden'", "the options are"),
    ],
)
def test_a_bad_value_is_refused(given: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        check(**given)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("resnet5", ["resnet50"]),
        ("RESNET50", ["resnet50"]),
        ("rsenet50", ["resnet50"]),
        ("vgg", ["VGG16"]),
        ("alxnet", ["alexnet"]),
        ("zebra", []),
        ("", []),
        # Alike to difflib, by 0.6 and more, and nothing that anybody types for the other.
        ("sensnet", []),
        ("lexnete.png", []),
        ("annex", []),
    ],
)
def test_near_misses_are_found_whatever_their_case(word: str, near: list[str]) -> None:
    assert near_misses(word, ["resnet50", "VGG16", "alexnet"])[:1] == near


@pytest.mark.parametrize(
    ("word", "name", "near"),
    [
        ("cat.png", "a.png", False),  # the ending is all that they share
        ("d.png", "a.png", False),
        ("cat.png", "cta.png", True),
        ("holiday.png", "holidays.png", True),
        ("cat.jpg", "cat.png", False),
        ("--tagret", "--target", True),
        ("explain", "explore", False),
        ("photo", "photos", True),
    ],
)
def test_near_is_a_part_or_a_slip_in_every_fourth_letter(word: str, name: str, near: bool) -> None:
    assert near_misses(word, [name]) == [name] * near
    assert near_misses(name, [word]) == [word] * near


def test_the_best_near_miss_comes_first() -> None:
    assert near_misses("layer4.1", ["layer3.1", "layer4.10", "layer4.1.conv1"])[0] == "layer4.10"


def test_another_librarys_message_is_quoted_by_its_first_line() -> None:
    assert first_line(ValueError("  first \nsecond")) == "ValueError: first"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(OSError("x" * 999))) == 200
