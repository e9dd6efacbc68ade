"""Filters whose weights are next to nothing beside those of their layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnexplain.core.results.kernels import DEAD
from cnnexplain.engine.weights.kernels import Weights


def dead_filters(layer: Weights) -> int | None:
    """How many filters have a norm of at most `DEAD` times the root mean square of the layer's norms, as in `filters`.

    None where the weights are not plain numbers. Nothing is copied. Call it inside `borrowed()`.
    """
    if layer.problem is not None:
        return None
    with torch.no_grad():
        tensor = getattr(layer.module, layer.attribute, None)
        if not isinstance(tensor, Tensor) or type(tensor) not in (Tensor, nn.Parameter):
            return None
        plain = tensor.layout is torch.strided and tensor.is_floating_point() and tensor.dim() > 1
        if not plain or tensor.device.type == "meta":
            return None
        over = tuple(range(1, tensor.dim()))
        if layer.transposed:  # (C, K / groups, ...), the rows in groups
            tensor = tensor.reshape(layer.groups, -1, *tensor.shape[1:])
            over = (1, *range(3, tensor.dim()))
        norms = torch.linalg.vector_norm(tensor.detach(), dim=over, dtype=torch.float64).flatten()
        sound = norms[norms.isfinite()]
        if not sound.numel():
            return 0
        return int((sound <= DEAD * sound.square().mean().sqrt()).sum())
