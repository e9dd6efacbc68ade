"""A user's module, used for a while and given back exactly as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

# One thread at a time has a module, whatever it is a part of: two would restore each other's changes.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()
_FROZEN: set[int] = set()  # the parameters of borrowed modules that are trainable otherwise, by identity


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
            with torch.inference_mode(False), torch.enable_grad():
                yield
        finally:
            torch.backends.cudnn.allow_tf32 = rounded
            for child, mode in modes:
                child.training = mode
            for parameter in frozen:
                parameter.requires_grad = True
                _FROZEN.discard(id(parameter))


def is_trainable(parameter: nn.Parameter) -> bool:
    """Whether it is for its owner, who may have lent the module for the while."""
    return parameter.requires_grad or id(parameter) in _FROZEN


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside `torch.compile`, `DataParallel` or `DistributedDataParallel`, where hooks work."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return unwrapped(module.module)
    compiled = getattr(module, "_orig_mod", None)
    return unwrapped(compiled) if isinstance(compiled, nn.Module) else module
