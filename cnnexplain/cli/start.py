"""Where `cnnexplain` starts. Light: signals are watched before any library is imported."""

from __future__ import annotations

from cnnexplain.cli.signals import watch


def main() -> None:
    """The entry point of `cnnexplain`."""
    watch()
    from cnnexplain.cli.app import main as carry_out

    carry_out()
