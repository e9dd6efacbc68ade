"""torch's compiler, which timm and torchvision load while they are imported and which nothing here needs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


@contextmanager
def left_out() -> Iterator[None]:
    """Replace `torch._dynamo` by a stand-in while the block imports something: it halves the time of importing timm.

    torchvision takes a function of it, and timm marks a function as not to be compiled; both get the real ones when
    they call them. Only for processes of this package: another thread may need the compiler meanwhile.
    """
    if NAME in sys.modules:
        yield
        return
    package, utils = ModuleType(NAME), ModuleType(f"{NAME}.utils")
    package.__path__ = []
    package.utils = utils  # type: ignore[attr-defined]
    package.disable = _disable  # type: ignore[attr-defined]
    utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    stand_ins = {NAME: package, f"{NAME}.utils": utils}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _disable(
    function: Callable[..., Any] | None = None, recursive: bool = True, **settings: Any
) -> Callable[..., Any]:
    """As `torch._dynamo.disable`, once there is a compiler that could heed it."""
    if function is None:
        return functools.partial(_disable, recursive=recursive, **settings)

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if NAME not in sys.modules:
            return function(*arguments, **options)
        return import_module(NAME).disable(function, recursive, **settings)(*arguments, **options)

    return call


def _is_compile_supported(device: str) -> Any:
    return import_module(f"{NAME}.utils").is_compile_supported(device)
