"""What torch's functions are called, also where they are called as operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch._ops import OpOverload, OpOverloadPacket


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function of torch: `relu_` also for `aten.relu_.default`, as graphs of torch.export have it."""
    if isinstance(function, OpOverload):
        return str(function._schema.name).rpartition("::")[2]
    if isinstance(function, OpOverloadPacket):
        return str(function._qualified_op_name).rpartition("::")[2]
    return str(getattr(function, "__name__", ""))


def plain_name(function: Callable[..., Any]) -> str:
    """What a function is called in Python, or the attribute of a tensor that it reads, as `T`."""
    name = str(getattr(function, "__name__", ""))
    return getattr(getattr(function, "__self__", None), "__name__", "") if name == "__get__" else name
