"""The table of a model's layers: what each is, what it costs, and what a cell of its map sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnnexplain.core.results.summary import LayerRow, LayerTable, Reach, Window
from cnnexplain.engine.borrow import is_trainable
from cnnexplain.engine.capture import map_shape, note_grid
from cnnexplain.engine.cost.operations import Counting, attention_in_parts
from cnnexplain.engine.cost.ways import Ways
from cnnexplain.engine.fields.axes import tensors_in
from cnnexplain.engine.fields.field import ReceptiveField
from cnnexplain.engine.hooks import hooked
from cnnexplain.engine.model import Model
from cnnexplain.engine.weights.dead import dead_filters
from cnnexplain.engine.weights.kernels import reading, weighted
from cnnexplain.engine.weights.layers import require_open
from cnnexplain.errors import LayerError, ModelError

CAMS = ("gradcam",)  # commands that show one layer when none is named
FIRSTS = ("filters",)  # those that show the layer that reads the picture
STRIPS = ("activations", "deconv")  # those that show one for every size of map


@dataclass
class _Pass:
    """The runs, outputs and costs of submodules while one picture goes through a module, by their names."""

    names: dict[nn.Module, list[str]]  # a module that is used in several places has several
    running: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    multiply_adds: Counter[str] = field(default_factory=Counter)
    activations: Counter[str] = field(default_factory=Counter)
    outputs: dict[nn.Module, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    ways: Ways = field(default_factory=Ways)

    def note(self, multiply_adds: int, new_bytes: int) -> None:
        """Count the cost of an operation for the innermost module that is running."""
        place = self.running[-1] if self.running else ""
        self.multiply_adds[place] += multiply_adds
        self.activations[place] += new_bytes

    def enter(self, _name: str, module: nn.Module, arguments: Any) -> None:
        name = self._name_here(module)
        self.running.append(name)
        self.runs[name] += 1
        self.ways.enter(name, module, arguments)

    def leave(self, _name: str, module: nn.Module, _arguments: Any, output: Any) -> None:
        self.ways.leave(module, output)
        if output is None:
            return  # it raised, and stays among those that are running, which say how far the picture came
        # A module that raised, and whose error was caught by those around it, never left.
        while self.running and self.running.pop() not in self.names[module]:
            pass
        self.outputs[module] = tuple(tuple(map(int, tensor.shape)) for tensor in tensors_in(output))

    def _name_here(self, module: nn.Module) -> str:
        """Of the names of a module the one inside the innermost block that is running; or else the first."""
        names = self.names[module]
        for block in reversed(self.running) if len(names) > 1 else ():
            for name in names:
                if name.startswith(f"{block}."):
                    return name
        return names[0]

    def watching(self) -> AbstractContextManager[None]:
        return hooked(
            (("", module) for module in self.names), before=self.enter, after=self.leave, always=True
        )


def layer_table(model: Model) -> LayerTable:
    """The table of a model's layers; of a model that no picture gets through modules and parameters only, and why."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.module.named_modules(remove_duplicate=False):
        if name:
            names.setdefault(module, []).append(name)
    watched = _Pass(names)
    problem = hint = ""
    context = _Context()

    def look() -> None:
        nonlocal watched
        watched = _Pass(names)
        _send(model, watched)

    try:
        require_open(model)
        model.looked_at(look)
    except ModelError as error:
        problem, hint = error.problem, error.hint
        if watched.running:
            context.remarks.append(f"the picture came as far as {watched.running[-1]}")
    else:
        context = _context(model)
    graph = None if problem else watched.ways.graph(context.fields)
    if graph is None and not problem:
        context.remarks.append("the graph is too large to be drawn")
    context.remarks += [f"{choice.setting}: {choice.value} ({choice.reason})" for choice in model.choices]
    with model.borrowed():
        layers = weighted(model)
        for layer in layers:
            context.dead[layer.name] = dead_filters(layer)
    if any(layer.problem is None for layer in layers):
        context.defaults.setdefault(reading(layers, model.preprocess.channels)[0], []).extend(FIRSTS)
    return LayerTable(
        model=model.name,
        source=model.source,
        weights_sha256=model.weights_sha256,
        precision=model.precision,
        input_shape=tuple(model.blank().shape),
        preprocess=model.preprocess,
        classes=context.classes,
        rows=tuple(_rows(model, watched, context, finished=not problem)),
        parameter_bytes=sum(
            weight.numel() * weight.element_size()
            for weight in model.module.parameters()
            if not is_lazy(weight)
        ),
        graph=graph,
        problem=problem,
        hint=hint,
        remarks=tuple(dict.fromkeys(context.remarks)),
    )


def _send(model: Model, watched: _Pass) -> None:
    inputs = model.blank()
    watched.ways.begin(inputs)
    counting = Counting(watched.note, watched.ways)
    with torch.no_grad(), attention_in_parts(), watched.watching(), watched.ways, counting:
        output = model.output_of(inputs)
    watched.ways.end(output)


@dataclass
class _Context:
    """The part of the table that other looks at a model give, any of which may fail."""

    fields: dict[str, ReceptiveField] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    defaults: dict[str, list[str]] = field(default_factory=dict)  # of each layer, the commands
    dead: dict[str, int | None] = field(default_factory=dict)  # filters of each layer
    remarks: list[str] = field(default_factory=list)


def _context(model: Model) -> _Context:
    context = _Context()
    try:
        context.fields = model.fields
    except ModelError as error:
        context.remarks.append(f"receptive fields cannot be followed: {error.problem}")
    try:
        context.classes = model.labels
        for names, commands in ((model.runs.choose()[0], CAMS), (model.choose_stages()[0], STRIPS)):
            for name in dict.fromkeys(name.partition(" #")[0] for name in names):
                context.defaults.setdefault(name, []).extend(commands)
    except (ModelError, LayerError) as error:
        context.remarks.append(f"no default layers: {error.problem}")
    return context


def _rows(model: Model, watched: _Pass, context: _Context, *, finished: bool) -> Iterator[LayerRow]:
    multiply_adds, activations = _summed(watched.multiply_adds), _summed(watched.activations)
    # Blocks without a forward, as nn.ModuleList, whose layers ran: they did not run, nor were they left out.
    used = set(_summed(watched.runs)) - {name for name, runs in watched.runs.items() if runs}
    grids: set[tuple[int, int]] = set()
    for module, shapes in watched.outputs.items():
        for shape in shapes:
            note_grid(shape, module, grids)
    size = model.preprocess.input_size
    first_use: dict[int, str] = {}  # of every module and parameter, by identity
    for name, module in model.module.named_modules(remove_duplicate=False):
        own = list(module.parameters(recurse=False))
        uses = [first_use.setdefault(id(part), name) for part in (module, *own)]
        outputs = watched.outputs.get(module, ())
        yield LayerRow(
            name=name,
            kind=_kind(module),
            leaf=next(module.children(), None) is None,
            runs=watched.runs.get(name, 0 if finished and name not in used else None),
            outputs=outputs,
            map=map_shape(outputs[0], size, module, grids) if len(outputs) == 1 else None,
            window=_window(module),
            parameters=sum(map(_numbers, module.parameters())),
            own_parameters=sum(map(_numbers, own)),
            trainable=sum(_numbers(weight) for weight in module.parameters() if is_trainable(weight)),
            multiply_adds=multiply_adds[name] if finished else None,
            own_multiply_adds=watched.multiply_adds[name] if finished else None,
            activation_bytes=activations[name] if finished else None,
            own_activation_bytes=watched.activations[name] if finished else None,
            field=_reaches(context.fields.get(name)),
            same_as=next((use for use in uses if use != name), ""),
            default_of=tuple(sorted(context.defaults.get(name, ()))),
            dead=context.dead.get(name),
        )


def _summed(own: Counter[str]) -> Counter[str]:
    """Every block with what it holds, the model itself with everything."""
    total: Counter[str] = Counter()
    for name, number in own.items():
        total[""] += number
        parts = name.split(".") if name else []
        for end in range(len(parts)):
            total[".".join(parts[: end + 1])] += number
    return total


def _kind(module: nn.Module) -> str:
    scripted = isinstance(module, torch.jit.ScriptModule)
    return str(module.original_name) if scripted else type(module).__name__


def _numbers(parameter: Tensor) -> int:
    return 0 if is_lazy(parameter) else parameter.numel()


def _reaches(seen: ReceptiveField | None) -> tuple[Reach, Reach] | None:
    if seen is None:
        return None
    rows, columns = (
        Reach(axis.size, None if axis.size is None else axis.stride) for axis in (seen.rows, seen.columns)
    )
    return rows, columns


def _window(module: nn.Module) -> Window | None:
    """The kernel that a module names; None without one, since a block may have a `stride` and not slide itself."""
    kind = type(module).__name__
    sides = next((int(sign) for sign in "123" if f"{sign}d" in kind.lower()), 1)
    kernel, stride, padding, dilation = (
        _pair(getattr(module, name, None), sides) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    if kernel is None:
        return None
    groups = getattr(module, "groups", None)
    mode = getattr(module, "padding", None)
    # TensorFlow's padding depends on the input: the classes that imitate it say so in their names.
    mode = "same" if kind.endswith("Same") else mode if isinstance(mode, str) else None
    return Window(kernel, stride, mode or padding, dilation, groups if type(groups) is int else None)


def _pair(value: object, sides: int) -> tuple[int, ...] | None:
    if type(value) is int:
        return (value,) * sides
    if isinstance(value, tuple) and value and all(type(side) is int for side in value):
        return value
    return None
