"""A user's module, used for a while and given back exactly as it was."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

# One thread at a time has a module, whatever it is a part of: two would restore each other's changes.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()
# The stances of torch's compiler that borrowers have set; the first knows what was set before.
_EAGER: list[Any] = []
_FROZEN: set[int] = set()  # the parameters of borrowed modules that are trainable otherwise, by identity

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}  # what a module is cast to


@contextmanager
def borrowed(module: nn.Module, *, exact: bool) -> Iterator[None]:
    """Evaluation mode and frozen parameters inside the block; every module as it was after it, also on errors.

    `exact`: keep GPUs from rounding float32 convolutions to ten bits of precision (TF32).
    """
    with ExitStack() as locked:
        with _LOCKS_LOCK:
            locks = [
                _LOCKS.setdefault(child, threading.RLock()) for child in sorted(module.modules(), key=id)
            ]
        for lock in locks:  # in the same order everywhere, so that no two wait for each other
            locked.enter_context(lock)
        modes = [(child, child.training) for child in module.modules()]
        frozen = [parameter for parameter in module.parameters() if parameter.requires_grad]
        rounded = torch.backends.cudnn.allow_tf32
        try:
            if exact:
                torch.backends.cudnn.allow_tf32 = False
            # Set directly: a train() of the user's own may do more than switch the mode.
            for child, _ in modes:
                child.training = False
            for parameter in frozen:
                _FROZEN.add(id(parameter))
                parameter.requires_grad = False  # requires_grad_() bars those that have no shape yet
            with _eagerly(), torch.inference_mode(False), torch.enable_grad():
                yield
        finally:
            torch.backends.cudnn.allow_tf32 = rounded
            for child, mode in modes:
                child.training = mode
            for parameter in frozen:
                parameter.requires_grad = True
                _FROZEN.discard(id(parameter))


@contextmanager
def _eagerly() -> Iterator[None]:
    """Run what torch.compile made as it was written: with every new set of hooks it would be compiled anew.

    The compiler's stance is the process's own: the first thread in sets it, and the last out sets it back.
    """
    if "torch._dynamo" not in sys.modules:  # then nothing is compiled, and importing it takes seconds
        yield
        return
    with _LOCKS_LOCK:
        _EAGER.append(torch.compiler.set_stance("force_eager"))  # in force from here on
    try:
        yield
    finally:
        with _LOCKS_LOCK:
            stance = _EAGER.pop()  # in any order: what was before is known to the one at the bottom
            if not _EAGER:
                stance.__exit__(None, None, None)


@contextmanager
def buffers_kept(model: Model) -> Iterator[None]:
    """After the block every buffer is the tensor that it was, with the values that it had, also on errors.

    A batch norm that stays in training mode changes its statistics with every picture, and others count. Written to
    only where they changed, and in place: somebody else may hold the same tensor.
    """
    kept = [
        (owner, name, tensor, tensor.detach().clone())
        for owner in model.module.modules()
        for name, tensor in owner.named_buffers(recurse=False)
        if not is_lazy(tensor)
    ]
    try:
        yield
    finally:
        for owner, name, tensor, values in kept:
            if owner._buffers.get(name) is not tensor:
                setattr(owner, name, tensor)
            if (tensor.shape, tensor.dtype, tensor.device) != (values.shape, values.dtype, values.device):
                tensor.data = values
            elif not ((tensor == values) | (tensor.isnan() & values.isnan())).all():  # NaN is like NaN
                tensor.data.copy_(values)


@contextmanager
def restored(restore: Callable[[], None]) -> Iterator[None]:
    """After the block `restore` runs to its end, also on errors, and where a second Ctrl-C comes while it runs."""
    try:
        yield
    finally:
        try:
            restore()
        except BaseException:
            restore()
            raise


def is_trainable(parameter: nn.Parameter) -> bool:
    """Whether a parameter is trainable for its owner, also while the module is borrowed and frozen."""
    return parameter.requires_grad or id(parameter) in _FROZEN


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside `torch.compile`, `DataParallel` or `DistributedDataParallel`, where hooks work."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return unwrapped(module.module)
    compiled = getattr(module, "_orig_mod", None)
    return unwrapped(compiled) if isinstance(compiled, nn.Module) else module
