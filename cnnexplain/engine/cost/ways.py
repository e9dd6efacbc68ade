"""Which tensors go from which layer to which, noted while one picture runs through a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnexplain.core.graph.model import (
    INPUT,
    MOST_EDGES,
    MOST_NODES,
    OUTPUT,
    GraphGroup,
    GraphNode,
    ModelGraph,
)
from cnnexplain.engine.fields.axes import storage_of, tensors_in
from cnnexplain.engine.fields.field import ReceptiveField
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument, name_of, plain_name

# What gives back the values that it was given, perhaps in another type or place.
_HANDING_ON = """
detach contiguous to type type_as float half double bfloat16 clone data requires_grad alias cpu cuda to_copy lift_fresh
"""
HANDING_ON = frozenset(_HANDING_ON.split())
_OPERATORS = frozenset(
    ("add", "sub", "mul", "truediv", "floordiv", "matmul", "pow")
)  # also as __radd__, __iadd__
_SPELLED = {"getitem": "index", "setitem": "write", "truediv": "div"}


@dataclass
class _Frame:
    """A layer that is running, or a call of a function: its node, once it has one, or the group of a block."""

    module: nn.Module | None = None
    function: Function | None = None
    node: int | None = None
    group: int | None = None
    arguments: tuple[int, ...] = ()  # the nodes that what it was given came from


@dataclass
class _Noted:
    """A node while the picture is on its way."""

    kind: str
    name: str
    run: int
    group: int
    shape: tuple[int, ...] = ()
    multiply_adds: int = 0
    failed: bool = False


class Ways(TorchFunctionMode):
    """Notes the graph of what is made of the input.

    Layers and functions say what is running, by hooks and as a mode of torch's functions; which tensors go in and out
    is seen below, where every operation passes (`operation`). A tensor comes from the node that made it, or that wrote
    into its memory since, so that views and in-place operations are followed too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._nodes: list[_Noted] = []
        self._groups = [GraphGroup("", "", 1, -1)]
        self._before: dict[int, dict[int, None]] = {}  # of each node those that lead to it
        self._frames: list[_Frame] = []
        self._runs: Counter[nn.Module] = Counter()
        self._time = 0  # counts what was made and written
        self._sources = WeakTensorKeyDictionary()  # of each tensor its node, and when that made it
        # Of memory that was written to the node and the time. The memory is held, so that no other gets its address.
        self._writers: dict[int, tuple[int, int, torch.UntypedStorage]] = {}

    def begin(self, inputs: Tensor) -> None:
        """Note where everything comes from."""
        node = self._node(INPUT)
        self._nodes[node].shape = _shape(inputs)
        self._made((inputs,), node)

    def end(self, output: Any) -> None:
        """Note where what the model returned came from."""
        self._frames.clear()
        node = self._node(OUTPUT)
        self._lead(self.origins(tensors_in(output)), node)
        self._shaped(node, output)

    def origins(self, tensors: Iterable[Tensor]) -> tuple[int, ...]:
        """Return the nodes that tensors come from, each once; none of what was not made of the input."""
        origins: dict[int, None] = {}
        for tensor in tensors:
            node, time = self._sources.get(tensor, (None, 0))  # type: ignore[no-untyped-call]
            memory = storage_of(tensor) if self._writers else None
            if memory is not None and memory._cdata in self._writers:
                writer, written, _ = self._writers[memory._cdata]
                node = writer if written > time else node
            if node is not None:
                origins[node] = None
        return tuple(origins)

    def enter(self, name: str, module: nn.Module, arguments: Any) -> None:
        """Note that a layer begins to run, under this one of its names."""
        self._runs[module] += 1
        run = self._runs[module]
        kind, group = type(module).__name__, self._group()
        frame = _Frame(module, arguments=self.origins(tensors_in(arguments)))
        if next(module.children(), None) is None:
            frame.node = self._node(kind, name, run)
        else:
            frame.group = len(self._groups)
            self._groups.append(GraphGroup(kind, name, run, group))
        self._frames.append(frame)

    def leave(self, module: nn.Module, output: Any) -> None:
        """Note that a layer ends. What it returns comes from it, also where it hands on what it was given.

        Of one that raised, and was caught by those around it, `output` is None, and it is no part of the graph.
        """
        frame = self._frames.pop()
        while frame.module is not module:
            frame = self._frames.pop()
        if (node := frame.node) is None:
            return
        self._nodes[node].failed = output is None
        if node not in self._before:
            self._lead(frame.arguments, node)
        self._shaped(node, output)
        if node in self._before:
            self._made(tensors_in(output), node)

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        if self._frames and self._frames[-1].group is None:  # within a layer, or another function
            return func(*args, **(kwargs or {}))
        frame = _Frame(function=func)
        self._frames.append(frame)
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            if self._frames and self._frames[-1] is frame:
                self._frames.pop()
        if frame.node is not None:
            self._shaped(frame.node, result)
        return result

    def operation(
        self,
        func: Function,
        args: Args,
        kwargs: Kwargs,
        origins: Sequence[int],
        made: Sequence[Tensor],
        multiply_adds: int,
    ) -> None:
        """Note one of torch's own operations, among whose operands are some that come from `origins`."""
        frame = self._frames[-1] if self._frames and self._frames[-1].group is None else None
        node = frame.node if frame else None
        if node is None:
            name = _called(plain_name(frame.function) if frame and frame.function else name_of(func))
            if name in HANDING_ON:
                self._made(made, origins[0])
                return
            node = self._node(name)
            self._shaped(node, made)
            if frame:
                frame.node = node
        self._nodes[node].multiply_adds += multiply_adds
        self._lead(origins, node)
        written = list(_written(func, args, kwargs))
        self._made((*made, *written), node)
        for tensor in written:
            if (memory := storage_of(tensor)) is not None:
                self._writers[memory._cdata] = node, self._time, memory

    def graph(self, fields: Mapping[str, ReceptiveField]) -> ModelGraph | None:
        """The graph, with the receptive fields of layers by `name #run`; None where it is too large."""
        kept = [place for place, node in enumerate(self._nodes) if not node.failed]
        places = {node: place for place, node in enumerate(kept)}
        edges = sorted(
            (places[source], places[target])
            for target, sources in self._before.items()
            for source in sources
            if source in places and target in places
        )
        if len(kept) > MOST_NODES or len(edges) > MOST_EDGES:
            return None
        return ModelGraph(
            tuple(_finished(self._nodes[node], fields) for node in kept), tuple(self._groups), tuple(edges)
        )

    def _group(self) -> int:
        return next((frame.group for frame in reversed(self._frames) if frame.group is not None), 0)

    def _node(self, kind: str, name: str = "", run: int = 0) -> int:
        self._nodes.append(_Noted(kind, name, run, self._group()))
        return len(self._nodes) - 1

    def _lead(self, origins: Iterable[int], node: int) -> None:
        for origin in origins:
            if origin < node:
                self._before.setdefault(node, {})[origin] = None

    def _shaped(self, node: int, output: Any) -> None:
        first = next(tensors_in(output), None)
        if first is not None:
            self._nodes[node].shape = _shape(first)

    def _made(self, tensors: Iterable[Tensor], node: int) -> None:
        self._time += 1
        for tensor in tensors:
            self._sources[tensor] = node, self._time


def _finished(node: _Noted, fields: Mapping[str, ReceptiveField]) -> GraphNode:
    seen = fields.get(f"{node.name} #{node.run}") if node.name else None
    field = None if seen is None else (seen.rows.size, seen.columns.size)
    return GraphNode(node.kind, node.name, node.run, node.shape, node.multiply_adds, node.group, field)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    with torch._C.DisableTorchFunction():
        return tuple(map(int, tensor.shape))


def _written(func: Function, args: Args, kwargs: Kwargs) -> Iterator[Tensor]:
    """The tensors that an operation writes to, as its declaration says."""
    if isinstance(func, OpOverload) and func._schema.is_mutable:
        for place, declared in enumerate(func._schema.arguments):
            if declared.alias_info is not None and declared.alias_info.is_write:
                yield from tensors_in(argument(args, kwargs, place, declared.name))


def _called(name: str) -> str:
    """What a function is called: add for `add_`, `__add__`, `__radd__` and `__iadd__`."""
    name = name.strip("_")
    if name[:1] in ("i", "r") and name[1:] in _OPERATORS:
        name = name[1:]
    return _SPELLED.get(name, name) or "function"
