"""Fits a checkpoint's tensors to a model: names, number of classes, input channels, and what is left over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources._shapes import class_count, first_convolution
from cnnexplain.sources._source import Variant
from cnnexplain.sources._text import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "backbone.")
MOST_READINGS = 64  # of stacked prefixes; more are made by no training script
SHOWN = 4


@dataclass(frozen=True)
class Misfit:
    """The keys that do not fit, each kind as it is shown to people."""

    total: int  # keys of the model
    fitting: int  # of them
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is any."""
        return bool(self.missing or self.unexpected or self.misshapen)

    @property
    def everything(self) -> bool:
        """Whether not one key fits."""
        return self.fitting == 0

    def __str__(self) -> str:
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.misshapen),
        )
        parts = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in kinds if keys]
        return f"of the model's {self.total} keys, {'; '.join(parts)}"


def renamed(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """`state` without the prefixes that wrappers add, where that makes more of its keys fit `module`."""
    slots = module.state_dict()
    readings = [list(state)]
    for names in readings:  # grows while it is walked
        for prefix in PREFIXES:
            stripped = [name.removeprefix(prefix) for name in names]
            distinct = len(set(stripped)) == len(stripped)
            if distinct and stripped not in readings and len(readings) < MOST_READINGS:
                readings.append(stripped)

    def fitting(names: Iterable[str]) -> int:
        pairs = zip(names, state.values(), strict=True)
        return sum(1 + (slots[name].shape == tensor.shape) for name, tensor in pairs if name in slots)

    return dict(zip(max(readings, key=fitting), state.values(), strict=True))


def fitting_variant(state: dict[str, Tensor], module: nn.Module, variant: Variant) -> Variant:
    """`variant` with the number of classes and of input channels that the checkpoint's shapes show."""
    slots = module.state_dict()
    wrong = [
        (name, tensor.shape, slots[name].shape)
        for name, tensor in state.items()
        if name in slots and tensor.shape != slots[name].shape and tensor.ndim == slots[name].ndim
    ]
    # Weights have to be as long as they say; from a bias alone, a small file could ask for a head of any size.
    classes = {
        have[0]
        for _, have, want in wrong
        if want[:1] == (class_count(module),) and have[1:] == want[1:] and len(want) > 1
    }
    stem = first_convolution(module)
    channels = {
        have[1]
        for name, have, want in wrong
        if stem and name == f"{stem[0]}.weight" and have[:1] + have[2:] == want[:1] + want[2:]
    }
    if len(classes) == 1:
        variant = replace(variant, classes=classes.pop())
    if len(channels) == 1:
        variant = replace(variant, channels=channels.pop())
    return variant


def put(state: dict[str, Tensor], module: nn.Module, unused: Sequence[str] = ()) -> Misfit:
    """Load what fits into `module`, and say what does not."""
    slots = module.state_dict()
    fitting = {
        name: tensor
        for name, tensor in state.items()
        if name in slots
        and tensor.shape == slots[name].shape
        and tensor.is_floating_point() == slots[name].is_floating_point()  # integers are no trained weights
    }
    try:
        module.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"the checkpoint's tensors cannot be copied into the model: {first_line(error)}",
            "save it again with plain tensors, in float32",
        ) from error
    return Misfit(
        total=len(slots),
        fitting=len(fitting),
        # Checkpoints from before PyTorch 0.4.1 do not count batches, and nobody who infers does.
        missing=tuple(
            name for name in slots if name not in state and not name.endswith("num_batches_tracked")
        ),
        unexpected=tuple(name for name in state if name not in slots and not name.startswith(tuple(unused))),
        misshapen=tuple(
            f"{name} {_shape(tensor)} {_kind(tensor)}, not {_shape(slots[name])} {_kind(slots[name])}"
            if _kind(tensor) != _kind(slots[name])
            else f"{name} {_shape(tensor)}, not {_shape(slots[name])}"
            for name, tensor in state.items()
            if name in slots and name not in fitting
        ),
    )


def _kind(tensor: Tensor) -> str:
    return "real" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "whole"


def _some(keys: Sequence[str]) -> str:
    shown = [printable(key[:99]) for key in keys[:SHOWN]]
    return ", ".join([*shown, "…"] if len(keys) > SHOWN else shown)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
