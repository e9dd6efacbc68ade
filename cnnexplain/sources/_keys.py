"""Reads the keys of a checkpoint as those of a model, whatever prefixes wrappers have left in either."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnexplain.core.words import printable
from cnnexplain.errors import first_line, is_out_of_memory
from cnnexplain.sources._names import for_training
from cnnexplain.sources._renames import RENAMES, State, prefixes, timm_filters, unwrapped

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_PLACES = 32  # prefixes that are looked at closely
# Averages of weights, and networks that follow another network, which the file holds as well.
AVERAGED = re.compile(r"ema|averag|swa|teacher|momentum|shadow|target|encoder_k", re.IGNORECASE)
# Beside the network: copies of it whose keys are written otherwise, and heads that only training looks at.
BESIDE = re.compile(
    r"model_ema|ema_model|state_dict_ema|(\w+_)?teacher(_\w+)?|queue|aux\d*|aux_\w+|auxiliary\w*|auxlogits",
    re.IGNORECASE,
)
METRIC = re.compile(r"(\w+_)?metrics?", re.IGNORECASE)
LAYER = frozenset({"weight", "bias", "gamma", "beta", "alpha"})  # names of tensors that make layers


@dataclass(frozen=True)
class Reading:
    """The tensors of a state dict by the names that the model has for them."""

    placed: State  # by the model's keys, of whatever shape
    left: State  # by the file's keys
    score: int  # how well they fit: the number of keys, and once more of those of the right shape
    prefix: str = ""  # the beginning of the file's keys that the model's lack
    root: str = ""  # the beginning of the model's keys that the file's lack
    copies: tuple[str, ...] = ()  # prefixes of other copies of the network in the file
    changes: tuple[str, ...] = ()  # the changes of keys that were made, in words
    failed: tuple[str, ...] = ()  # changes of names that could not be made, and why

    def missing(self, slots: Mapping[str, Tensor]) -> tuple[str, ...]:
        """The model's keys that have no tensor, of those that take part when it looks at a picture."""
        # Checkpoints from before PyTorch 0.4.1 do not count batches, and nobody who infers does.
        return tuple(
            name
            for name in slots
            if name not in self.placed and not name.endswith("num_batches_tracked") and not for_training(name)
        )

    def foreign(self, slots: Mapping[str, Tensor]) -> tuple[str, ...]:
        """The file's keys that are left over and look like layers of another network, not like training's."""
        within = {name.removeprefix(self.root).partition(".")[0] for name in unwrapped(slots)}
        layers: dict[str, set[str]] = {}
        for name in self.left:
            layer, _, kind = name.rpartition(".")
            layers.setdefault(layer, set()).add(kind)
        return tuple(
            name
            for name, tensor in self.left.items()
            if self._is_foreign(name, tensor, within, layers[name.rpartition(".")[0]])
        )

    def _is_foreign(self, name: str, tensor: Tensor, within: set[str], kinds: set[str]) -> bool:
        top, dot, _ = name.removeprefix(self.prefix).partition(".")
        last = name.rpartition(".")[2]
        if for_training(name) or BESIDE.fullmatch(top):
            return False
        if last in LAYER or "running_mean" in kinds or {"weight", "bias"} <= kinds:
            return True
        if not tensor.is_floating_point() or any(METRIC.fullmatch(part) for part in name.split(".")):
            return False  # counters and indices
        inside = bool(dot) and top in within and name.startswith(self.prefix)
        return inside or sum(size > 1 for size in tensor.shape) > 1


def read(state: State, module: nn.Module) -> Reading:
    """The best reading of `state` for `module`: as it is, under a prefix, or in the words of another version."""
    tensors = module.state_dict()
    real = unwrapped(tensors)
    slots = {name: tensors[slot] for name, slot in real.items()}
    state = {name: state[key] for name, key in unwrapped(state).items()}
    best = _placed(state, slots)
    for change, rename in (*RENAMES, *timm_filters(_network(module, best, real))):
        if not best.missing(slots) or len(state) * 3 < len(slots):  # an optimizer's, or a list of numbers
            break
        try:
            renamed_state = rename(dict(state))
        except Exception as error:  # timm's filters may raise anything at another network's keys
            if is_out_of_memory(error):
                raise
            best = replace(best, failed=(*best.failed, f"{change} is no way: {first_line(error)}"))
            continue
        renamed = _placed(renamed_state, slots)
        if renamed.score > best.score:
            state, best = renamed_state, replace(renamed, changes=(*renamed.changes, change))
    best = _unwrapped_heads(best, slots)
    return replace(best, placed={real[name]: tensor for name, tensor in best.placed.items()})


def _network(module: nn.Module, reading: Reading, real: Mapping[str, str]) -> nn.Module:
    """The part of a model to which the file's keys belong: the network within a wrapper or a factory's class."""
    slot = next(iter(reading.placed), next(iter(real), ""))
    path = real.get(slot, "").removesuffix(slot.removeprefix(reading.root))
    return module.get_submodule(path.rstrip("."))


def _placed(state: State, slots: Mapping[str, Tensor]) -> Reading:
    """Every tensor in the slot that it belongs to: under the prefix that most share, then under others."""
    places = _places(state, slots)
    if not places:
        return Reading({}, state, 0)
    (prefix, root), score = places[0]
    key_of: dict[str, str] = {}  # the file's key for a slot
    used: set[str] = set()
    copies = []
    for (start, stem), count in places:
        pairs = {
            name: stem + name[len(start) :] for name in state if name.startswith(start) and name not in used
        }
        fitting = {name: slot for name, slot in pairs.items() if slot in slots}
        complete = len(fitting) == len(pairs)
        if not key_of:
            accepted = True
        elif any(slot in key_of for slot in fitting.values()):
            accepted = False
            if stem == root and (count == score or complete) and 2 * len(fitting) > len(slots):
                copies.append(start)
                used.update(fitting)
        else:  # further tensors with a place, as a head beside a backbone; not a few hits by chance
            accepted = (complete or prefix.startswith(start)) and all(
                _alike(state[name], slots[slot]) for name, slot in fitting.items()
            )
        if accepted:
            key_of.update({slot: name for name, slot in fitting.items()})
            used.update(fitting)
    placed = {slot: state[name] for slot, name in key_of.items()}
    first = next(iter(key_of))
    return Reading(
        placed,
        left={name: tensor for name, tensor in state.items() if name not in used},
        score=_score(placed, slots),
        prefix=prefix,
        root=root,
        copies=tuple(copies),
        changes=(f"{_printed(key_of[first])} as {_printed(first)}",) if prefix != root else (),
    )


def _places(state: State, slots: Mapping[str, Tensor]) -> list[tuple[tuple[str, str], int]]:
    """Pairs of a prefix of the file's keys and a prefix of the model's, and how well each fits; the best first."""
    slots_under: dict[str, int] = {}
    for name in slots:
        for root in prefixes(name):
            slots_under[root] = slots_under.get(root, 0) + 1
    roots = [root for root, number in slots_under.items() if 2 * number > len(slots)]
    counts: dict[tuple[str, str], int] = {}
    for name, tensor in state.items():
        for prefix in prefixes(name):
            for root in roots:
                slot = slots.get(root + name[len(prefix) :])
                if slot is not None:
                    counts[prefix, root] = counts.get((prefix, root), 0) + 1 + (slot.shape == tensor.shape)
    return sorted(counts.items(), key=lambda place: (-place[1], is_averaged(place[0][0])))[:MOST_PLACES]


def is_averaged(name: str) -> bool:
    """Whether a part of a file is called as an average of weights, or as a network that follows another."""
    return bool(AVERAGED.search(name))


def _score(placed: State, slots: Mapping[str, Tensor]) -> int:
    return sum(1 + (slots[name].shape == tensor.shape) for name, tensor in placed.items())


def _alike(tensor: Tensor, slot: Tensor) -> bool:
    """Whether a tensor could be that of a slot: of its shape, or a head for another number of classes."""
    return tensor.ndim == slot.ndim and tensor.shape[1:] == slot.shape[1:]


def _unwrapped_heads(reading: Reading, slots: Mapping[str, Tensor]) -> Reading:
    """`classifier.0.weight`, of a Sequential around a single layer, in the place of `classifier.weight`; and back."""
    placed, left, changes = dict(reading.placed), dict(reading.left), list(reading.changes)
    free = {name.removeprefix(reading.root): name for name in slots if name not in placed}
    ours = {name.removeprefix(reading.prefix): name for name in left}
    pairs = [*_around(free, ours), *((mine, theirs) for theirs, mine in _around(ours, free))]
    for mine, theirs in pairs:
        weight, slot = left.get(ours[f"{theirs}.weight"]), slots[free[f"{mine}.weight"]]
        if weight is None or weight.ndim < 2 or not _alike(weight, slot):
            continue
        for kind in ("weight", "bias"):
            if f"{mine}.{kind}" in free and f"{theirs}.{kind}" in ours:
                placed[free[f"{mine}.{kind}"]] = left.pop(ours[f"{theirs}.{kind}"])
        changes.append(f"{_printed(theirs)} as {_printed(mine)}")
    return replace(reading, placed=placed, left=left, score=_score(placed, slots), changes=tuple(changes))


def _around(plain: Mapping[str, str], wrapped: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The layers `a` of `plain` for which `wrapped` has a single layer with weights: `a.0`, or `a.1`, and so on."""
    numbered: dict[str, list[str]] = {}
    for name in wrapped:
        if match := re.fullmatch(r"(.+)(\.\d+)\.weight", name, re.DOTALL):
            numbered.setdefault(match[1], []).append(match[1] + match[2])
    for name in plain:
        layer = name.removesuffix(".weight")
        if layer != name and len(numbered.get(layer, ())) == 1:
            yield layer, numbered[layer][0]


def _printed(name: str) -> str:
    return printable(name[:99])
