"""The layers of a model as one picture runs through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnexplain.core.words import run_name
from cnnexplain.engine.capture import map_shape, note_grid
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.placing.moves import Moves
from cnnexplain.engine.scoring.ending_rules import is_dense, version
from cnnexplain.engine.scoring.heads import PLAIN, Head
from cnnexplain.engine.trace import branches
from cnnexplain.engine.trace.functions import unwatched
from cnnexplain.engine.trace.mixing import Joins


@dataclass(frozen=True)
class Layer:
    """One run of one module: its name for `--layer`, its class, and the shape of what came out for one picture.

    `map` is (channels, height, width) where that is a map; `leaf` says that the module holds no others,
    `weighted` that it is a leaf with parameters.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    map: tuple[int, int, int] | None
    leaf: bool
    weighted: bool
    moved: bool  # whether it depends on the picture, as positional maps do not
    same_as_next: bool  # the module around it, or an in-place one behind it, returned the very same tensor
    aside: bool = False  # of another size than what the module around it took in and gave back
    run: int = 1  # which run of the module this is, counted from 1

    @property
    def run_name(self) -> str:
        """The layer's name, and from the second run on the number of the run."""
        return run_name(self.name, self.run)

    @property
    def places(self) -> int:
        """How many places of the picture the output has, cells of a map or tokens; zero where it has none."""
        return self.map[1] * self.map[2] if self.map else tokens(self)


@dataclass(frozen=True)
class Trace:
    """The layers that one picture meets in a model, in order, and how the class scores depend on them."""

    layers: tuple[Layer, ...]
    scores: int
    default: int | None  # the last of the layers that hold a map on the way to the scores
    differentiable: bool  # whether the scores have a gradient at all
    head: Head = PLAIN  # how the scores are read out of what the model returns
    # The layers that are explained when none is named, in their order: `default`, and where the scores depend on the
    # picture past it also the ends of the other branches.
    ends: tuple[int, ...] = ()
    complete: bool = True  # whether the scores depend on the picture through `ends` only
    grids: frozenset[tuple[int, int]] = frozenset()  # of maps whose layout their layer's kind says
    runs: Mapping[str, int] = field(default_factory=dict)  # how often every layer ran
    moves: Moves = field(default_factory=Moves)  # whether an operation may have moved or cut the picture
    joins: Joins = field(default_factory=lambda: Joins(()))  # what may join the pictures of a batch

    def maps(self) -> list[Layer]:
        """The layers that hold a map larger than 1x1, each tensor once under its outermost name."""
        return [layer for layer in self.layers if is_large(layer) and not layer.same_as_next]


def trace(
    module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], tuple[Tensor, frozenset[int]]]
) -> Trace:
    """Send `inputs` (1, C, H, W) through the module and note every layer. Leaves no hook behind.

    `forward` gives the scores (1, K), and how many channels maps have that are scores already.
    """
    leaf = inputs.detach().requires_grad_()
    picture = leaf.clone()  # a copy, so that a model may write into its input
    notes = _Notes(_size(inputs), {id(picture): version(picture)})
    moves, joins = Moves(picture), Joins(notes.inside, int(inputs.shape[1]))
    with hooked(submodules(module), before=notes.enter, after=notes.leave), moves, joins:
        logits, channels = forward(picture)
    table = notes.table(logits)
    default, ends, complete = _default(table, notes.outputs, logits, channels, leaf)
    return Trace(
        table,
        int(logits.shape[1]),
        default,
        logits.requires_grad,
        ends=ends,
        complete=complete,
        grids=frozenset(notes.grids),
        runs=notes.runs,
        moves=moves,
        joins=joins,
    )


@dataclass
class _Notes:
    """Notes of every layer, taken while one picture goes through them."""

    size: tuple[int, int]  # of the input, (height, width)
    versions: dict[
        int, int
    ]  # of each tensor, by identity, when it was last seen; an in-place operation raises it
    layers: list[Layer] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)  # of `layers`
    begun: dict[str, int] = field(default_factory=dict)  # how many layers had run when a module began
    runs: Counter[str] = field(default_factory=Counter)
    grids: set[tuple[int, int]] = field(default_factory=set)
    inside: list[str] = field(default_factory=list)  # the modules whose code is running, the innermost last

    def enter(self, name: str, _layer: nn.Module, _arguments: Any) -> None:
        self.begun[name] = len(self.layers)
        self.inside.append(name)

    @unwatched
    def leave(self, name: str, layer: nn.Module, arguments: Any, output: Any) -> None:
        self.runs[name] += 1
        while self.inside and self.inside.pop() != name:  # one that raised, and was caught, never left
            pass
        if not is_dense(output):
            return
        note_grid(output.shape, layer, self.grids)
        described = replace(_described(name, layer, output, self.size, self.grids), run=self.runs[name])
        if arguments and is_dense(arguments[0]):
            places = _described(name, layer, arguments[0], self.size, self.grids).places
            if places == described.places > 1:
                self._set_aside(self.begun[name], places)
        if described.leaf and self.versions.get(id(output)) == version(output):
            return  # dropout or an identity: it handed on what it was given
        self.versions[id(output)] = version(output)
        self.outputs.append(output)
        self.layers.append(described)

    def _set_aside(self, start: int, places: int) -> None:
        """Mark the layers within a module, which took in and gave back so many places, that have another number."""
        within = self.layers[start:]
        self.layers[start:] = [
            replace(layer, aside=layer.aside or layer.places != places) for layer in within
        ]

    def table(self, logits: Tensor) -> tuple[Layer, ...]:
        """The layers, once it is known which of them share a tensor, and whether `logits` have a gradient."""
        last_place = {id(output): place for place, output in enumerate(self.outputs)}
        return tuple(
            replace(
                layer,
                same_as_next=last_place[id(output)] != place,
                # Without a gradient nothing tells, and each may depend on the picture.
                moved=layer.moved or not logits.requires_grad,
            )
            for place, (layer, output) in enumerate(zip(self.layers, self.outputs, strict=True))
        )


def shapes(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any]) -> tuple[Layer, ...]:
    """Every run of a layer in order, without a graph, which would keep every map in memory."""
    runs: list[Layer] = []
    grids: set[tuple[int, int]] = set()

    def note(name: str, layer: nn.Module, _arguments: Any, output: Any) -> None:
        if is_dense(output):
            note_grid(output.shape, layer, grids)
            runs.append(_described(name, layer, output, _size(inputs), grids))

    with hooked(submodules(module), after=note), torch.no_grad():
        forward(inputs)
    return tuple(runs)


def _size(inputs: Tensor) -> tuple[int, int]:
    return int(inputs.shape[-2]), int(inputs.shape[-1])


def _described(
    name: str, layer: nn.Module, output: Tensor, size: tuple[int, int], grids: set[tuple[int, int]]
) -> Layer:
    shape = tuple(int(length) for length in output.shape)
    readable = output.is_floating_point() or output.is_quantized
    as_map = map_shape(shape, size, layer, grids) if readable else None
    leaf = next(layer.children(), None) is None
    weighted = leaf and next(layer.parameters(), None) is not None
    kind = type(layer).__name__
    return Layer(name, kind, shape[1:], as_map, leaf, weighted, output.requires_grad, same_as_next=False)


def tokens(layer: Layer) -> int:
    """How many tokens (T, C) came out of a layer; none of a Conv1d and its like, whose sequences are (C, L)."""
    return layer.shape[0] if len(layer.shape) == 2 and not layer.kind.endswith("1d") else 0


def only_pools(layer: Layer) -> bool:
    """Whether a layer does nothing but pool."""
    return "pool" in layer.kind.lower() and not layer.weighted


def only_pads(layer: Layer) -> bool:
    """Whether a layer does nothing but pad."""
    return "pad" in layer.kind.lower() and layer.leaf and not layer.weighted


def is_large(layer: Layer) -> bool:
    """Whether a layer holds a map of more than one cell."""
    return layer.map is not None and layer.map[1] * layer.map[2] > 1


def _default(
    layers: tuple[Layer, ...],
    outputs: list[Tensor],
    logits: Tensor,
    channels: frozenset[int],
    picture: Tensor,
) -> tuple[int | None, tuple[int, ...], bool]:
    """The last map that the scores depend on and that is neither pooled nor already the scores themselves.

    Also the layers to explain: that one alone where the scores depend on `picture` through nothing else, or the ends
    of all branches; and whether those are all that there is.
    """
    graded = logits.requires_grad  # or else the order alone tells, and it is the last map
    total = logits.sum()
    # Those of 0 and 1 token follow a Conv1d too.
    token_counts = {tokens(layer) for layer in layers if layer.weighted} - {0, 1}
    candidates: list[int] = []
    scores: list[int] = []  # maps that are scores already
    for place in reversed(range(len(layers))):
        layer, output = layers[place], outputs[place]
        if layer.map is None or not is_large(layer) or layer.same_as_next or output.requires_grad < graded:
            continue
        if token_counts.intersection(layer.map[1:]):
            continue  # attention of tokens to tokens has the look of a map
        same = [other for other, tensor in zip(layers, outputs, strict=True) if tensor is output]
        if any(only_pools(other) for other in same if other.leaf):
            continue
        if graded and not candidates:
            (gradient,) = torch.autograd.grad(total, output, retain_graph=True, allow_unused=True)
            if gradient is None:
                continue
        weighted = [outputs[later] for later in range(place + 1, len(layers)) if layers[later].weighted]
        leads = branches.leads(output, logits, weighted) if graded else not weighted
        is_scores = layer.map[0] in channels and leads
        (scores if is_scores else candidates).append(place)
    candidates += scores  # better than nothing
    if not candidates:
        return None, (), True
    if not graded:
        return candidates[0], (candidates[0],), True
    sizes = [layer.map[1:] if layer.map else () for layer in layers]
    ends, complete = branches.ends(candidates, sizes, outputs, logits, picture)
    return candidates[0], ends, complete
