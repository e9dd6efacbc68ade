"""What can be said of a module's weights without running it."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def broken(module: nn.Module) -> list[str]:
    """The names of parameters that are NaN or infinite somewhere, and of buffers that are NaN."""
    return [
        *(name for name, one in module.named_parameters() if not bool(one.isfinite().all())),
        *(name for name, one in module.named_buffers() if bool(one.isnan().any())),
    ]
