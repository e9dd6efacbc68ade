"""The command line: a command for every registered method, and the place where errors become exit codes."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import inspect
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnexplain import __version__
from cnnexplain.cli.boundary import shown_error
from cnnexplain.cli.command import ShellCommand
from cnnexplain.cli.commands import OnDemand, commands
from cnnexplain.cli.console import Console, ConsoleOptions, show_error, show_lines, show_trace
from cnnexplain.cli.help import IMAGES_HELP, MODEL_HELP, PARTS_HELP, HelpfulCommand, HelpfulGroup, of_command
from cnnexplain.cli.options import built, parameters
from cnnexplain.cli.outputs import with_output
from cnnexplain.cli.settings import settings, with_origin
from cnnexplain.cli.signals import BEFORE_ANYTHING, at_work, over, watch
from cnnexplain.core.interrupts import held
from cnnexplain.core.words import count
from cnnexplain.errors import (
    CheckFailedError,
    CnnexplainError,
    ExitCode,
    InterruptedRunError,
    ModelError,
    OptionError,
    OutputError,
    TooManyFailuresError,
    first_line,
    near_misses,
)
from cnnexplain.images.find import is_picture

_IMAGES = inspect.Parameter(
    "images",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[list[str] | None, typer.Argument(metavar="[IMAGES]...", help=IMAGES_HELP)],
)
_PARTS = inspect.Parameter(
    "parts",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[list[str], typer.Argument(metavar="PART...", help=PARTS_HELP)],
)


def _model(*, needed: bool) -> inspect.Parameter:
    return inspect.Parameter(
        "model",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)],
        default=inspect.Parameter.empty if needed else None,
    )


def main() -> None:
    """The entry point of `cnnexplain`."""
    code = run(sys.argv[1:])
    _flush()
    over(code)
    atexit._run_exitfuncs()  # those of a user's own code
    _flush()
    os._exit(code)  # torch's libraries take 0.1 GB and a moment to be unloaded


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, broken, or not there
            stream.flush()


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line, without the program's name, and return its exit code."""
    watch()
    try:
        return _run(arguments)
    except Exception as error:  # noqa: BLE001 - the boundary
        shown = shown_error(error)
        with contextlib.suppress(KeyboardInterrupt), held:  # a second signal changes nothing any more
            show_error(shown)
        return int(shown.exit_code)


def _run(arguments: Sequence[str]) -> int:
    # `--help` and `--version` have no use for a pyproject.toml, and must not fail where it is broken.
    available = commands()
    typed = next((word for word in arguments if word in available), None)
    if typed:
        available[typed].forget(arguments, _here())
    fields = OnDemand(available, lambda name: available[name].fields)
    names = itertools.takewhile(lambda word: word != "--", arguments)
    if dashed := next((word for word in names if _is_dashed(word) and os.path.isfile(word)), None):
        raise _read_as_options(dashed)
    used = settings(_here(), typed, fields) if typed else {}
    defaults = {typed: {option: setting.value for option, setting in used.items()}} if typed else {}
    about = {"-h", "--help", "--version"}.intersection(arguments)  # which need no command to be built
    group = typer.main.get_command(application([typed] if typed else [] if about else available))
    main = partial(group.main, prog_name="cnnexplain", standalone_mode=False, default_map=defaults)
    try:
        code = with_output(main, arguments)
    except typer.TyperException as error:
        usage = _usage_error(error, arguments)
        with_origin(usage, used, fields.get(typed or "", {}), arguments)
        raise usage from error
    except CnnexplainError as error:
        with_origin(error, used, fields.get(typed or "", {}), arguments)
        raise
    return int(code or 0)


def application(names: Iterable[str]) -> typer.Typer:
    """The typer application, built from the declared options of the commands that are named."""
    app = typer.Typer(
        cls=HelpfulGroup,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    available = commands()
    for name in names:
        app.command(name, cls=HelpfulCommand)(_command(available[name]))
    return app


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


def _command(command: ShellCommand) -> Callable[..., int]:
    """The function that typer calls for a command."""

    def call(context: typer.Context, **values: Any) -> int:
        try:
            return _carry_out(command, context, values)
        except KeyboardInterrupt as error:  # here, since typer would make an exit code of it
            raise InterruptedRunError(*BEFORE_ANYTHING, error) from error
        except BaseException as error:
            if values["debug"]:
                show_trace(error)
            if isinstance(error, Exception):
                raise
            raise ModelError(  # such as SystemExit: nothing of ours raises it
                f"code that is not part of cnnexplain ended the run: {first_line(error)}",
                "--debug shows where; what is done stays, and the same command continues from there",
            ) from error

    def show_everything(wanted: bool) -> None:
        if wanted:
            show_lines(sys.stdout, partial(of_command, command, everything=True))
            raise typer.Exit

    help_all = typer.Option("--help-all", help="Show every option.", is_eager=True, callback=show_everything)
    signature = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *([_model(needed=command.needs_model)] if command.takes_model else []),
        *([_IMAGES] if command.takes_pictures else []),
        *([_PARTS] if command.takes_parts else []),
        *parameters(command.kind),
        *(
            parameter
            for cls in command.shared.values()
            for parameter in parameters(cls, command.unused)
            if parameter.name not in command.own
        ),
        inspect.Parameter(
            "help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, help_all]
        ),
    ]
    call.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
    return call


def _carry_out(command: ShellCommand, context: typer.Context, values: dict[str, Any]) -> int:
    sources = {name: getattr(context.get_parameter_source(name), "name", "DEFAULT") for name in values}
    chosen = {name for name in values if sources[name] != "DEFAULT"}
    values = command.settled(values, {name for name in values if sources[name] == "COMMANDLINE"})
    if (draw := command.shown(values)) is not None:
        show_lines(sys.stdout, draw)
        return int(ExitCode.OK)
    if command.takes_model:
        _require_model(command, values["model"])
    start = _here()
    console = Console(built(ConsoleOptions, values))
    if command.takes_model:
        from cnnexplain.runner.workers.process import make_own

        make_own()
    importlib.import_module(command.runner)
    at_work()
    with console.watching():
        outcome = command.carry_out(values, chosen, shlex.join(["cnnexplain", *sys.argv[1:]]), console)
    try:
        console.finished(outcome)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "interrupted when everything was done", "there is nothing left to do", error
        ) from error
    except OutputError:
        command.forget(sys.argv[1:], start)  # the exit code says that it did not come to its end
        raise
    first = outcome.first_failed
    if first is not None and outcome.failed > outcome.allowed:
        raise TooManyFailuresError(
            f"{outcome.failed} of {outcome.images} images failed; {first['image']}: {first['error']['message']}",
            first["error"].get("hint", "")
            if outcome.failed == 1
            else f"{f'all are listed in {outcome.report}' if outcome.report else 'their records say why'}; "
            "--max-failures N allows some",
        )
    if outcome.stopped is not None:
        raise outcome.stopped
    if bad := [verdict.check for verdict in outcome.verdicts if verdict.status == "fail"]:
        raise CheckFailedError(
            f"{count(len(bad), 'check')} failed: {', '.join(bad)}",
            f"each says what to do; {outcome.report or 'add -o out, which'} shows the evidence",
        )
    return int(ExitCode.OK)


def _require_model(command: ShellCommand, model: str | None) -> None:
    if model is None:
        raise OptionError("missing argument 'MODEL'", f"cnnexplain {command.name} --help lists what there is")
    if is_picture(model) and os.path.isfile(model):
        raise OptionError(
            f"{model!r} is a picture and stands where MODEL belongs",
            f"write the model first: cnnexplain {command.name} bundled:efficientnet_lite0 "
            + (f"{model} -o out" if command.takes_pictures else "-o out"),
        )


def _usage_error(error: typer.TyperException, arguments: Sequence[str]) -> OptionError:
    """The error of typer as a problem and a hint."""
    problem = error.format_message().rstrip(".")
    problem = problem[:1].lower() + problem[1:]
    context = getattr(error, "ctx", None)
    typed = str(getattr(error, "option_name", ""))
    possible = near_misses(typed, getattr(error, "possibilities", None) or ())
    help_line = f"{context.command_path if context else 'cnnexplain'} --help lists what there is"
    if possible:
        return OptionError(problem.split(" (", maxsplit=1)[0], f"did you mean {' or '.join(possible)}?")
    if dashed := next((word for word in arguments if _is_dashed(word)), None):
        return _read_as_options(dashed)
    if problem.startswith("no such command"):
        near = near_misses(next((word for word in arguments if not word.startswith("-")), ""), commands())
        problem = problem.split(". ", maxsplit=1)[0]
        return OptionError(problem, f"did you mean cnnexplain {near[0]}?" if near else help_line)
    return OptionError(problem, help_line)


def _is_dashed(word: str) -> bool:
    """Whether a word is rather the name of a picture than options: -cat.jpg."""
    return word.startswith("-") and is_picture(word)


def _read_as_options(word: str) -> OptionError:
    return OptionError(
        f"{word!r} begins with a dash and is read as options", f"write ./{word}, or put -- before the names"
    )


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise OptionError(
            f"the working folder is gone: {error.strerror}", "change to one that exists"
        ) from error
