"""The files that a check writes beside OUT, before it has begun. Light: this comes before torch is there."""

from __future__ import annotations

import os
from pathlib import Path

from cnnexplain.errors import OptionError, OutputError
from cnnexplain.runner.checking.options import CheckOptions

# How each of our files begins; no other is replaced.
JUNIT_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="cnnexplain check"'
BASELINE_HEAD = b'{"cnnexplain-baseline": '
JUNIT, BASELINE = "--junit", "--update-baseline"


def cleared(options: CheckOptions) -> None:
    """See that nothing foreign is to be replaced, and remove the verdicts of an earlier run."""
    if options.junit is not None:
        forget(options.junit)
    if options.update_baseline is not None:
        require_own(options.update_baseline, BASELINE_HEAD, BASELINE)
    _require_apart(options)


def forget(junit: Path, start: Path | None = None) -> None:
    """Remove the JUnit file of an earlier run, a path from `start` where that is not the working folder any more."""
    require_own(junit, JUNIT_HEAD, JUNIT, start)
    try:
        (start / junit if start else junit).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{junit} cannot be replaced: {error.strerror}", f"choose another file with {JUNIT}"
        ) from error


def require_own(path: Path, head: bytes, flag: str, start: Path | None = None) -> None:
    """Raise `OutputError` where `path` holds what we did not write: what we write begins with `head`."""
    place = start / path if start else path
    if not os.path.lexists(place):
        return
    try:
        with place.open("rb") if place.is_file() else open(os.devnull, "rb") as file:
            own = file.read(len(head)) == head
    except OSError:
        own = False
    if not own:
        raise OutputError(
            f"{path} is there already and is not from cnnexplain", f"choose another file with {flag}"
        )


def _require_apart(options: CheckOptions) -> None:
    """Raise `OptionError` where two options name one file, or a file that stands in OUT anyway."""
    named = {
        "--config": options.config,
        "--baseline": options.baseline,
        BASELINE: options.update_baseline,
        JUNIT: options.junit,
    }
    taken: dict[str, str] = {}
    if options.output is not None:
        names = ("index.html", "results.jsonl", "run.json")
        taken = {os.path.realpath(options.output / name): "-o" for name in names}
    for flag, path in named.items():
        if path is not None:
            other = taken.setdefault(os.path.realpath(path), flag)
            if other != flag:
                raise OptionError(f"{other} and {flag} both name {path}", "give each a file of its own")
