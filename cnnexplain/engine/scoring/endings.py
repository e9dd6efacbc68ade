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
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, unwatched

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
    whole: float = 1.0  # what the tensor holds where a probability is 1: percent are of 100
    again: str = ""  # the operation whose result, scaled, went into these
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
        found: Ending | None = self._known.get(tensor)
        return found if found is not None and found.version == version(tensor) else None

    def changed(self, tensor: Tensor) -> str:
        """Which operation made the probabilities that arithmetic not followed made a tensor of; empty for others."""
        found: Ending | None = self._known.get(tensor)
        if found is not None and found.version != version(tensor) and found.through[-1] in LOGARITHMS:
            return found.through[-1]
        return str(self._changed.get(tensor, ""))

    def made_rows(self, classes: int) -> tuple[str, ...]:
        """Which operations made probabilities of so many classes, each named once; wherever that was."""
        return tuple(dict.fromkeys(name for name, count in self._rows if count == classes))

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`, and note what it gives back."""
        kwargs = kwargs or {}
        called = getattr(func, "__name__", "").split(".")[0]
        name = called.strip("_").removeprefix("special_")
        given = args[0] if args else kwargs.get("input")
        in_place = called.endswith("_") and not called.endswith("__")
        if name in OPERATIONS and isinstance(given, Tensor):
            before = self.ending(given)
            again = before.through[-1] if before is not None and before.whole != 1 else ""
            before = None if again else before
            kept = given.clone() if before is None and self._wanted(given) else None  # it may be overwritten
            result = func(*args, **kwargs)
            if before is not None or kept is not None:
                self._note_operation(OPERATIONS[name], result, kept, before, args, kwargs, again)
            if isinstance(result, Tensor) and (number := self.linear.get(given)) is not None:
                self.linear[result] = number
            return result
        if name in JOINING and isinstance(given, (tuple, list)):
            result = func(*args, **kwargs)
            self._note_joined(func, given, result, args, kwargs)
            return result
        written = args
        if name in MULTIPLYING and not in_place and len(args) == 2 and is_dense(given) and not given.ndim:
            given, args = args[1], args[::-1]  # torch.tensor(100) * p
        before = self.ending(given) if isinstance(given, Tensor) else None
        result = func(*written, **kwargs)
        if before is not None and (not in_place or name not in VIEWS):
            self._note_further(func, name, before, result, args, kwargs)
        if self._shapes is None:
            self._note_changed(before, name, given, result, args)
            self._note_lineage(name, given, result, args)
        return result

    @unwatched
    def _wanted(self, given: Tensor) -> bool:
        if not is_dense(given) or not given.is_floating_point() or not given.ndim:
            return False
        if self._shapes is not None:
            return tuple(given.shape[1:]) in self._shapes
        return given.numel() <= LARGEST * max(1, len(given))

    def _note_operation(
        self,
        operation: str,
        result: Any,
        kept: Tensor | None,
        before: Ending | None,
        args: Args,
        kwargs: Kwargs,
        again: str,
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
            again=again or (before.again if before is not None else ""),
        )

    def _note_joined(self, func: Any, parts: Any, result: Any, args: Args, kwargs: Kwargs) -> None:
        """Sigmoids side by side, as of one head for each class, are sigmoids."""
        endings = [self.ending(one) for one in parts if isinstance(one, Tensor)]
        known = [one for one in endings if one is not None]
        if not known or len(known) < len(parts) or not isinstance(result, Tensor):
            return
        first = known[0]
        if first.through[-1] not in PER_CLASS or any(
            (one.through, one.whole) != (first.through, first.whole) for one in known
        ):
            return
        inputs = func([one.inputs for one in known], *args[1:], **kwargs)
        shapes = frozenset().union(*(one.shapes for one in known))
        self._known[result] = replace(first, inputs=inputs, shapes=shapes, version=version(result))

    def _note_further(
        self,
        func: Any,
        name: str,
        before: Ending,
        result: Any,
        args: Args,
        kwargs: Kwargs,
    ) -> None:
        """What becomes of probabilities behind the operation: another shape, a logarithm, nothing to speak of."""
        last = before.through[-1]
        factor = scale(name, args, kwargs) if last in LOGARITHMS else None
        near = hardly_changes(name, args, kwargs, before.whole)
        if before.whole != 1 and name not in VIEWS and not near and factor is None:
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
            whole = before.whole * factor
            further = before.inputs
            before = replace(before, whole=1.0 if math.isclose(whole, 1, rel_tol=1e-6) else whole)
        elif name in VIEWS:
            if name in SELECTING and last not in PER_CLASS:
                before = _with_odds(before, lambda values: func(values, *args[1:], **kwargs))
            further = func(before.inputs, *args[1:], **kwargs)
        else:
            return
        pairs = (
            zip(result, further, strict=True) if isinstance(result, (tuple, list)) else [(result, further)]
        )
        for one, inputs in pairs:
            if isinstance(one, Tensor) and isinstance(inputs, Tensor) and one.shape == inputs.shape:
                self._known[one] = replace(before, inputs=inputs, version=version(one))

    @unwatched
    def _note_changed(self, before: Ending | None, name: str, given: Any, result: Any, args: Args) -> None:
        """What arithmetic with numbers makes of probabilities, where it is not followed."""
        if not isinstance(given, Tensor) or not isinstance(result, Tensor) or self.ending(result) is not None:
            return
        made = before.through[-1] if before is not None else self.changed(given)
        same = result.shape == given.shape and result.is_floating_point() and name not in LINEAR
        others = [one for one in args if one is not given and not is_number(one)]
        known = all(isinstance(one, Tensor) and (self.ending(one) or self.changed(one)) for one in others)
        if made in LOGARITHMS and ((same and known) or name in VIEWS):
            self._changed[result] = made

    def _note_lineage(self, name: str, given: Any, result: Any, args: Args) -> None:
        """Which tensors are what a linear layer gave back, but for constants and another shape."""
        if not isinstance(result, Tensor):
            return
        if name in MAPS and result.requires_grad and result.ndim == 4:
            self.maps.append(result)
        if name in LINEAR:
            self._count += 1
            self.linear[result] = self._count
        elif name in VIEWS or name in ARITHMETIC:
            known = [self.linear.get(one) for one in (given, *args[1:2]) if isinstance(one, Tensor)]
            others = [one for one in args[1:2] if isinstance(one, Tensor) and one.requires_grad]
            if len(known) > 0 and known[0] is not None and not others:
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
    if all(not isinstance(one, Tensor) or len(set(one.flatten().tolist())) == length for one in parts):
        return before
    logs = before.inputs.double().log_softmax(axis)
    odds = (logs - (-logs.expm1()).clamp_min(1e-300).log()).to(before.inputs.dtype)
    through = "sigmoid" if last == "softmax" else "logsigmoid"
    return replace(before, inputs=odds, through=(through,), dims=(None,), odds=last)
