"""How strongly a loss depends on what each layer gives back, from the first layer to the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnexplain.core.words import run_name
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.errors import is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


@dataclass(frozen=True, eq=False)
class Influence:
    """The influence |a| |dL/da| of one layer's output a on the loss L of each picture."""

    layer: str
    values: Tensor  # (N,), float64, on the CPU


def influences(model: Model, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> list[Influence]:
    """The influence of every layer with a matrix or kernel, in the order in which the pictures meet them.

    `loss` makes (N,) losses of logits (N, K). The product of the two norms is how much the loss changes at most, to
    first order, when the layer's output changes by a share of itself; so it does not depend on the unit in which a
    layer reckons. Layers that the loss does not depend on are left out. Raises `ModelError` for what a gradient raised
    on its way back. Leaves no hook behind.
    """
    sizes: list[tuple[str, Tensor]] = []
    slopes: dict[int, Tensor] = {}
    calls: Counter[str] = Counter()
    pictures = len(inputs)

    def arrive(number: int, gradient: Tensor) -> None:
        slopes[number] = _norms(gradient, pictures)

    def note(name: str, _layer: nn.Module, _arguments: Any, output: Any) -> None:
        if not is_dense(output) or not output.requires_grad:
            return
        if not output.ndim or not output.numel() or len(output) % pictures:
            return  # such as an auxiliary loss, which belongs to no single picture
        calls[name] += 1
        # On the tensor and not on the module: what works in place behind the layer does not reach it.
        output.register_hook(partial(arrive, len(sizes)))  # type: ignore[no-untyped-call]
        sizes.append((run_name(name, calls[name]), _norms(output, pictures)))

    layers = [
        (name, layer)
        for name, layer in submodules(model.module)
        if any(weight.ndim > 1 for weight in layer.parameters(recurse=False))
    ]
    with hooked(layers, after=note):
        logits = model.forward(inputs.requires_grad_().clone())
        if logits.requires_grad:
            total = loss(logits).sum()
            try:
                total.backward(inputs=[inputs])  # type: ignore[no-untyped-call]
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise model.failed_backwards(error) from error
    # In float64: a product of two small norms must not become zero by rounding.
    return [
        Influence(name, size * slopes[number])
        for number, (name, size) in enumerate(sizes)
        if number in slopes
    ]


def _norms(values: Tensor, pictures: int) -> Tensor:
    # On the CPU: Apple's GPUs have no float64.
    flat = values.detach().reshape(pictures, -1).cpu().double()
    norms: Tensor = torch.linalg.vector_norm(flat, dim=1)
    return norms
