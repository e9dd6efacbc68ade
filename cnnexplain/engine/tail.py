"""The class scores for other values in a layer's map, without computing anew what comes before the layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnnexplain.engine.borrow import restored
from cnnexplain.engine.capture import layout_of
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.engine.streams import over
from cnnexplain.errors import CnnexplainError, first_line, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

AT_ONCE = 2**23  # values of the layer's map, in all variants that go through the rest together
APART = {"fp32": 1e-4, "fp16": 2.0**-8, "bf16": 2.0**-5}  # as a share of the scores' range: rounding


@dataclass(frozen=True, eq=False)
class Tail:
    """The part of a model that follows a layer.

    Attributes:
        name: The layer, which runs once and lies on the whole input.
        layer: Its module.
        layout: How its map is laid out, `NCHW` or `NHWC`.
        before: The names of the outermost modules that have run when it ends, once each, and what each gives back for
            one image.
    """

    name: str
    layer: nn.Module
    layout: str
    before: Mapping[str, Tensor] = field(repr=False)

    @contextmanager
    def watched(self) -> Iterator[list[Tensor]]:
        """A list that has the layer's map (N, C, h, w) after one `forward` inside the block, without a graph."""
        maps: list[Tensor] = []

        def keep(_name: str, _layer: nn.Module, _arguments: Any, output: Tensor) -> None:
            # A copy: what follows may write into it.
            maps.append(self.turned(output.detach().clone(), back=False))

        with hooked([(self.name, self.layer)], after=keep):
            yield maps

    def scores(self, model: Model, count: int, maps: Callable[[range], Tensor], size: int) -> Tensor:
        """The class scores for other values of the layer's map. Use it inside `borrowed()`.

        Args:
            model: The model.
            count: How many variants there are.
            maps: Gives some of the variants, (n, C, h, w).
            size: The number of values (C * h * w) of each.

        Returns:
            (count, K), float32.
        """
        parts = over(model, count, lambda own, rows: self._of(own, maps(rows)), most=max(1, AT_ONCE // size))
        return torch.cat([part for _, part in parts])

    def _of(self, model: Model, maps: Tensor) -> Tensor:
        blank = model.blank()
        outputs = {**self.before, self.name: self.turned(maps, back=True)}
        known = {model.module.get_submodule(name): output for name, output in outputs.items()}
        with replaced(known, len(maps)), torch.no_grad():
            return model.forward(blank.expand(len(maps), *blank.shape[1:]))

    def turned(self, maps: Tensor, *, back: bool) -> Tensor:
        """What the layer gives back as (N, C, h, w); or with `back` that as the layer gives it back."""
        if self.layout == "NCHW":
            return maps
        return maps.permute(0, 2, 3, 1) if back else maps.permute(0, 3, 1, 2)


_TAILS: WeakKeyDictionary[Model, Tail | str] = WeakKeyDictionary()


def tail_of(model: Model) -> Tail | str:
    """The part of a model after the last map before pooling; or in words why there is none. Costs a few passes, once.

    There is none where that map is not all that the scores depend on, as of several branches or runs, where it does not
    lie on the whole input as it is, and where the model's code does not take other values there.
    """
    if model not in _TAILS:
        _TAILS[model] = _tail_of(model)
    return _TAILS[model]


def _tail_of(model: Model) -> Tail | str:
    trace = model.trace
    if not trace.ends:
        return "the model has no map before its scores"
    last = trace.layers[trace.ends[0]]
    if len(trace.ends) > 1 or trace.runs[last.name] > 1:
        return "the scores depend on several maps"
    if not trace.complete or model.runs.unseen:
        return f"the scores depend on more than the map of {last.name}"
    if not model.runs.laying(last.name).plain:
        return f"the map of {last.name} is not of the whole input as it is"
    try:
        return model.looked_at(lambda: _tried(model, last.name))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return f"the model's code does not take other values of {last.name}: {first_line(error)}"


def _tried(model: Model, name: str) -> Tail | str:
    """The tail after a layer, if it gives the scores that the whole model gives, for noise."""
    generator = torch.Generator().manual_seed(0)
    blank = model.blank()
    noise = torch.randn((1, *blank.shape[1:]), generator=generator).to(blank)
    calls = _Calls(model.module.get_submodule(name))
    with hooked(submodules(model.module), before=calls.enter, after=calls.leave), torch.no_grad():
        whole = model.forward(model.layout.of(noise))
    if calls.output is None:
        return f"{name} did not run for noise"
    if not calls.output.is_floating_point():
        return f"the map of {name} is not of floating-point numbers"
    layout = layout_of(name, calls.layer, calls.output, 1, model.preprocess.input_size, model.trace.grids)
    names = {module: each for each, module in model.module.named_modules()}
    before = {names[module]: output for module, output in calls.before().items()}
    tail = Tail(name, calls.layer, layout, before)
    own = tail.turned(calls.output, back=False)
    scores = tail.scores(model, 2, lambda rows: own.expand(len(rows), *own.shape[1:]), own.numel())
    apart, spread = float((scores - whole).abs().max()), float(whole.max() - whole.min())
    if not apart <= APART[model.precision] * max(1e-6, spread):
        return f"the scores are {apart:.1g} apart when only what follows {name} is computed"
    return tail


@dataclass(eq=False)
class _Calls:
    """The calls of modules while one image goes through a model."""

    layer: nn.Module
    output: Tensor | None = None  # of the layer
    calls: list[nn.Module] = field(default_factory=list)
    inside: list[tuple[nn.Module, int]] = field(default_factory=list)
    ended: list[tuple[nn.Module, Tensor]] = field(default_factory=list)  # before the layer, the outermost

    def enter(self, _name: str, module: nn.Module, _arguments: Any) -> None:
        self.inside.append((module, len(self.ended)))
        self.calls.append(module)

    def leave(self, _name: str, module: nn.Module, _arguments: Any, output: Any) -> None:
        begun = 0
        while self.inside:
            entered, begun = self.inside.pop()
            if entered is module:
                break
        if self.output is not None:
            return
        if module is self.layer:
            self.output, self.ended = output.detach().clone(), self.ended[:begun]
        elif is_dense(output) and output.ndim and len(output) == 1:
            self.ended = [*self.ended[:begun], (module, output.detach())]

    def before(self) -> dict[nn.Module, Tensor]:
        """What the outermost modules that ended before the layer gave back; not of those that run again."""
        return {
            module: output.new_zeros(()).expand(output.shape)
            for module, output in self.ended
            if self.calls.count(module) == 1
        }


@contextmanager
def replaced(outputs: Mapping[nn.Module, Tensor], count: int) -> Iterator[None]:
    """Inside the block modules give back these outputs, of one image expanded to `count`, without computing them."""

    def restore() -> None:
        for module in outputs:
            vars(module).pop("forward", None)

    if any("forward" in vars(module) for module in outputs):
        raise CnnexplainError("a module has a forward of its own", "compute all of it")
    with restored(restore):
        for module, output in outputs.items():
            given = output if len(output) == count else output.expand(count, *output.shape[1:])
            vars(module)["forward"] = _Gives(given)
        yield


@dataclass(frozen=True, eq=False)
class _Gives:
    """A forward that gives back a tensor, whatever it is called with."""

    output: Tensor

    def __call__(self, *_arguments: Any, **_options: Any) -> Tensor:
        return self.output
