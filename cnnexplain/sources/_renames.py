"""Changes of keys between a checkpoint and a model of two versions, or of two libraries."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from cnnexplain.sources._names import for_training

if TYPE_CHECKING:
    from torch import Tensor, nn

State = dict[str, "Tensor"]
Rename = tuple[str, Callable[[State], State]]  # in words, and the change

DEEPEST = 12  # components of a prefix
# Additions of wrappers within a name: torch.compile, FSDP, checkpointed activations.
WRAPPED = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Every name by its form without the additions of wrappers of single layers; two names never become the same."""
    names = list(names)
    clean = {WRAPPED.sub("", name): name for name in names}
    return clean if len(clean) == len(names) else dict(zip(names, names, strict=True))


def prefixes(name: str) -> Iterator[str]:
    """Nothing, `a.` and `a.b.`, of `a.b.c`."""
    yield ""
    place = -1
    for _ in range(DEEPEST):
        place = name.find(".", place + 1)
        if place < 0:
            return
        yield name[: place + 1]


def timm_filters(network: nn.Module) -> Iterator[Rename]:
    """The changes that timm makes when it loads a file of an earlier version, or of a network's authors."""
    for kind in type(network).__mro__:
        if kind.__module__.startswith("timm.models."):
            for name in FILTERS:
                if change := getattr(sys.modules[kind.__module__], name, None):
                    yield f"names as timm changes those of its {kind.__name__}", _filtering(change, network)
            return


def _filtering(change: Callable[..., State], network: nn.Module) -> Callable[[State], State]:
    """timm's `change` of the network's own keys, which it wants without any prefix."""

    def rename(state: State) -> State:
        own = {name: tensor for name, tensor in state.items() if not for_training(name)}
        shared = _shared_prefix(own)
        bare = {name[len(shared) :]: tensor for name, tensor in own.items()}
        others = {name: tensor for name, tensor in state.items() if name not in own}
        takes = len(inspect.signature(change).parameters)
        return {**others, **(change(bare, network) if takes > 1 else change(bare))}

    return rename


def _shared_prefix(state: State) -> str:
    """The components that all keys begin with."""
    first = next(iter(state), "")
    return max(
        (prefix for prefix in prefixes(first) if all(name.startswith(prefix) for name in state)), key=len
    )


def _named(*patterns: tuple[str, str]) -> Callable[[State], State]:
    """A change of names by patterns; two keys never become the same."""

    def rename(state: State) -> State:
        changed: State = {}
        for name, tensor in state.items():
            new = name
            for pattern, replacement in patterns:
                new = re.sub(pattern, replacement, new)
            changed[name if new in state or new in changed else new] = tensor
        return changed

    return rename


def _multiplied_out(state: State) -> State:
    """Weights from length g and direction v, for a model whose weight norm was removed: g v / |v|.

    Layers that share both in the file share the weight. Raises `ValueError` where the weights would have more numbers
    than the file: overlapping tensors, which a small file can hold any number of.
    """
    import torch

    changed = dict(state)
    weights: dict[tuple[object, ...], Tensor] = {}  # by their two factors
    budget = _numbers(state.values())
    for name, length in state.items():
        layer = re.sub(r"(weight_g|parametrizations\.weight\.original0)$", "", name)
        kinds = [f"{layer}weight_v", f"{layer}parametrizations.weight.original1"]
        direction = next((state[key] for key in kinds if key in state), None)
        if layer == name or direction is None or length.ndim != direction.ndim:
            continue
        if any(size not in (1, full) for size, full in zip(length.shape, direction.shape, strict=True)):
            continue  # no length of this direction: multiplied, the two could be larger than both
        factors = (_place(length), _place(direction))
        if factors not in weights:
            budget -= direction.numel()
            if budget < 0:
                raise ValueError("its tensors overlap: multiplied out they would be larger than the file")
            axes = [axis for axis, size in enumerate(length.shape) if size == 1]
            norm = torch.linalg.vector_norm(direction.float(), dim=axes, keepdim=True)
            weights[factors] = length.float() * direction.float() / norm
        changed[f"{layer}weight"] = weights[factors]
        for key in (name, *kinds):
            changed.pop(key, None)
    return changed


def _place(tensor: Tensor) -> tuple[object, ...]:
    """A key that two tensors share only if they hold the same numbers in memory."""
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _numbers(tensors: Iterable[Tensor]) -> int:
    """How many numbers there are in the storages of tensors, shared ones counted once."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() // tensor.element_size()
        for tensor in tensors
    }
    return sum(storages.values())


RENAMES: tuple[Rename, ...] = (
    (
        "norm.1 as norm1 and so on, as DenseNet was saved before PyTorch 0.4",
        _named((r"\.(norm|relu|conv)\.([12])\.", r".\1\2.")),
    ),
    (
        "weight_g and weight_v as parametrizations of weight",
        _named(
            (r"(^|\.)weight_g$", r"\1parametrizations.weight.original0"),
            (r"(^|\.)weight_v$", r"\1parametrizations.weight.original1"),
        ),
    ),
    (
        "parametrizations of weight as weight_g and weight_v",
        _named(
            (r"parametrizations\.weight\.original0$", "weight_g"),
            (r"parametrizations\.weight\.original1$", "weight_v"),
        ),
    ),
    (
        "weight_orig, weight_u and weight_v as parametrizations of weight",
        _named(
            (r"(^|\.)weight_orig$", r"\1parametrizations.weight.original"),
            (r"(^|\.)weight_([uv])$", r"\1parametrizations.weight.0._\2"),
        ),
    ),
    (
        "parametrizations of weight as weight_orig, weight_u and weight_v",
        _named(
            (r"parametrizations\.weight\.original$", "weight_orig"),
            (r"parametrizations\.weight\.0\._([uv])$", r"weight_\1"),
        ),
    ),
    ("weights multiplied out of their weight norm", _multiplied_out),
)
