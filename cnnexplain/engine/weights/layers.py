"""What can be said of a module's weights without running it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

SUMMED = frozenset(
    (torch.float32, torch.float64, torch.float16, torch.bfloat16)
)  # others cannot all be summed


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        if is_lazy(tensor):
            digest.update(f"{name} {tensor.dtype}, not there yet\n".encode("utf-8", "surrogatepass"))
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode("utf-8", "surrogatepass"))
        if not is_plain(tensor):
            digest.update(repr(tensor).encode())
            continue
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def broken(model: Model) -> list[str]:
    """The names of parameters that are NaN or infinite somewhere, and of buffers that are NaN."""
    module = model.module
    return [
        *(name for name, weight in module.named_parameters() if is_plain(weight) and not is_finite(weight)),
        *(name for name, buffer in module.named_buffers() if is_plain(buffer) and bool(buffer.isnan().any())),
    ]


def tensors(model: Model) -> int:
    """How many tensors the weights and buffers of a model are."""
    return sum(1 for _ in (*model.module.parameters(), *model.module.buffers()))


def values(model: Model) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The name and the values, float32, of every dense parameter of floating point."""
    for name, parameter in model.module.named_parameters():
        if parameter.is_floating_point() and parameter.layout is torch.strided and not is_lazy(parameter):
            yield name, parameter.detach().float().cpu().numpy()


def scripted_parts(module: nn.Module) -> list[str]:
    """The names of the outermost parts of a module that are TorchScript; the empty one where all of it is."""
    scripted = [name for name, child in module.named_modules() if isinstance(child, torch.jit.ScriptModule)]
    if "" in scripted:
        return [""]
    return [name for name in scripted if not any(name.startswith(f"{other}.") for other in scripted)]


def require_open(model: Model) -> None:
    """Raise `ModelError` for a model that is TorchScript, or a part of it: nobody can look at what happens there."""
    parts = scripted_parts(model.module)
    if parts == [""]:
        raise ModelError(
            f"{model.name} is TorchScript, whose layers cannot be looked into",
            "give the Python model that it was made from; cnnexplain occlusion asks for scores alone",
        )
    if parts:
        more = f" (and {len(parts) - 1} more)" if len(parts) > 1 else ""
        raise ModelError(
            f"the part {parts[0]!r}{more} of {model.name} is TorchScript, whose code cannot be looked into",
            "put the Python module that it was made from in its place, without torch.jit.script or torch.jit.trace; "
            "cnnexplain occlusion asks for scores alone",
        )


def require_plain(module: nn.Module, model_name: str) -> None:
    """Raise `ModelError` for a module that has no weights yet, or whose weights bar gradients."""
    tensors = (*module.parameters(), *module.buffers())
    if any(is_lazy(tensor) for tensor in tensors):
        raise ModelError(
            f"{model_name} has layers that get their weights from the first picture",
            "send one through it before, or load its weights",
        )
    if any(tensor.is_inference() for tensor in tensors):
        raise ModelError(
            f"{model_name} was made under torch.inference_mode(), which bars gradients for good",
            "make it outside, or under torch.no_grad()",
        )


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor holds one number a place, as sparse, quantised, nested, meta and lazy tensors do not."""
    odd = is_lazy(tensor) or tensor.is_quantized or tensor.is_nested or tensor.is_meta
    return tensor.layout is torch.strided and not odd


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite. Their sum takes a single pass, and is finite only if they are; it may overflow."""
    return (tensor.dtype in SUMMED and bool(tensor.sum().isfinite())) or bool(tensor.isfinite().all())


def require_finite(model: Model) -> None:
    """Raise `ModelError` when a weight is NaN or infinite, or a buffer NaN (masks may be infinite)."""
    bad = broken(model)
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise ModelError(
            f"{model.name} holds NaN or infinite weights, in {bad[0]!r}{more}",
            "train or export the model again; a checkpoint from before the loss became NaN may do",
        )
