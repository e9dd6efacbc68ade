"""Functions that are called when the layers of a module run, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

Layers = Iterable[tuple[str, nn.Module]]
Before = Callable[[str, nn.Module, tuple[Any, ...]], Any]
After = Callable[[str, nn.Module, tuple[Any, ...], Any], Any]


class Enough(BaseException):
    """Raised by a function that is called after a layer, to end the pass there: see `stopping.run_head`.

    No `Exception`, since a model's own code may catch these.
    """


def submodules(module: nn.Module, *, every_name: bool = False) -> list[tuple[str, nn.Module]]:
    """The modules that a module holds, by name, without itself.

    Args:
        module: The one that holds them.
        every_name: Whether one that is used in several places is there under each of its names.
    """
    named = module.named_modules(remove_duplicate=not every_name)
    return [(name, child) for name, child in named if name]


@contextmanager
def hooked(
    layers: Layers, *, before: Before | None = None, after: After | None = None, always: bool = False
) -> Iterator[None]:
    """Have functions called inside the block whenever one of `layers` runs. Leaves no hook behind, also on errors.

    Those that are TorchScript take no hooks, and are passed over.

    Args:
        layers: Modules by name, such as `submodules` gives them.
        before: Called with the name, the module and its arguments before it runs. What it returns takes the place of
            the arguments, unless that is None.
        after: Called with the name, the module, its arguments and its output. What it returns takes the place of the
            output, unless that is None.
        always: Whether `after` is called of a layer that raises too, with None for the output.
    """
    handles = []
    try:
        for name, layer in layers:
            if isinstance(layer, torch.jit.ScriptModule):
                continue
            if before is not None:
                handles.append(layer.register_forward_pre_hook(partial(before, name)))
            if after is not None:
                handles.append(layer.register_forward_hook(partial(after, name), always_call=always))
        yield
    finally:
        for handle in handles:
            handle.remove()
