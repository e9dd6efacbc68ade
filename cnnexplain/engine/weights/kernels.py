"""The weights of a module's layers as NumPy arrays, a row a filter, however the layer keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from cnnexplain.engine.trace.layers import Layer
from cnnexplain.engine.trace.names import find
from cnnexplain.errors import LayerError, first_line

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

UNSETTLED = (UninitializedParameter, UninitializedBuffer)
NAMES = ("weight", "in_proj_weight")  # the second is that of attention, for queries, keys and values


@dataclass(frozen=True)
class Weights:
    """One layer with filters: where it is, and how its weights lie."""

    name: str
    kind: str
    module: nn.Module
    attribute: str
    convolution: bool
    transposed: bool
    groups: int
    shape: tuple[int, ...] | None  # as the layer keeps them; None where that is not settled yet
    problem: str | None  # why they cannot be read
    twin: str | None  # the first layer that has the very same weights

    @property
    def inputs(self) -> int | None:
        """How many channels the layer takes; None where that is not settled yet."""
        if self.shape is None:
            return None
        return self.shape[0] if self.transposed else self.shape[1] * self.groups

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sides of a kernel: none for a linear layer."""
        return self.shape[2:] if self.shape is not None else ()

    def read(self) -> NDArray[np.float32]:
        """The weights (K, C, ...), a copy. Call it inside `borrowed()`: reading may compute them."""
        if self.problem:
            raise self._unreadable(self.problem)
        with torch.no_grad():
            try:
                values = self._dense()
            except Exception as error:
                raise self._unreadable(first_line(error)) from error
        if self.transposed:  # (C, K / groups, ...), the rows in groups
            groups, sides = self.groups, values.shape[2:]
            apart = values.reshape(groups, -1, *values.shape[1:]).swapaxes(1, 2)
            values = apart.reshape(-1, values.shape[0] // groups, *sides)
        return np.array(values, np.float32, order="C")

    def bias(self) -> NDArray[np.float32] | None:
        """The layer's biases, where it has some that can be read as numbers."""
        bias = _held(self.module, "in_proj_bias" if self.attribute == "in_proj_weight" else "bias")
        if bias is None or isinstance(bias, UNSETTLED) or _problem(bias) or not bias.is_floating_point():
            return None
        values: NDArray[np.float32] = bias.detach().to("cpu", torch.float32).numpy()
        return values

    def _unreadable(self, why: str) -> LayerError:
        return LayerError(
            f"the weights of layer {self.name!r} cannot be shown: {why}",
            "name another layer with --layer",
        )

    def _dense(self) -> NDArray[np.float32]:
        tensor = _recomputed(self.module)
        if tensor is None:
            tensor = _held(self.module, self.attribute)
        if tensor is None:
            raise LookupError("they are gone")
        if tensor.is_quantized or type(tensor) not in (Tensor, nn.Parameter):
            tensor = tensor.dequantize()  # also of tensors that pack their values, as torchao's
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        values: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
        return values


def weighted(model: Model) -> list[Weights]:
    """Every layer with filters, in the order in which the module holds them; what normalises has none."""
    module = model.module
    layers: list[Weights] = []
    holders: dict[int, str] = {}  # what is computed anew for every look has no lasting identity
    lasting = {id(parameter) for parameter in module.parameters()}
    for name, child in module.named_modules():
        if ".parametrizations." in f".{name}." or hasattr(child, "normalized_shape"):
            continue
        if isinstance(child, (nn.RNNBase, nn.RNNCellBase)):
            layers.append(_recurrent(name, child))
        for attribute in NAMES:
            tensor = _held(child, attribute)
            if tensor is None:
                continue
            shape = None if isinstance(tensor, UNSETTLED) else tuple(map(int, tensor.shape))
            if shape is not None and (len(shape) < 2 or 0 in shape):
                continue
            kind = str(getattr(child, "original_name", type(child).__name__))
            convolution = hasattr(child, "kernel_size") and hasattr(child, "stride")
            # A model may be one layer, which has no name then.
            called = name or kind
            known = id(tensor) in lasting
            twin = holders.setdefault(id(tensor), called) if known else called
            layers.append(
                Weights(
                    called,
                    kind,
                    child,
                    attribute,
                    convolution,
                    transposed=convolution and bool(getattr(child, "transposed", "Transpose" in kind)),
                    groups=int(getattr(child, "groups", 1)) if convolution else 1,
                    shape=shape,
                    problem=_problem(tensor),
                    twin=twin if twin != called else None,
                )
            )
    return layers


def within(model: Model, layers: Sequence[Weights], word: str) -> tuple[list[str], str]:
    """The names of those `layers` that are in the layer or block that a user named, and the kind of that.

    Raises:
        LayerError: There is no such layer.
    """
    name, module = find(model.module, word)
    inside = [
        layer.name
        for layer in layers
        if layer.module is module or layer.name == name or layer.name.startswith(f"{name}.")
    ]
    return inside, type(module).__name__


def is_single_layer(model: Model, layer: Weights) -> bool:
    """Whether the model is nothing but that layer."""
    return layer.module is model.module


def outermost(model: Model) -> list[str]:
    """The names of the layers and blocks that the model itself holds."""
    return [name for name, _ in model.module.named_children()]


def reading(layers: Sequence[Weights], channels: int) -> tuple[str, str]:
    """The layer that reads the picture, so far as that can be told without running the model; and the reason."""
    layers = [layer for layer in layers if layer.problem is None] or layers
    convolutions = [layer for layer in layers if layer.convolution]
    first = [layer for layer in convolutions if layer.inputs == channels]
    wide = [layer for layer in first if prod(layer.kernel) > 1]
    if candidates := wide or first:
        colours = f"{channels} channels" if channels > 1 else "one channel"
        return candidates[0].name, f"the first that reads the picture's {colours}"
    if convolutions:
        return convolutions[0].name, "the first convolution"
    return layers[0].name, "the first layer with weights"


def map_before(
    layers: Sequence[Layer], name: str, inputs: int, picture: tuple[int, int, int]
) -> tuple[int, int, int] | None:
    """The map (C, h, w) that was flattened, channel by channel, into the inputs of a linear layer, where one was.

    `picture` is the shape of the model's input, for a layer that nothing comes before.
    """
    names = [layer.name for layer in layers]
    if name not in names:
        return None
    for layer in reversed(layers[: names.index(name)]):
        if layer.shape == (inputs,):
            continue  # already flat
        channels_first = layer.map is not None and layer.shape == layer.map
        before = layer.map if channels_first else None
        break
    else:
        before = picture
    if before is None or before[0] * before[1] * before[2] != inputs or before[1] * before[2] == 1:
        return None
    return before


def _held(module: nn.Module, attribute: str) -> Tensor | None:
    """A module's weights: a parameter, what is computed of parameters, or, in quantised ones, what a call returns."""
    try:
        held: Any = getattr(module, attribute, None)
        if callable(held) and not isinstance(held, (Tensor, nn.Module)):
            held = held()
    except Exception:  # noqa: BLE001 a stranger's property
        return None
    return held if isinstance(held, Tensor) and not held.is_nested else None


def _recurrent(name: str, child: nn.Module) -> Weights:
    """A layer that is told of, and not shown."""
    kind = type(child).__name__
    shape = tuple(next(child.parameters()).shape)
    problem = "a recurrent layer has several matrices, which are no filters"
    return Weights(name or kind, kind, child, "", False, False, 1, shape, problem, None)


def _problem(tensor: Tensor) -> str | None:
    if isinstance(tensor, UNSETTLED):
        return "they do not exist before the first input, which settles their shape"
    if tensor.is_meta:
        return "they hold no values (device meta)"
    if tensor.is_complex():
        return "they are complex numbers"
    return None


def _recomputed(module: nn.Module) -> Tensor | None:
    """What the hooks of `torch.nn.utils.weight_norm` and `spectral_norm` would put in place before a pass."""
    hook: Any
    for hook in module._forward_pre_hooks.values():
        kind = f"{type(hook).__module__}.{type(hook).__name__}"
        if getattr(hook, "name", None) != "weight":
            continue
        if kind == "torch.nn.utils.weight_norm.WeightNorm":
            return cast("Tensor", hook.compute_weight(module))
        if kind == "torch.nn.utils.spectral_norm.SpectralNorm":
            return cast("Tensor", hook.compute_weight(module, do_power_iteration=False))
    return None
