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
