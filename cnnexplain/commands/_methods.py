"""Methods of all image commands by their names, and the commands that carry some of them out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from cnnexplain.commands import ImageCommand, bound, command, image_command, names
from cnnexplain.core.params import DeclaredOption, declared
from cnnexplain.errors import OptionError, near_misses

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.engine.model import Model

OWN = "compare"  # has methods of others only
OF_LAYER = "guided-gradcam"  # for which `saliency` takes a layer


@cache
def methods() -> dict[str, tuple[str, ...]]:
    """The commands, one or more, that have each method, by its name."""
    commands_of: dict[str, tuple[str, ...]] = {}
    for name in names():
        if name == OWN or not issubclass(command(name), ImageCommand):
            continue
        option = _options(name).get("method")
        for method in option.param.choices if option else ():
            commands_of[method] = (*commands_of.get(method, ()), name)
    return commands_of


def command_of(method: str) -> tuple[str, str]:
    """The command that has a method, and the method's name there.

    Args:
        method: A method, or where several commands have one of that name, or to be sure, `COMMAND:METHOD`.

    Raises:
        OptionError: No command has it, or several do.
    """
    known = methods()
    prefix, _, name = method.rpartition(":")
    candidates = known.get(name, ())
    if prefix in candidates:
        return prefix, name
    if not prefix and len(candidates) == 1:
        return candidates[0], name
    if candidates:
        fits = [f"{candidate}:{name}" for candidate in candidates]
        problem = (
            f"--method {method!r} does not say which: {' and '.join(candidates)} have one of that name"
            if not prefix
            else f"--method {method!r}: {prefix} has no method of that name"
        )
        raise OptionError(problem, f"did you mean {' or '.join(fits)}?")
    near = near_misses(name, known)
    raise OptionError(
        f"--method {method!r} is not a method of any command that makes maps",
        f"did you mean --method {near[0]}?" if near else f"there are {', '.join(sorted(known))}",
    )


def bound_commands(
    model: Model, wanted: Sequence[str], layer: Sequence[str], target: str
) -> tuple[tuple[ImageCommand, ...], tuple[Choice, ...]]:
    """The commands that carry methods out, bound to a model, and what was chosen on the way.

    Each has all of the methods that are its own, so that they share what they can.

    Args:
        model: What is explained.
        wanted: The methods, as `command_of` takes them.
        layer: Layers for the methods that have one; none for the commands' own choice.
        target: The class.

    Raises:
        CnnexplainError: The model lacks what a command needs, or options and model do not fit.
    """
    by_command: dict[str, list[str]] = {}
    for method in wanted:
        name, own = command_of(method)
        by_command.setdefault(name, [])
        by_command[name] += [] if own in by_command[name] else [own]  # gradcam and gradcam:gradcam
    commands: list[ImageCommand] = []
    choices: list[Choice] = []
    used = False
    for name, own_methods in by_command.items():
        options: dict[str, Any] = {"method": tuple(own_methods)}
        known = _options(name)
        if "target" in known:
            options["target"] = target
        if layer and "layer" in known and (known["layer"].repeated or OF_LAYER in own_methods):
            options["layer"] = tuple(layer) if known["layer"].repeated else _single(layer, own_methods)
            used = True
        made, settled = bound(image_command(name)(**options), model)
        commands.append(made)
        choices += [choice for choice in settled if choice not in choices]
    if layer and not used:
        raise OptionError(
            f"--layer {', '.join(layer)} has no use here: {', '.join(wanted)} explain pixels, not a layer",
            "leave --layer out, or add a method of layers: -m gradcam",
        )
    return tuple(commands), tuple(choices)


def _single(layer: Sequence[str], own_methods: Sequence[str]) -> str:
    if len(layer) > 1:
        raise OptionError(
            f"{', '.join(own_methods)} takes one layer, and there are {len(layer)}: {', '.join(layer)}",
            f"give one --layer, or leave {OF_LAYER} out",
        )
    return layer[0]


@cache
def _options(name: str) -> dict[str, DeclaredOption]:
    return {option.name: option for option in declared(command(name))}
