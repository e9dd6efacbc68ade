"""Which of softmax, sigmoid and their logarithms made a tensor, and what went into them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnexplain.engine.scoring.ending_rules import (
    ARITHMETIC,
    EXPONENTIALS,
    JOINING,
    LARGEST,
    LINEAR,
    LOGARITHMS,
    MAPS,
    MULTIPLYING,
    OPERATIONS,
    PER_CLASS,
    SELECTING,
    VIEWS,
    dimension,
    hardly_changes,
    is_dense,
    is_number,
    scale,
    version,
)
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, argument, unwatched

Dim = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Ending:
    """What a tensor came out of: `inputs` went through the operations `through`, in this order.

    `inputs` has the tensor's shape: what reshaped the tensor after the operations has reshaped it as well. `dims` has
    for each operation the dimension that it ran over and its length; None where that is not known, or per value.
    Where only some of the classes of a softmax are left, `inputs` are their log-odds, `through` is a sigmoid, and
    `odds` is the name of the softmax.
    """

    inputs: Tensor
    through: tuple[str, ...]
    dims: tuple[Dim | None, ...]
    shapes: frozenset[tuple[int, ...]]  # of what the operations gave back, without the batch
    version: int  # of the tensor: one that was written to since is another
    odds: str = ""
    unit: float = 1.0  # what the tensor holds where a probability is 1: percent are of 100
    scaled_from: str = ""  # the operation whose result, scaled, went into these
    rounded: bool = False


class Endings(TorchFunctionMode):
    """While it is active, notes what comes out of softmax, sigmoid and their logarithms, as module, function or method.

    `shapes`: note only what has one of these shapes behind the batch, as a look at the model's way has shown. Without
    it, also which tensors came out of linear layers (`linear`: a rising number each) and out of 2-D convolutions
    (`maps`).
    """

    def __init__(self, shapes: frozenset[tuple[int, ...]] | None = None) -> None:
        super().__init__()
        self._known: Any = WeakTensorKeyDictionary()
        self._changed: Any = WeakTensorKeyDictionary()
        self._shapes = shapes
        self.linear: Any = WeakTensorKeyDictionary()
        self.maps: list[Tensor] = []
        self._count = 0
        self._rows: list[tuple[str, int]] = []  # operations, and how many classes each ran over

    @unwatched
    def ending(self, tensor: Tensor) -> Ending | None:
        """What a tensor came out of; None where that is no operation of `OPERATIONS`."""
        ending: Ending | None = self._known.get(tensor)
        return ending if ending is not None and ending.version == version(tensor) else None

    def changed(self, tensor: Tensor) -> str:
        """Which operation made the probabilities that arithmetic not followed made a tensor of; empty for others."""
        ending: Ending | None = self._known.get(tensor)
        if ending is not None and ending.version != version(tensor) and ending.through[-1] in LOGARITHMS:
            return ending.through[-1]
        return str(self._changed.get(tensor, ""))

    def made_rows(self, classes: int) -> tuple[str, ...]:
        """Which operations made probabilities of so many classes, each named once; wherever that was."""
        return tuple(dict.fromkeys(name for name, count in self._rows if count == classes))

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, and note what it gives back."""
        kwargs = kwargs or {}
        called = getattr(func, "__name__", "").split(".")[0]
        name = called.strip("_").removeprefix("special_")
        inputs = argument(args, kwargs, 0, "input")
        in_place = called.endswith("_") and not called.endswith("__")
        if name in OPERATIONS and isinstance(inputs, Tensor):
            before = self.ending(inputs)
            scaled_from = before.through[-1] if before is not None and before.unit != 1 else ""
            before = None if scaled_from else before
            # A copy, since the operation may overwrite its input.
            kept = inputs.clone() if before is None and self._may_end(inputs) else None
            result = func(*args, **kwargs)
            if before is not None or kept is not None:
                self._note_operation(OPERATIONS[name], result, kept, before, args, kwargs, scaled_from)
            if isinstance(result, Tensor) and (number := self.linear.get(inputs)) is not None:
                self.linear[result] = number
            return result
        if name in JOINING and isinstance(inputs, (tuple, list)):
            result = func(*args, **kwargs)
            self._note_joined(func, inputs, result, args, kwargs)
            return result
        written = args
        if name in MULTIPLYING and not in_place and len(args) == 2 and is_dense(inputs) and not inputs.ndim:
            inputs, args = args[1], args[::-1]  # torch.tensor(100) * p
        before = self.ending(inputs) if isinstance(inputs, Tensor) else None
        result = func(*written, **kwargs)
        if before is not None and (not in_place or name not in VIEWS):
            self._note_further(func, name, before, result, args, kwargs)
        if self._shapes is None:
            self._note_changed(before, name, inputs, result, args)
            self._note_lineage(name, inputs, result, args)
        return result

    @unwatched
    def _may_end(self, inputs: Tensor) -> bool:
        """Whether these may be scores that go into the model's last operation."""
        if not is_dense(inputs) or not inputs.is_floating_point() or not inputs.ndim:
            return False
        if self._shapes is not None:
            return tuple(inputs.shape[1:]) in self._shapes
        return inputs.numel() <= LARGEST * max(1, len(inputs))

    def _note_operation(
        self,
        operation: str,
        result: Any,
        kept: Tensor | None,
        before: Ending | None,
        args: Args,
        kwargs: Kwargs,
        scaled_from: str,
    ) -> None:
        if not isinstance(result, Tensor):
            return
        dim = None if operation in PER_CLASS else dimension(result, args, kwargs)
        if dim is not None and dim[0] > 0:
            self._rows.append((operation, dim[1]))
        elif operation in PER_CLASS and result.ndim == 2:
            self._rows.append((operation, int(result.shape[1])))
        inputs = before.inputs if before is not None else kept
        if inputs is None:
            return
        through, dims = (before.through, before.dims) if before is not None else ((), ())
        if through[-1:] == ("log_softmax",) and operation in ("softmax", "log_softmax"):
            through, dims = through[:-1], dims[:-1]  # the softmax of log-probabilities is the probabilities
        shapes = before.shapes if before is not None else frozenset()
        self._known[result] = Ending(
            inputs,
            (*through, operation),
            (*dims, dim),
            shapes | {tuple(result.shape[1:])},
            version(result),
            scaled_from=scaled_from or (before.scaled_from if before is not None else ""),
        )

    def _note_joined(self, func: Any, parts: Any, result: Any, args: Args, kwargs: Kwargs) -> None:
        """Sigmoids side by side, as of one head for each class, are sigmoids."""
        endings = [self.ending(part) for part in parts if isinstance(part, Tensor)]
        known = [ending for ending in endings if ending is not None]
        if not known or len(known) < len(parts) or not isinstance(result, Tensor):
            return
        first = known[0]
        if first.through[-1] not in PER_CLASS or any(
            (ending.through, ending.unit) != (first.through, first.unit) for ending in known
        ):
            return
        inputs = func([ending.inputs for ending in known], *args[1:], **kwargs)
        shapes = frozenset().union(*(ending.shapes for ending in known))
        self._known[result] = replace(first, inputs=inputs, shapes=shapes, version=version(result))

    def _note_further(
        self, func: Any, name: str, before: Ending, result: Any, args: Args, kwargs: Kwargs
    ) -> None:
        """What becomes of probabilities behind the operation: another shape, a logarithm, nothing to speak of."""
        last = before.through[-1]
        factor = scale(name, args, kwargs) if last in LOGARITHMS else None
        near = hardly_changes(name, args, kwargs, before.unit)
        if before.unit != 1 and name not in VIEWS and not near and factor is None:
            return  # a logarithm of percent, and the like
        before = replace(before, rounded=before.rounded or name == "round")
        turned = {"log": LOGARITHMS, "exp": EXPONENTIALS}.get(name, {}).get(last)
        if turned is not None:
            further: Any = before.inputs
            before = replace(before, through=(*before.through[:-1], turned))
        elif name == "rsub" and last == "sigmoid" and args[1:2] in ((1,), (1.0,)):
            further = -before.inputs  # 1 - sigmoid(x) is sigmoid(-x)
        elif near:
            further = before.inputs
        elif factor is not None:
            unit = before.unit * factor
            further = before.inputs
            before = replace(before, unit=1.0 if math.isclose(unit, 1, rel_tol=1e-6) else unit)
        elif name in VIEWS:
            if name in SELECTING and last not in PER_CLASS:
                before = _with_odds(before, lambda values: func(values, *args[1:], **kwargs))
            further = func(before.inputs, *args[1:], **kwargs)
        else:
            return
        several = isinstance(result, (tuple, list))
        for part, inputs in zip(result, further, strict=True) if several else [(result, further)]:
            if isinstance(part, Tensor) and isinstance(inputs, Tensor) and part.shape == inputs.shape:
                self._known[part] = replace(before, inputs=inputs, version=version(part))

    @unwatched
    def _note_changed(self, before: Ending | None, name: str, inputs: Any, result: Any, args: Args) -> None:
        """What arithmetic with numbers makes of probabilities, where it is not followed."""
        if (
            not isinstance(inputs, Tensor)
            or not isinstance(result, Tensor)
            or self.ending(result) is not None
        ):
            return
        made = before.through[-1] if before is not None else self.changed(inputs)
        same = result.shape == inputs.shape and result.is_floating_point() and name not in LINEAR
        others = [value for value in args if value is not inputs and not is_number(value)]
        known = all(isinstance(part, Tensor) and (self.ending(part) or self.changed(part)) for part in others)
        if made in LOGARITHMS and ((same and known) or name in VIEWS):
            self._changed[result] = made

    def _note_lineage(self, name: str, inputs: Any, result: Any, args: Args) -> None:
        """Which tensors are what a linear layer gave back, but for constants and another shape."""
        if not isinstance(result, Tensor):
            return
        if name in MAPS and result.requires_grad and result.ndim == 4:
            self.maps.append(result)
        if name in LINEAR:
            self._count += 1
            self.linear[result] = self._count
        elif name in VIEWS or name in ARITHMETIC:
            known = [self.linear.get(part) for part in (inputs, *args[1:2]) if isinstance(part, Tensor)]
            others = [part for part in args[1:2] if isinstance(part, Tensor) and part.requires_grad]
            if known and known[0] is not None and not others:
                self.linear[result] = known[0]


def _with_odds(before: Ending, select: Callable[[Tensor], Any]) -> Ending:
    """The ending with log-odds for inputs where `select` does not keep all classes of the last softmax together.

    The odds of a class are p / (1 - p). Their logarithm is what a sigmoid makes p of, as of x_1 - x_0 where there are
    two classes.
    """
    dim, last = before.dims[-1], before.through[-1]
    if dim is None or len(before.through) > 1 or dim[0] >= before.inputs.ndim:
        return before
    axis, length = dim
    numbers = torch.arange(length, device=before.inputs.device)
    numbers = numbers.reshape(-1, *[1] * (before.inputs.ndim - axis - 1)).expand(before.inputs.shape)
    selected = select(numbers)
    parts = selected if isinstance(selected, (tuple, list)) else [selected]
    if all(not isinstance(part, Tensor) or len(set(part.flatten().tolist())) == length for part in parts):
        return before
    logs = before.inputs.double().log_softmax(axis)
    odds = (logs - (-logs.expm1()).clamp_min(1e-300).log()).to(before.inputs.dtype)
    through = "sigmoid" if last == "softmax" else "logsigmoid"
    return replace(before, inputs=odds, through=(through,), dims=(None,), odds=last)
