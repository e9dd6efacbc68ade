"""How strongly a loss depends on what each layer gives back, from the first layer to the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.errors import is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


@dataclass(frozen=True, eq=False)
class Influence:
    """Of one layer: |a| |dL/da| for each picture, with a what it gives back and L the picture's loss."""

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

    def noting(name: str) -> Callable[..., None]:
        def note(_layer: nn.Module, _arguments: Any, output: Any) -> None:
            if not is_dense(output) or not output.requires_grad:
                return
            if not output.ndim or not output.numel() or len(output) % pictures:
                return  # such as an auxiliary loss, which is nothing of any one picture
            calls[name] += 1
            number = len(sizes)
            sizes.append((name if calls[name] == 1 else f"{name} #{calls[name]}", _norms(output, pictures)))

            # On the tensor and not on the module: what works in place behind the layer does not reach it.
            def arrive(gradient: Tensor) -> None:
                slopes[number] = _norms(gradient, pictures)

            output.register_hook(arrive)  # type: ignore[no-untyped-call]

        return note

    handles = []
    try:
        for name, child in model.module.named_modules():
            if name and any(one.ndim > 1 for one in child.parameters(recurse=False)):
                handles.append(child.register_forward_hook(noting(name)))
        logits = model.forward(inputs.requires_grad_().clone())
        if logits.requires_grad:
            total = loss(logits).sum()
            try:
                total.backward(inputs=[inputs])  # type: ignore[no-untyped-call]
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise model.failed_backwards(error) from error
    finally:
        for handle in handles:
            handle.remove()
    # In float64: a product of two small norms must not become nought by itself.
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
