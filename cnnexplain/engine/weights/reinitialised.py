"""Weights drawn anew for a while, from the last layer to the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnnexplain.engine.borrow import restored
from cnnexplain.engine.weights.layers import scripted_parts

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


def backwards(model: Model, run_order: Sequence[str]) -> list[tuple[str, list[nn.Parameter]]]:
    """The parameters by the layer that they belong to, the last layer first.

    `run_order` has the names of modules in the order in which a picture leaves them. What belongs to no module that it
    meets, such as a parameter of the model itself, comes last. One that several layers share counts where it is last.
    """
    place = {name: number for number, name in enumerate(run_order)}
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.module.named_parameters():
        owner = name.rpartition(".")[0]
        while owner and owner not in place:
            owner = owner.rpartition(".")[0]
        if parameter.is_floating_point() and parameter.numel():
            layers.setdefault(owner, []).append(parameter)
    return sorted(layers.items(), key=lambda layer: -place.get(layer[0], -1))


def last_layer(model: Model) -> tuple[str, list[nn.Parameter]]:
    """The last layer that has weights, usually the classifier, and its parameters; no parameters where none has.

    Nor where the model is TorchScript, of which nobody knows what comes last.
    """
    if scripted_parts(model.module):
        return "", []
    layers = backwards(model, [layer.name for layer in model.trace.layers])
    return layers[0] if layers else ("", [])


def stages(model: Model, count: int) -> list[tuple[int, list[nn.Parameter]]]:
    """The parameters in so many parts, at most, from the last layer to the first: the last layer, then equal parts.

    With each how many layers there are until then. No part where `last_layer` finds none.
    """
    if not last_layer(model)[1]:
        return []
    every = backwards(model, [layer.name for layer in model.trace.layers])
    size = max(1, -(-(len(every) - 1) // max(1, count - 1)))
    ends = [1, *range(1 + size, len(every), size), len(every)] if len(every) > 1 else [1]
    return [
        (end, [parameter for _, parameters in every[start:end] for parameter in parameters])
        for start, end in zip((0, *ends), ends, strict=False)
    ]


@contextmanager
def reinitialised(seed: int) -> Iterator[Callable[[nn.Parameter], None]]:
    """A function that draws one parameter anew. After the block each is the very tensor it was, also on Ctrl-C.

    Kernels and matrices are drawn from a normal distribution about zero, as large as they were; biases and the
    parameters of normalisations from one with their own mean and deviation. So signals neither fade nor blow up
    more than they did.
    """
    kept: list[tuple[nn.Parameter, Tensor]] = []
    generator = torch.Generator().manual_seed(seed)

    def reinitialise(parameter: nn.Parameter) -> None:
        old = parameter.data
        values = old.cpu().double()  # Apple's GPUs have no float64
        noise = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        if old.ndim > 1:
            new = noise * values.square().mean().sqrt()
        else:
            new = values.mean() + noise * values.std(correction=0)
        kept.append((parameter, old))
        # The tensor is put aside, not written to: to give it back is one step, which cannot be half done.
        parameter.data = torch.empty_like(old).copy_(new)

    def restore() -> None:
        while kept:
            parameter, old = kept[-1]
            parameter.data = old
            kept.pop()

    with restored(restore):
        yield reinitialise
