"""Whether what arrives at batch normalisations is what their statistics say, and whose weights are exchanged if not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnexplain.engine.hooks import hooked

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model
STATISTICS = ("running_mean", "running_var")
LIVING = 1e-3  # of the median variance: channels with less hardly ever vary


def running_statistics(model: Model) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, running mean (C,) and running variance (C,) of every layer that has them, torch's own and others'."""
    for name, child in model.module.named_modules():
        mean, variance = child._buffers.get("running_mean"), child._buffers.get("running_var")
        if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
            continue
        odd = mean.is_meta or mean.is_quantized or mean.ndim != 1 or not mean.numel()
        if odd or mean.shape != variance.shape:
            continue
        yield name or type(child).__name__, mean.detach().float(), variance.detach().float()


def mismatches(model: Model, inputs: Tensor) -> dict[str, float]:
    """By batch normalisation, in order: how far the mean of what arrives lies from its running mean.

    In standard deviations (its running ones), the root mean square over the channels that vary. Costs one forward pass
    of `inputs` (N, C, H, W), without gradients. Leaves no hook behind.
    """
    distances: dict[str, float] = {}

    def look(name: str, norm: nn.Module, arguments: tuple[Any, ...]) -> None:
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        values = arguments[0] if arguments else None
        name = name or type(norm).__name__
        if not isinstance(values, Tensor) or values.shape[1:2] != mean.shape or name in distances:
            return
        varying = living(norm)
        if bool(varying.any()):
            away = (values.float().mean(other_axes(values)) - mean)[varying].square() / variance[varying]
            distances[name] = float(away.mean().sqrt())

    with hooked(norms(model.module), before=look), torch.no_grad():
        model.forward(inputs)
    return distances


def norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers that keep a running mean and variance, as batch normalisations do, by name."""
    return [(name, child) for name, child in module.named_modules() if keeps_statistics(child)]


def keeps_statistics(layer: nn.Module) -> bool:
    """Whether a layer keeps a running mean and variance, as batch normalisations do."""
    return all(isinstance(layer._buffers.get(name), Tensor) for name in STATISTICS)


def other_axes(values: Tensor) -> tuple[int, ...]:
    """The axes of (N, C, ...) that are not the channels."""
    return tuple(axis for axis in range(values.ndim) if axis != 1)


def living(norm: nn.Module) -> Tensor:
    """Which channels of a layer that keeps statistics vary (C,)."""
    variance = norm.get_buffer("running_var")
    return variance > LIVING * variance.median()


def alike(module: nn.Module) -> list[tuple[tuple[str, nn.Module], tuple[str, nn.Module]]]:
    """Every two layers of the same kind whose weights have the same shape, those that are nearest first."""
    groups: dict[tuple[Any, ...], list[tuple[int, str, nn.Module]]] = {}
    for place, (name, child) in enumerate(module.named_modules()):
        weight = child._parameters.get("weight")
        if weight is not None and weight.ndim > 1 and not weight.is_meta:
            bias = child._parameters.get("bias")
            key = (type(child), weight.shape, weight.dtype, None if bias is None else bias.shape)
            groups.setdefault(key, []).append((place, name, child))
    pairs = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    pairs.sort(key=lambda pair: pair[1][0] - pair[0][0])
    return [
        (first[1:], second[1:])
        for first, second in pairs
        if first[2]._parameters["weight"] is not second[2]._parameters["weight"]
    ]


@contextmanager
def exchanged(layer: nn.Module, other: nn.Module) -> Iterator[None]:
    """Inside the block each layer has what the other holds; after it each has its own, also on errors.

    Weights and biases, and of batch normalisations the statistics too.
    """
    first, second = _held(layer), _held(other)
    pairs = [(mine, second[name]) for name, mine in first.items() if name in second]
    kept = [(tensor, tensor.data) for pair in pairs for tensor in pair]
    try:
        for mine, theirs in pairs:
            mine.data, theirs.data = theirs.data, mine.data
        yield
    finally:
        for tensor, values in kept:
            tensor.data = values


def _held(layer: nn.Module) -> dict[str, Tensor]:
    held = {**layer._parameters, **layer._buffers}
    return {
        name: tensor for name in ("weight", "bias", *STATISTICS) if (tensor := held.get(name)) is not None
    }
