"""Imports timm and torchvision on first use, with a clear word when the installation is broken."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from cnnexplain.errors import ModelError, first_line


def library(name: str) -> ModuleType:
    """The module `name` of timm or torchvision, imported."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        # A second try at a half-imported package raises AttributeError instead of the first error.
        raise ModelError(
            f"{name} does not import: {first_line(error)}",
            "torch and torchvision are likely of different builds (CPU and CUDA): install both from one place, "
            "for example pip install --force-reinstall torch torchvision",
        ) from error
