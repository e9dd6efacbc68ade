"""The runs of layers: how often each runs for one picture, which of them have maps, and how those lie on the input."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from torch import nn

from cnnexplain.core.choice import Choice
from cnnexplain.core.laying import Laying
from cnnexplain.core.words import run_name
from cnnexplain.engine.capabilities import require_layers
from cnnexplain.engine.capture import CapturedLayer
from cnnexplain.engine.placing.measured import lies_so
from cnnexplain.engine.placing.places import Followed, followed
from cnnexplain.engine.scoring.functions import goal
from cnnexplain.engine.trace import layers
from cnnexplain.engine.trace.chosen import several_pictures
from cnnexplain.engine.trace.names import find
from cnnexplain.engine.trace.past import past
from cnnexplain.errors import LayerError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


DETACHED = "it is detached from the gradient, so that no map of a gradient shows it"


def named_layer(module: nn.Module, written: str) -> CapturedLayer:
    """The layer that a user named, and where the name ends in `#2` which run of it."""
    name, number = written, None
    match = re.fullmatch(r"\s*(.*\S)\s*#\s*([1-9]\d{0,5})\s*", written)
    if match and written not in dict(module.named_modules(remove_duplicate=False)):
        name, number = match[1], int(match[2])
    return CapturedLayer(*find(module, name), number)


@dataclass(eq=False)
class Runs:
    """The runs of a model's layers, by the names that users give: `layer4`, or `layer4 #2` for its second run."""

    model: Model
    _measured: dict[str, Laying] = field(default_factory=dict, repr=False)

    def of(self, model: Model) -> Runs:
        """These runs, for a copy of the model whose layers run as the model's do."""
        other = copy(self)
        other.model = model
        vars(other).pop("_trace_names", None)  # by modules, which may be copies as well
        return other

    def full_name(self, name: str) -> str:
        """The full name of a layer, with the number of the run where one was named; or `LayerError`."""
        named = self._named(name)
        if named.run is None:
            return named.name
        runs = self.count(name)
        if named.run > runs:
            times = "once" if runs == 1 else f"{runs} times"
            raise LayerError(
                f"layer {named.name!r} runs {times} for a picture: there is no run {named.run}",
                f"name one from 1 to {runs}, or all: --layer {named.name}",
            )
        return f"{named.name} #{named.run}"

    def choose(self) -> tuple[tuple[str, ...], Choice]:
        """The layers to explain when none is named, as `Model.capture` takes them; and the reason."""
        choice, trace = self.model.choose_layer(), self.model.trace
        ends = [trace.layers[place] for place in trace.ends]
        if self.unseen:
            which = "all classes" if self.model.function is None else goal(self.model)
            if len(self.unseen) < trace.scores:
                which = repr(self.model.labels[self.unseen[0]])
                which += f" and {len(self.unseen) - 1} more" if len(self.unseen) > 1 else ""
            reason = f"{choice.reason}; part of the score of {which} does not pass it: {DETACHED}"
            choice = replace(choice, reason=reason)
        names = (end.name if trace.runs[end.name] == 1 else f"{end.name} #{end.run}" for end in ends)
        return tuple(names), choice

    @cached_property
    def unseen(self) -> tuple[int, ...]:
        """The scores that depend on the picture past the layers that are chosen, by ways that no gradient sees.

        Costs four forward passes, once, and only where something was detached.
        """
        model, trace = self.model, self.model.trace
        if not trace.moves.detached or not trace.differentiable or not trace.ends:
            return ()
        ends = [trace.layers[place] for place in trace.ends]
        return model.looked_at(lambda: past(model, ends))

    def unseen_of(self, names: Sequence[str]) -> frozenset[int]:
        """The classes that depend on the picture past the layers `names`, where these are chosen; none for others."""
        trace = self.model.trace
        if not trace.moves.detached or not self.unseen:
            return frozenset()
        chosen = {trace.layers[place].name for place in trace.ends}
        if {name.partition(" #")[0] for name in names} != chosen:
            return frozenset()
        return frozenset((0, 1) if trace.scores == 1 else self.unseen)

    def count(self, name: str) -> int:
        """How often a layer runs for one picture."""
        return self.model.trace.runs.get(self._trace_names.get(self._named(name).module, ""), 0)

    def with_maps(self, name: str) -> tuple[str, ...]:
        """The names of those runs of a layer that have a map, or the name of the run that was named."""
        named = self._named(name)
        if named.run is not None:
            return (run_name(named.name, named.run),)
        runs = self._maps_of(named)
        large = [layer for layer in runs if layers.is_large(layer)]
        return tuple(run_name(named.name, layer.run) for layer in large or runs)

    def last(self, name: str) -> str:
        """The name of a layer, of one that runs several times with the number of its last run with a map."""
        runs = self.with_maps(name)
        if self._named(name).run is not None or not runs or self.count(name) == 1:
            return name
        return runs[-1] if " #" in runs[-1] else f"{runs[-1]} #1"

    def channels(self, name: str) -> int | None:
        """How many channels the map of a layer has, of its last run or of the one that was named; None without one."""
        runs = self._maps_of(self._named(name))
        return runs[-1].map[0] if runs and runs[-1].map else None

    def require_maps(self, names: Sequence[str], *, or_vectors: bool = False) -> None:
        """Raise `LayerError` for a layer that has no map for a blank picture, nor, with `or_vectors`, a vector.

        A layer that a blank picture does not reach is let through: it may be run for others. Costs a forward pass where
        `trace` shows no map of a layer.
        """
        doubtful = [name for name in names if self.count(name) and self.channels(name) is None]
        if not doubtful:
            return
        model = self.model

        def look() -> None:
            with model.outputs(*doubtful) if or_vectors else model.capture(*doubtful):
                model.forward(model.blank())

        try:
            model.looked_at(look)
        except LayerError as error:
            if model.trace.default is None and model.trace.joins.copies:
                raise several_pictures(model.name) from error
            raise

    def independent(self) -> LayerError:
        """The error to raise for a layer that the scores do not depend on."""
        depend = "do not depend" if self.model.function is None else "does not depend"
        return LayerError(
            f"{goal(self.model)} of {self.model.name} {depend} on the layer that was named",
            "leave --layer out to have one chosen",
        )

    @cached_property
    def _followed(self) -> dict[str, Followed]:
        """How the map of each run of each layer lies on the input, by `run_name`; empty where each lies on all of it.

        Costs one forward pass, once, where an operation was seen that may move or cut the picture.
        """
        model = self.model
        if not model.trace.moves.moved:
            return {}
        return model.looked_at(lambda: followed(model.module, model.blank(), model.output_of))

    def laying(self, run: str) -> Laying:
        """How the map of a layer's run lies on the input.

        Where an operation before it is not known, that is measured, once: a forward pass and eight back.
        """
        followed = self._followed.get(run)
        if followed is None or followed.laying.lost or not followed.doubt:
            return Laying() if followed is None else followed.laying
        if run not in self._measured:
            model = self.model
            so = model.looked_at(lambda: lies_so(model.module, model.blank(), model.output_of, followed))
            why = f"{followed.doubt} before this layer cannot be followed"
            self._measured[run] = followed.laying if so else replace(followed.laying, lost=why)
        return self._measured[run]

    def require_part(self, named: Sequence[CapturedLayer], shown: Collection[str]) -> None:
        """Raise `LayerError` for a layer no run of which is among the names `shown`."""
        for layer in named:
            key = layer.name if layer.run is None else run_name(layer.name, layer.run)
            later_runs = layer.run is None and any(name.startswith(f"{key} #") for name in shown)
            if key not in shown and not later_runs:
                require_layers(self.model)
                raise LayerError(
                    f"layer {key!r} takes no part when {self.model.name} looks at a picture",
                    "leave --layer out to have one chosen",
                )

    def _named(self, name: str) -> CapturedLayer:
        return named_layer(self.model.module, name)

    def _maps_of(self, named: CapturedLayer) -> list[layers.Layer]:
        """The runs of a layer that have a map, or of them the one that was named."""
        name = self._trace_names.get(named.module)
        runs = [layer for layer in self.model.trace.layers if layer.name == name and layer.map]
        return [layer for layer in runs if named.run in (None, layer.run)]

    @cached_property
    def _trace_names(self) -> dict[nn.Module, str]:
        """Of the names that a module has the one that the trace knows it by."""
        _ = self.model.trace  # before: a model may make layers when it sees its first picture
        return {module: name for name, module in self.model.module.named_modules()}
