"""Which of the input's pixels each cell of each layer's map can see: receptive fields, followed through one pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnexplain.engine.capture import map_layout, note_grid
from cnnexplain.engine.fields.axes import (
    AxisField,
    Call,
    Rule,
    Seen,
    anything,
    fitting,
    same,
    storage_of,
    tensors_in,
)
from cnnexplain.engine.fields.rules import call_of
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.scoring.ending_rules import is_dense
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, unwatched

__all__ = ["EVERYTHING", "AxisField", "ReceptiveField", "receptive_fields"]

# A value that is read out of torch may come back from anywhere. Not `__bool__`: it is what checks and asserts ask for.
_LEAVING = """
item tolist numpy __array__ __dlpack__ __float__ __int__ __index__ __complex__ _local_scalar_dense backward
"""
LEAVING = frozenset(_LEAVING.split())


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels of the input that each cell of one layer's map sees."""

    rows: AxisField
    columns: AxisField

    @property
    def whole(self) -> bool:
        """Whether every cell sees the whole input, in both directions."""
        return self.rows.size is self.columns.size is None

    def box(self, cell: tuple[int, int], input_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The box that `cell` (row, column) sees of an input (height, width): left, top, right, bottom in its pixels.

        Right and bottom are one past the last pixel, as crops have them.
        """
        top, bottom = self.rows.span(cell[0], input_size[0])
        left, right = self.columns.span(cell[1], input_size[1])
        return left, top, right, bottom


EVERYTHING = ReceptiveField(*(AxisField(1, -math.inf, math.inf),) * 2)  # a field that could not be followed


def receptive_fields(
    module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Tensor], *, every_run: bool = False
) -> dict[str, ReceptiveField]:
    """The field of every named submodule's map when `forward` sends `inputs` (1, C, H, W) through the module.

    A layer that is run several times has the field of its last map; with `every_run` those of all its runs are there
    too, as `name #1` and so on. Fields are exact for what convolutional networks are made of. An operation that is not
    known sees all that it is given, and once a value has been read out of torch (by `item`, `tolist`, `numpy` and the
    like), every later map sees the whole input.

    So a field is never too small, with these exceptions: what a value decides without being read (an `if` on a
    tensor, the number of elements that `nonzero` finds), what gets at memory past torch's functions (extensions,
    addresses, storages), fused kernels on tensors cut off from the gradient, and running statistics that
    normalisation updates in training mode. Fields hold for inputs of this size. Leaves no hook behind.
    """
    following = Following((int(inputs.shape[2]), int(inputs.shape[3])))
    fields: dict[str, ReceptiveField] = {}
    seen: set[str] = set()

    def note(name: str, run: int, output: Tensor, first: int) -> None:
        seen.add(name)
        fields[f"{name} #{run}"] = following.field(output, first)
        if name not in fields or output.shape[first : first + 2].numel() > 1:
            fields[name] = fields[f"{name} #{run}"]

    follow(following, module, inputs, forward, note)
    return fields if every_run else {name: fields[name] for name in fields if name in seen}


def follow(
    following: Following,
    module: nn.Module,
    inputs: Tensor,
    forward: Callable[[Tensor], Any],
    note: Callable[[str, int, Tensor, int], None],
) -> None:
    """Send `inputs` (1, C, H, W) through the module under `following`, and call `note` for every map of a submodule.

    `note` is given the name, the number of the run from 1, the map, and which dimension its rows are; its columns are
    the next. Leaves no hook behind.
    """
    size = (int(inputs.shape[2]), int(inputs.shape[3]))
    runs: Counter[str] = Counter()
    grids: set[tuple[int, int]] = set()

    @unwatched
    def look(name: str, layer: nn.Module, _arguments: Any, output: Any) -> None:
        runs[name] += 1
        if not is_dense(output) or output.shape[:1] != (1,) or not output.is_floating_point():
            return
        note_grid(output.shape, layer, grids)
        layout = map_layout(tuple(output.shape), size, layer, grids)
        if layout is not None:
            note(name, runs[name], output, 2 if layout == "NCHW" else 1)

    with hooked(submodules(module, every_name=True), after=look), torch.enable_grad():
        # A copy, so that a model may write into its input.
        start = inputs.detach().requires_grad_().clone()
        following.begin(start)
        with following, Underneath():  # type: ignore[no-untyped-call]
            forward(start)


class Underneath(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has `Following` see the operators that run below torch's functions, such as the steps of a script."""

    def __torch_dispatch__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Following(TorchFunctionMode):
    """Notes for every tensor made from the input what its elements see of it.

    The input requires a gradient: what does too, but is not noted, came out of an operation that cannot be seen,
    such as a compiled kernel, and may see everything.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        rows, columns = ((AxisField(1, -math.inf, math.inf, ((0, length - 1),)), None) for length in size)
        self.unseen: Seen = rows, columns
        # Of each tensor: what it sees, and its memory's age at that time.
        self.noted = WeakTensorKeyDictionary()
        # How often memory took in something new: tensors from before that, which share it, are not what they were.
        # The memory itself is held as well, so that no other gets its address.
        self.ages: dict[int, tuple[int, torch.UntypedStorage]] = {}
        self.read_out = False  # whether a value that depends on the input was read out of torch

    def rule_of(self, function: Function, args: Args, kwargs: Kwargs) -> tuple[Rule, Kwargs]:
        """The rule by which a function hands on what its operands see, and its arguments by their names."""
        return call_of(function, args, kwargs)

    def unknown(self, call: Call) -> Seen | None:
        """The field of a result where no rule of the function is known, or its rule does not know this call."""
        return anything(call)

    def leaves(self, _read: Iterable[Tensor]) -> bool:
        """Whether values that depend on the input escape when these tensors are read out of torch."""
        return True

    def begin(self, inputs: Tensor) -> None:
        """Begin with `inputs` (1, C, H, W), of which every cell sees itself."""
        rows, columns = (
            (AxisField(1, 0, 0, tuple((i, i) for i in range(inputs.shape[dim]))), dim) for dim in (2, 3)
        )
        self._note(inputs, (rows, columns))

    def field(self, output: Tensor, first: int) -> ReceptiveField:
        """The field of a map whose rows and columns are the dimensions `first` and the one behind it."""
        seen = self._look(output)
        if seen is None or self.read_out:
            seen = self.unseen
        rows, columns = (
            axis if dim == place else axis.widened()
            for (axis, dim), place in zip(seen, (first, first + 1), strict=True)
        )
        return ReceptiveField(rows, columns)

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        operands = {id(tensor): tensor for tensor in tensors_in((args, kwargs))}
        before = {key: self._look(tensor) for key, tensor in operands.items()}
        versions = {key: _version(tensor) for key, tensor in operands.items()}
        result = func(*args, **kwargs)
        known = any(seen is not None for seen in before.values())
        if name.split(".")[0] in LEAVING and known:
            self.read_out = self.read_out or self.leaves(operands.values())
        made = {id(tensor): tensor for tensor in tensors_in(result)}
        replaced = args[:1] if name == "__set__" and isinstance(args[1], Tensor) else ()
        written = {
            key: tensor
            for key, tensor in operands.items()
            if versions[key] is None
            or versions[key] != _version(tensor)
            or any(tensor is other for other in replaced)
        }
        for key, out in {**written, **made}.items():
            seen = None
            if known and not is_dense(out):
                seen = self.unseen  # nested or sparse: it has no places that a rule could name
            elif known:
                rule, named = self.rule_of(func, args, kwargs)
                call = Call(func, args, kwargs, named, out, lambda tensor: before.get(id(tensor)))
                if key not in made and name != "__setitem__":
                    rule = self.unknown  # a rule speaks of what a function returns
                try:
                    seen = fitting(rule(call), out)
                except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError):
                    seen = self.unknown(call)  # called in a way that the rule does not know
            if id(out) in before and not same(before[id(out)], seen):
                self._grown(out)
            if known or out.requires_grad:
                self._note(out, seen)
        return result

    def _look(self, tensor: Tensor) -> Seen | None:
        age = self._age(tensor)
        if tensor in self.noted:
            seen, noted_at = self.noted[tensor]
            return seen if age == noted_at else self.unseen
        return self.unseen if age or (tensor.requires_grad and tensor.grad_fn is not None) else None

    def _note(self, tensor: Tensor, seen: Seen | None) -> None:
        self.noted[tensor] = seen, self._age(tensor)

    def _age(self, tensor: Tensor) -> int:
        memory = storage_of(tensor)
        return self.ages[memory._cdata][0] if memory is not None and memory._cdata in self.ages else 0

    def _grown(self, tensor: Tensor) -> None:
        memory = storage_of(tensor)
        if memory is not None:
            self.ages[memory._cdata] = self._age(tensor) + 1, memory
        if tensor._base is not None:
            self._note(tensor._base, self.unseen)


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to; None where torch does not count, so that every call may have written to it."""
    return None if tensor.is_inference() else int(tensor._version)
