"""What torch's functions are called, also as operators; and looking at tensors unseen by those who watch them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch._ops import OpOverload, OpOverloadPacket

Function = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def unwatched(look: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Wrap a function so that no function mode sees it read tensors.

    For what only observes: every shape that it reads would otherwise be a call to each mode that is active, whose own
    reading is a call to the next.
    """

    @wraps(look)
    def looking(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        with torch._C.DisableTorchFunction():
            return look(*args, **kwargs)

    return looking


def argument(args: Args, kwargs: Kwargs, place: int, name: str, default: Any = None) -> Any:
    """The argument of a call, by its place or by its name; `default` where the call has none."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def name_of(function: Function) -> str:
    """The name of a function of torch: `relu_` also for `aten.relu_.default`, as graphs of torch.export have it."""
    if isinstance(function, OpOverload):
        return str(function._schema.name).rpartition("::")[2]
    if isinstance(function, OpOverloadPacket):
        return str(function._qualified_op_name).rpartition("::")[2]
    return str(getattr(function, "__name__", ""))


def plain_name(function: Function) -> str:
    """The name of a function in Python; of one that reads an attribute of a tensor, the name of that, such as `T`."""
    name = str(getattr(function, "__name__", ""))
    return getattr(getattr(function, "__self__", None), "__name__", "") if name == "__get__" else name
