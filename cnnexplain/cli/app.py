"""The command line: one command for every method found, and the one place where errors become exit codes."""

from __future__ import annotations

import inspect
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from cnnexplain import __version__, methods
from cnnexplain.cli.console import Console, ConsoleOptions, show_error
from cnnexplain.cli.options import built, configured, parameters
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.params import Field, declared
from cnnexplain.errors import (
    CnnexplainError,
    ExitCode,
    InterruptedRunError,
    OptionError,
    Terminated,
    TooManyFailuresError,
    first_line,
    near_misses,
)
from cnnexplain.images.find import ImageOptions, is_picture
from cnnexplain.render.options import RenderOptions
from cnnexplain.runner.options import DeviceOptions, RunOptions
from cnnexplain.runner.request import Request

# Every group of options that a command shares with the others, and its heading in --help.
SHARED: dict[str, type] = {
    "Pictures": ImageOptions,
    "Results": RunOptions,
    "Drawing": RenderOptions,
    "Device": DeviceOptions,
    "Model and preprocessing": ModelOptions,
    "Terminal": ConsoleOptions,
}
MODEL_HELP = (
    "A timm or torchvision name (resnet50), bundled:efficientnet_lite0, timm:NAME, torchvision:NAME, "
    "hf-hub:OWNER/NAME, a checkpoint with --arch, or your own code (package.module:factory, file.py:factory)."
)
IMAGES_HELP = "Files, folders, quoted globs, or - for names on standard input."


def main() -> None:
    """The entry point of `cnnexplain`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    except CnnexplainError as error:
        show_error(error)
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the one boundary: whatever else arrives here is our own defect
        show_error(
            CnnexplainError(
                f"a defect in cnnexplain: {first_line(error)}",
                "run it again with --debug and report what it prints",
            )
        )
        return int(ExitCode.DEFECT)


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(application())
    # `--help` and `--version` have no use for a pyproject.toml, and should not trip over a broken one.
    asked = next((one for one in arguments if one in methods.names()), None)
    defaults = {asked: configured(_here(), asked, _fields())} if asked else {}
    try:
        code = command.main(
            args=list(arguments) or ["--help"],
            prog_name="cnnexplain",
            standalone_mode=False,
            default_map=defaults,
        )
    except typer.TyperException as error:
        raise _usage_error(error, arguments) from error
    return int(code or 0)


def application() -> typer.Typer:
    """The typer application, built from what is declared."""
    app = typer.Typer(
        help="Shows what a convolutional network looked at. Start with: "
        "cnnexplain gradcam bundled:efficientnet_lite0 cat.jpg -o out",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Every option can also be set as CNNEXPLAIN_<OPTION> or in \\[tool.cnnexplain] of pyproject.toml.",
    )
    app.callback()(_common)
    for name in methods.names():
        method = methods.method(name)
        app.command(name, help=_unwrapped(inspect.getdoc(method) or ""))(_command(name, method))
    return app


def _unwrapped(text: str) -> str:
    """A docstring with its paragraphs on one line each, for a terminal of any width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"cnnexplain {__version__}\n")
        raise typer.Exit


def _common(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Options of `cnnexplain` itself."""


def _command(name: str, method: type[methods.Method]) -> Callable[..., int]:
    """The function that typer calls for one method."""

    def command(context: typer.Context, **values: Any) -> int:
        try:
            return _explain(name, method, context, values)
        except KeyboardInterrupt as error:  # here, since typer would make an exit code of it
            raise InterruptedRunError(
                "interrupted before any picture was explained", "run the same command again", error
            ) from error
        except Exception:
            if values["debug"]:
                traceback.print_exc()
            raise

    signature = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        inspect.Parameter(
            "model",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)],
        ),
        inspect.Parameter(
            "images",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[list[str] | None, typer.Argument(metavar="[IMAGES]...", help=IMAGES_HELP)],
        ),
        *parameters(method, "Method"),
        *(parameter for panel, cls in SHARED.items() for parameter in parameters(cls, panel)),
    ]
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
    return command


def _explain(name: str, method: type[methods.Method], context: typer.Context, values: dict[str, Any]) -> int:
    given = {
        one for one in values if getattr(context.get_parameter_source(one), "name", "DEFAULT") != "DEFAULT"
    }
    if is_picture(values["model"]) and os.path.isfile(values["model"]):
        raise OptionError(
            f"{values['model']!r} is a picture and stands where MODEL belongs",
            f"write the model first: cnnexplain {name} bundled:efficientnet_lite0 {values['model']} -o out",
        )
    console = Console(built(ConsoleOptions, values))
    asked = frozenset(field.name for field in declared(method) if field.name in given)
    request = Request(
        command=name,
        reference=values["model"],
        images=tuple(values["images"] or ()),
        method=built(method, values),
        asked=asked,
        run=built(RunOptions, values),
        model=built(ModelOptions, values),
        where=built(DeviceOptions, values),
        find=built(ImageOptions, values),
        render=built(RenderOptions, values),
        arguments=shlex.join(["cnnexplain", *sys.argv[1:]]),
    )
    from cnnexplain.runner.memory import keep_freed  # from here on torch is needed
    from cnnexplain.runner.run import run as carry_out

    keep_freed()
    with console.watching():
        outcome = carry_out(request, console)
    console.finished(outcome)
    if len(outcome.failed) > outcome.allowed:
        first = outcome.failed[0]
        raise TooManyFailuresError(
            f"{len(outcome.failed)} of {outcome.images} images failed; {first['image']}: {first['error']['message']}",
            first["error"].get("hint", "")
            if len(outcome.failed) == 1
            else f"all are listed in {outcome.report}; --max-failures N allows some",
        )
    return int(ExitCode.OK)


def _usage_error(error: typer.TyperException, arguments: Sequence[str]) -> OptionError:
    """What typer found wrong, in two lines."""
    problem = error.format_message().rstrip(".")
    problem = problem[:1].lower() + problem[1:]
    context = getattr(error, "ctx", None)
    typed = str(getattr(error, "option_name", ""))
    possible = near_misses(typed, getattr(error, "possibilities", None) or ())
    help_line = f"{context.command_path if context else 'cnnexplain'} --help lists what there is"
    if possible:
        return OptionError(problem.split(" (", maxsplit=1)[0], f"did you mean {' or '.join(possible)}?")
    if problem.startswith("no such command"):
        near = near_misses(next((one for one in arguments if not one.startswith("-")), ""), methods.names())
        problem = problem.split(". ", maxsplit=1)[0]
        return OptionError(problem, f"did you mean cnnexplain {near[0]}?" if near else help_line)
    return OptionError(problem, help_line)


def _fields() -> dict[str, dict[str, Field]]:
    """The declared options of every command, by their names."""
    shared = {field.name: field for cls in SHARED.values() for field in declared(cls)}
    return {
        name: shared | {field.name: field for field in declared(methods.method(name))}
        for name in methods.names()
    }


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise OptionError(
            f"the working folder is gone: {error.strerror}", "change to one that exists"
        ) from error


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated
