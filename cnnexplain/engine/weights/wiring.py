"""Which channels of a layer read which of another, by the kernels of the convolutions between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.core.graph.model import INPUT, ModelGraph
from cnnexplain.engine.trace.runs import named_layer
from cnnexplain.engine.weights.kernels import weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnexplain.engine.model import Model

# Layers and functions whose channels each depend on the same channel of what they are given, and on no other.
_KEEPING = """
batchnorm2d frozenbatchnorm2d syncbatchnorm batch_norm instancenorm2d instance_norm relu relu6 leakyrelu leaky_relu
prelu rrelu elu selu celu gelu silu swish mish hardswish hardsigmoid hardtanh hard_swish sigmoid tanh softplus
softsign threshold clamp clamp_min clamp_max square abs neg exp sqrt pow div identity dropout dropout2d
alphadropout featurealphadropout feature_dropout alpha_dropout droppath drop_path maxpool2d max_pool2d
max_pool2d_with_indices avgpool2d avg_pool2d adaptiveavgpool2d adaptive_avg_pool2d adaptivemaxpool2d
adaptive_max_pool2d lppool2d lp_pool2d upsample upsamplingnearest2d upsamplingbilinear2d interpolate zeropad2d
reflectionpad2d replicationpad2d constantpad2d pad blurpool2d contiguous clone detach checkpoint
"""
KEEPING = frozenset(_KEEPING.split())
ADDING, GATING, JOINING = "add", "mul", "cat"


@dataclass(frozen=True)
class KernelLink:
    """A channel of a layer that reads another, or is read by it, and the sum of the kernel slice's absolute values."""

    layer: str
    channel: int
    weight: float


@dataclass
class UnitLinks:
    """What leads to the units of a layer, or from them on.

    Attributes:
        units: By channel the links, the strongest first; empty where no convolution was found.
        says: In a sentence which convolutions these are, what else there is, or why there is none.
    """

    units: Mapping[int, Sequence[KernelLink]] = field(default_factory=dict)
    says: str = ""


@dataclass
class _WayEnds:
    """Where ways through operations that keep channels apart end."""

    convolutions: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)  # nodes whose channels are added as they are
    others: list[int] = field(default_factory=list)


class Wiring:
    """The convolutions between the layers of a model: back from each layer to what its units read, and on from it."""

    def __init__(self, model: Model, graph: ModelGraph, layers: Sequence[str], most: int = 8) -> None:
        """Look for the layers in the graph.

        Args:
            model: Is borrowed.
            graph: That of its layers.
            layers: Names of layers, `relu #2` for a run of one.
            most: How many links of a unit are kept.
        """
        self._graph, self._most = graph, most
        count = len(graph.nodes)
        self._before: list[list[int]] = [[] for _ in range(count)]
        self._after: list[list[int]] = [[] for _ in range(count)]
        for source, target in graph.edges:
            self._before[target].append(source)
            self._after[source].append(target)
        held = {each.module: each for each in weighted(model) if each.convolution and len(each.kernel) == 2}
        modules = dict(model.module.named_modules(remove_duplicate=False))
        self._held = {
            place: held[module]
            for place, node in enumerate(graph.nodes)
            if node.name and (module := modules.get(node.name)) in held
        }
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._outputs: dict[str, int | None] = {}
        for layer in layers:
            named = named_layer(model.module, layer)
            self._outputs[layer] = self._output_of(named.name, named.run or 1)
        self._layer_at = {place: layer for layer, place in self._outputs.items() if place is not None}

    def inputs(self, layer: str) -> UnitLinks:
        """What the units of a layer read.

        Args:
            layer: One of those that were looked for.
        """
        place = self._outputs[layer]
        if place is None:
            return UnitLinks(says="where its map is made could not be followed")
        ends = _WayEnds()
        self._back(place, ends, within=False)
        units: dict[int, list[KernelLink]] = {}
        for convolution in ends.convolutions:
            source = self._source(convolution)
            if source is None:
                continue
            for row, column, weight in self._slices(convolution):
                units.setdefault(row, []).append(KernelLink(source, column, weight))
        parts = self._by_kernels(ends) if units else []
        if any(self._source(each) is None for each in ends.convolutions):
            parts.append("it reads the picture itself")
        parts += [f"the unit of the same number of {self._name(each)} is added" for each in ends.added]
        parts += [f"what comes before {self._word(each)} was not followed" for each in ends.others]
        return UnitLinks(self._strongest(units), "; ".join(parts))

    def outputs(self, layer: str) -> UnitLinks:
        """What reads the units of a layer.

        Args:
            layer: One of those that were looked for.
        """
        place = self._outputs[layer]
        if place is None:
            return UnitLinks(says="where its map is made could not be followed")
        ends = _WayEnds()
        self._on(place, ends, set())
        units: dict[int, list[KernelLink]] = {}
        for convolution in ends.convolutions:
            target = self._target(convolution)
            for row, column, weight in self._slices(convolution):
                units.setdefault(column, []).append(KernelLink(target, row, weight))
        parts = self._by_kernels(ends) if units else []
        parts += [f"it is added to the unit of the same number of {self._name(each)}" for each in ends.added]
        if ends.others:
            words = _listed(list(dict.fromkeys(map(self._word, ends.others))))
            parts.append(f"what {words} {'make' if ' and ' in words else 'makes'} of it was not followed")
        return UnitLinks(self._strongest(units), "; ".join(parts))

    def _by_kernels(self, ends: _WayEnds) -> list[str]:
        return [f"by the kernels of {_listed([self._graph.nodes[each].name for each in ends.convolutions])}"]

    def _back(self, place: int, ends: _WayEnds, *, within: bool) -> None:
        """Walk back to convolutions; `within` one of the terms of an addition, whose own terms are not asked."""
        start = place
        while place not in self._held:
            before = self._main(place)
            if before is not None:
                place = before
            elif self._adds(place) and not within:
                for term in self._before[place]:
                    self._back(term, ends, within=True)
                return
            else:
                (ends.added if within else ends.others).append(start if within else place)
                return
        ends.convolutions.append(place)

    def _on(self, place: int, ends: _WayEnds, seen: set[int]) -> None:
        for after in self._after[place]:
            if after in seen:
                continue
            seen.add(after)
            if after in self._held:
                ends.convolutions.append(after)
            elif self._main(after) == place:
                self._on(after, ends, seen)
            elif self._adds(after):
                ends.added.append(after)
            else:
                ends.others.append(after)

    def _main(self, place: int) -> int | None:
        """The only node whose channels this one's are, each on its own; of a map and gates of its channels the map."""
        node, before = self._graph.nodes[place], self._before[place]
        if not before or len(node.shape) != 4:
            return None
        alike = [each for each in before if self._channels(each) == node.shape[1]]
        kind = node.kind.casefold()
        if len(before) == 1:
            keeps = kind in KEEPING or kind in (ADDING, GATING, "sub")
            return before[0] if alike and keeps else None
        maps = [each for each in alike if self._graph.nodes[each].shape[2:] != (1, 1)]
        return maps[0] if kind == GATING and len(maps) == 1 and len(alike) == len(before) else None

    def _adds(self, place: int) -> bool:
        node = self._graph.nodes[place]
        terms = self._before[place]
        return (
            node.kind == ADDING
            and len(terms) > 1
            and all(self._graph.nodes[each].shape == node.shape for each in terms)
        )

    def _channels(self, place: int) -> int | None:
        shape = self._graph.nodes[place].shape
        return shape[1] if len(shape) == 4 else None

    def _slices(self, place: int) -> Iterator[tuple[int, int, float]]:
        """The channel that is made, the channel that is read, and the weight between, of a convolution."""
        held = self._held[place]
        if held.name not in self._sums:
            values = np.abs(held.read().astype(np.float64))
            self._sums[held.name] = values.reshape(*values.shape[:2], -1).sum(2)
        sums = self._sums[held.name]
        rows, columns = sums.shape
        for row in range(rows):
            first = row * held.groups // rows * columns
            order = np.argsort(-sums[row], kind="stable")
            for column in order.tolist():
                yield row, first + column, float(sums[row, column])

    def _strongest(self, units: Mapping[int, list[KernelLink]]) -> dict[int, Sequence[KernelLink]]:
        return {
            unit: sorted(links, key=lambda link: (-link.weight, link.layer, link.channel))[: self._most]
            for unit, links in units.items()
        }

    def _source(self, convolution: int) -> str | None:
        """The layer that a convolution reads, one of those looked for if possible; None where it is the picture."""
        first = place = self._before[convolution][0]
        while place not in self._layer_at:
            before = self._main(place)
            if before is None:
                break
            place = before
        if place in self._layer_at:
            return self._layer_at[place]
        return None if self._graph.nodes[place].kind == INPUT else self._name(first)

    def _target(self, convolution: int) -> str:
        """The layer whose units a convolution makes, one of those looked for if possible."""
        known = (self._layer_at[place] for place in self._ahead(convolution) if place in self._layer_at)
        return next(known, self._graph.nodes[convolution].name)

    def _ahead(self, place: int) -> Iterator[int]:
        """A node, and those behind it that keep its channels, as far as no other reads them."""
        yield place
        while len(after := self._after[place]) == 1 and self._main(after[0]) == place:
            (place,) = after
            yield place

    def _output_of(self, name: str, run: int) -> int | None:
        """The node that gives back a layer's map: itself, or of a block the only one that others read."""
        for place, node in enumerate(self._graph.nodes):
            if (node.name, node.run) == (name, run):
                return place
        groups = self._graph.groups
        inside = {place for place, group in enumerate(groups) if (group.name, group.run) == (name, run)}
        for place, group in enumerate(groups):
            if group.parent in inside:
                inside.add(place)
        leaving = {
            source
            for source, target in self._graph.edges
            if self._graph.nodes[source].group in inside and self._graph.nodes[target].group not in inside
        }
        return leaving.pop() if len(leaving) == 1 else None

    def _name(self, place: int) -> str:
        """The layer that gives back what a node makes, in words where none does."""
        if called := self._called(place):
            return called
        before = self._main(place)
        if before is not None:
            return self._name(before)
        return next(filter(None, map(self._called, self._ahead(place))), self._word(place))

    def _called(self, place: int) -> str:
        """Of the layers looked for that which ends with a node, or the node's own, or the innermost block."""
        node = self._graph.nodes[place]
        if place in self._layer_at or node.name:
            return self._layer_at.get(place, node.name)
        group = self._graph.groups[node.group]
        return group.name if group.name and self._output_of(group.name, group.run) == place else ""

    def _word(self, place: int) -> str:
        node = self._graph.nodes[place]
        return node.name or {JOINING: "a concatenation", ADDING: "an addition"}.get(node.kind, node.kind)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
