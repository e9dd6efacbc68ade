"""Imports timm and torchvision on first use, with a clear error when the installation is broken."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from types import ModuleType

from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources.kit import compiler

_own_process = False


def imported_lightly() -> None:
    """From now on leave out the compiler that timm and torchvision import without need; see `compiler`."""
    global _own_process  # noqa: PLW0603 - it is the process that is ours
    _own_process = True


def library(name: str) -> ModuleType:
    """Import and return the module `name` of timm or torchvision. Raises `ModelError` where that fails."""
    try:
        with compiler.left_out() if _own_process else nullcontext():
            return import_module(name)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        # A second try at a half-imported package raises AttributeError instead of the first error.
        raise ModelError(
            f"{name} does not import: {first_line(error)}",
            "torch and torchvision are likely of different builds (CPU and CUDA): install both from one place, "
            "for example pip install --force-reinstall torch torchvision",
        ) from error
