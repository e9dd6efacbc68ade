"""The kernels of units that read the picture directly, of which colour; and which units others read by theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cnnexplain.core.records import layer_name, number, readable
from cnnexplain.engine.cost.table import layer_table
from cnnexplain.engine.weights.kernels import Weights, weighted
from cnnexplain.engine.weights.wiring import UnitLinks, Wiring
from cnnexplain.formulas.units import colour_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnexplain.engine.model import Model

COLOURED = 0.5  # the share of a kernel that is colour, from which a unit is one of colour
DIGITS = 4


def unit_kernels(model: Model, layer: str) -> dict[int, Mapping[str, Any]]:
    """What the records of a layer's units say of their kernels, by channel.

    Only the first convolution reads the picture itself; its kernels are also those of the layers behind it, a
    normalisation or a rectifier, up to the next that has weights or another map.

    Args:
        model: Is borrowed.
        layer: The name of a layer.

    Returns:
        Of every channel `kernel`, with the convolution's name and the weights (C, h, w), and `colour`: "colour" or
        "grey" by more or less than half of the kernel, None for pictures without colours and kernels of zeros. Nothing
        for other layers, and where weights are not finite.
    """
    convolution = _reading(model, layer)
    if convolution is None:
        return {}
    values = convolution.read()
    if not np.isfinite(values).all():
        return {}
    shares = colour_share(torch.from_numpy(values)).tolist() if values.shape[1] == 3 else [None] * len(values)
    return {
        channel: {
            "kernel": {"layer": layer_name(convolution.name), "weights": _plain(kernel)},
            "colour": _kind(share),
        }
        for channel, (kernel, share) in enumerate(zip(values, shares, strict=True))
    }


def unit_links(model: Model, layers: Sequence[str]) -> dict[str, Callable[[int], dict[str, Any]]]:
    """What the records of units say of those that they read, and that read them, by layer.

    Args:
        model: Is borrowed.
        layers: Names of layers.

    Returns:
        By layer what gives for a channel the keys of its record: `inputs` and `outputs` where convolutions were found,
        and `wiring`, in words. Nothing for models whose layers have no graph that is small enough.
    """
    graph = layer_table(model).graph
    if graph is None:
        return {}
    wiring = Wiring(model, graph, layers)
    return {layer: _Wired(wiring.inputs(layer), wiring.outputs(layer)).record for layer in layers}


@dataclass(frozen=True)
class _Wired:
    """What the units of a layer read, and what reads them."""

    inputs: UnitLinks
    outputs: UnitLinks

    def record(self, channel: int) -> dict[str, Any]:
        both = {"inputs": self.inputs, "outputs": self.outputs}
        linked = {
            key: [
                {
                    "layer": layer_name(link.layer),
                    "channel": link.channel,
                    "weight": number(float(f"{link.weight:.6g}"), "a weight"),
                }
                for link in links.units[channel]
            ]
            for key, links in both.items()
            if channel in links.units
        }
        return {**linked, "wiring": {key: readable(links.says) for key, links in both.items()}}


def _kind(share: float | None) -> str | None:
    if share is None or math.isnan(share):  # of a kernel of zeros
        return None
    return "colour" if share > COLOURED else "grey"


def _reading(model: Model, layer: str) -> Weights | None:
    """The convolution that reads the picture, where the layer is that or stands directly behind it."""
    held = {weights.name: weights for weights in weighted(model)}
    channels = model.preprocess.channels
    first = None
    for traced in model.trace.layers:
        own = held.get(traced.name)
        if first is None:
            if own is None:
                continue
            readable = own.problem is None and own.convolution and not own.transposed
            if not (readable and own.groups == 1 and own.inputs == channels and len(own.kernel) == 2):
                return None
            first, shape = own, traced.shape
        elif own is not None or traced.shape != shape:
            return None
        if traced.name == layer:
            return first if channels in (1, 3) else None
    return None


def _plain(kernel: NDArray[Any]) -> list[Any]:
    plain: list[Any] = kernel.astype(float).round(DIGITS).tolist()
    return plain
