"""Fits a checkpoint's tensors to a model: names, number of classes, input channels, and the keys left over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.core.words import printable
from cnnexplain.errors import ModelError, first_line
from cnnexplain.sources._keys import Reading
from cnnexplain.sources._names import for_training
from cnnexplain.sources._renames import State
from cnnexplain.sources._shapes import first_convolution

if TYPE_CHECKING:
    from torch import Tensor, nn

SHOWN = 4
MOST_SIZES = 3  # numbers of classes that are tried


@dataclass(frozen=True)
class Misfit:
    """The keys that do not fit, each kind as it is shown to people."""

    total: int  # keys of the model
    fitting: int  # of them
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    unneeded: tuple[str, ...] = ()  # the model's keys that only training needs, and the file lacks
    foreign: int = 0  # of the unexpected ones, those that look like layers of another network

    @property
    def anything(self) -> bool:
        """Whether the model or the file has layers that the other lacks."""
        return bool(self.missing or self.foreign or self.misshapen)

    @property
    def everything(self) -> bool:
        """Whether no key fits at all."""
        return self.fitting == 0

    @property
    def left_out(self) -> str:
        """The file's keys that the model has no place for, and does not need."""
        return _abbreviated(self.unexpected)

    @property
    def left_as_made(self) -> str:
        """The model's keys that the file has no values for, and that need none."""
        return _abbreviated(self.unneeded)

    def __str__(self) -> str:
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.misshapen),
        )
        parts = [f"{len(keys)} {kind} ({_abbreviated(keys)})" for kind, keys in kinds if keys]
        return f"of the model's {self.total} keys, {'; '.join(parts)}"


def head_sizes(state: State, module: nn.Module, probe: Callable[[int], nn.Module]) -> list[int]:
    """The numbers of classes that the checkpoint's heads have, where they are not those of `module`.

    `probe` builds the network for a number of classes: heads are the layers whose shape changes with it.
    """
    slots = module.state_dict()
    # Weights have to be as long as they say; from a bias alone, a small file could ask for a head of any size.
    longer = [
        name
        for name, tensor in state.items()
        if tensor.ndim == slots[name].ndim > 1
        and tensor.shape[1:] == slots[name].shape[1:]
        and tensor.shape[0] != slots[name].shape[0]
    ]
    if not longer:
        return []
    resized = probe(2 if slots[longer[0]].shape[0] != 2 else 3).state_dict()
    heads = [name for name in longer if name not in resized or resized[name].shape[0] != slots[name].shape[0]]
    return list(dict.fromkeys(state[name].shape[0] for name in reversed(heads)))[:MOST_SIZES]


def channels_of(state: State, module: nn.Module) -> int | None:
    """The input channels that the checkpoint's first convolution has, where they are not those of `module`."""
    stem = first_convolution(module)
    if stem is None or f"{stem[0]}.weight" not in state:
        return None
    have, want = state[f"{stem[0]}.weight"].shape, stem[1].weight.shape
    fits = len(have) == len(want) and have[:1] + have[2:] == want[:1] + want[2:]
    return have[1] if fits and have != want else None


def put(reading: Reading, module: nn.Module, unused: Sequence[str] = ()) -> Misfit:
    """Load the tensors that fit into `module`; returns the keys that do not."""
    slots = module.state_dict()
    state = {name: _counting(tensor, slots[name], name) for name, tensor in reading.placed.items()}
    fitting = {
        name: tensor
        for name, tensor in state.items()
        if tensor.shape == slots[name].shape
        and tensor.is_floating_point() == slots[name].is_floating_point()  # integers are no trained weights
    }
    try:
        module.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"the checkpoint's tensors cannot be copied into the model: {first_line(error)}",
            "save it again with plain tensors, in float32",
        ) from error
    foreign = {name for name in reading.foreign(slots) if not name.startswith(tuple(unused))}
    return Misfit(
        total=len(slots),
        fitting=len(fitting),
        missing=reading.missing(slots),
        unneeded=tuple(name for name in slots if name not in state and for_training(name)),
        unexpected=tuple(name for name in reading.left if not name.startswith(tuple(unused))),
        foreign=len(foreign),
        misshapen=tuple(
            f"{name} {_shape(tensor)} {_kind(tensor)}, not {_shape(slots[name])} {_kind(slots[name])}"
            if _kind(tensor) != _kind(slots[name])
            else f"{name} {_shape(tensor)}, not {_shape(slots[name])}"
            for name, tensor in state.items()
            if name not in fitting
        ),
    )


def _counting(tensor: Tensor, slot: Tensor, name: str) -> Tensor:
    """A counter of batches as the model has it, whatever half precision or another library made of it."""
    if name.endswith("num_batches_tracked") and tensor.numel() == slot.numel():
        return tensor.reshape(slot.shape).to(slot.dtype)
    return tensor


def _kind(tensor: Tensor) -> str:
    return "real" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "whole"


def _abbreviated(keys: Sequence[str]) -> str:
    names = [printable(key[:99]) for key in keys[:SHOWN]]
    return ", ".join([*names, "…"] if len(keys) > SHOWN else names)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
