"""Where `cnnexplain` starts. Light: signals are watched before any library is imported."""

from __future__ import annotations

import os

from cnnexplain.cli.signals import watch

SPIN = "10000"  # turns of a loop, about half a millisecond; libgomp's own are 300,000


def main() -> None:
    """The entry point of `cnnexplain`."""
    watch()
    wait_briefly()
    from cnnexplain.cli.app import main as carry_out

    carry_out()


def wait_briefly() -> None:
    """Have the threads that compute one layer together wait for each other without keeping processors from others.

    By itself each of them turns in a loop until the last is done, which may be one that this very loop keeps from its
    processor: beside another program a picture takes ten times as long. Read when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
