"""A tensor that stands for many variants of one image, and goes through any model as a batch of them would."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from cnnexplain.engine.perturb.boxes import Boxed, Same
from cnnexplain.errors import CnnexplainError, is_out_of_memory

Operator = Any  # torch._ops.OpOverload, which torch does not declare


@dataclass(frozen=True)
class Application:
    """One of torch's operators, none of which writes into its operands, and what it is applied to."""

    func: Operator
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def maps(self) -> Boxed | None:
        """The first operand where it is boxed."""
        return boxed(self.args[0])

    @property
    def leaves(self) -> list[Any]:
        """All operands."""
        return tree_leaves((self.args, self.kwargs))

    def of(self, value: Any) -> Any:
        """The result with another first operand."""
        return self.func(value, *self.args[1:], **self.kwargs)


Rule = Callable[[Application], Any]  # NotImplemented where it does not apply
RULES: dict[Any, Rule] = {}  # by operator; `rules` has them


class NotFollowedError(CnnexplainError):
    """A model did with variants what cannot be followed; all of each has to be computed."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "compute all of each variant")


@dataclass
class Progress:
    """What becomes of variants on their way through a model."""

    whole_from: str = ""  # the first operation that needed all of each variant
    cells: int = 0  # of boxes that convolutions computed
    of_cells: int = 0  # of the maps that these were a part of

    def add(self, other: Progress) -> None:
        """Count what became of further variants."""
        self.whole_from = self.whole_from or other.whole_from
        self.cells += other.cells
        self.of_cells += other.of_cells


PROGRESS: ContextVar[Progress] = ContextVar("progress")


class Variants(Tensor):
    """N variants (N, ...) of a tensor (1, ...): the same for all, as a `Boxed`, or in full once that is needed.

    Torch's own operators arrive here one by one, whatever the model's code calls. Those of `rules.RULES` compute what
    a variant changes; any other is carried out on all of each, and from there on the model has plain tensors.
    """

    content: Same | Boxed | Tensor | None  # None where the values are not known
    family: list[weakref.ref[Variants]]  # all that may share its memory, itself included

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # C code

    @staticmethod
    def __new__(cls, content: Same | Boxed | Tensor | None, like: Tensor | None = None) -> Variants:
        """Stand for `content`; where that is not known, for something of the shape of `like`."""
        of = like if content is None else content if isinstance(content, Tensor) else content.base
        if of is None:
            raise ValueError("variants of nothing")
        count = (
            content.count
            if isinstance(content, Same)
            else len(content.patch)
            if isinstance(content, Boxed)
            else len(of)
        )
        made: Variants = Tensor._make_wrapper_subclass(
            cls, (count, *of.shape[1:]), dtype=of.dtype, device=of.device
        )
        made.content, made.family = content, []
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Variants(shape={tuple(self.shape)})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Operator, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out an operator on variants."""
        target = args[0] if func._schema.is_mutable and args and isinstance(args[0], Variants) else None
        if target is None:
            result = _result(Application(func, args, kwargs or {}))
            return _linked(result, args) if func.is_view else result
        result = _result(Application(_not_in_place(func), args, kwargs or {}))
        for member in target.family:
            if (relative := member()) is not None:
                relative.content = None  # what it holds now is not known, and is asked for hardly ever
        target.content, target.family = (result.content if isinstance(result, Variants) else result), []
        return target


def boxed(value: Any) -> Boxed | None:
    """What variants hold where that is boxes; else None."""
    return value.content if isinstance(value, Variants) and isinstance(value.content, Boxed) else None


def plain(value: Any) -> Any:
    """Variants in full, (N, ...); anything else as it is."""
    if not isinstance(value, Variants):
        return value
    if value.content is None:
        raise NotFollowedError(
            "its code uses the places of the largest values, or a map after writing into a view of it"
        )
    return value.content if isinstance(value.content, Tensor) else value.content.whole()


def _result(call: Application) -> Any:
    rule = RULES.get(call.func.overloadpacket)
    result = NotImplemented if rule is None else rule(call)
    if result is NotImplemented:
        result = _on_base(call)
    return _on_all(call) if result is NotImplemented else result


def _on_base(call: Application) -> Any:
    """An operator on what is the same for all variants, as far as each is computed by itself."""
    func = _with_copy(call.func)
    variants = [value for value in call.leaves if isinstance(value, Variants)]
    if not all(isinstance(value.content, Same) for value in variants) or call.func._schema.is_mutable:
        return NotImplemented
    args, kwargs = tree_map(_base, (call.args, call.kwargs))
    try:
        results = func(*args, **kwargs)
    except (RuntimeError, IndexError) as error:  # a shape or an index that counts variants: see `_on_all`
        if is_out_of_memory(error):
            raise
        return NotImplemented
    # What has no values, as the statistics that a batch norm kept none of, is the same for any number of variants.
    made = tree_leaves(results)
    if not all(isinstance(one, Tensor) and (_is_single(one) or not one.numel()) for one in made):
        return NotImplemented
    count = len(variants[0])
    return tree_map(lambda one: Variants(Same(one, count)) if _is_single(one) else one, results)


def _is_single(value: Tensor) -> bool:
    return value.ndim > 0 and len(value) == 1


def _base(value: Any) -> Any:
    return value.content.base if isinstance(value, Variants) else value  # type: ignore[union-attr]


def _on_all(call: Application) -> Any:
    """An operator on all of each variant."""
    progress = PROGRESS.get()
    if not progress.whole_from and any(map(boxed, call.leaves)):
        progress.whole_from = _name(call.func)
    if call.func._schema.is_mutable and len(call.args[0]) != _count(call):
        raise NotFollowedError(f"{_name(call.func)} writes variants into a tensor of the model's own")
    args, kwargs = tree_map(plain, (call.args, call.kwargs))
    return _with_copy(call.func)(*args, **kwargs)


def _with_copy(func: Operator) -> Operator:
    """`reshape` for `view`, which torch asks for by the strides of variants, not by those of what they hold."""
    return torch.ops.aten.reshape.default if func is torch.ops.aten.view.default else func


def _count(call: Application) -> int:
    return next(len(one) for one in call.leaves if isinstance(one, Variants))


def _linked(result: Any, args: tuple[Any, ...]) -> Any:
    """The same result, known to share memory with what it was made of."""
    made = tree_map(lambda value: value if isinstance(value, Variants) else Variants(value), result)
    members = [one for one in tree_leaves((args, made)) if isinstance(one, Variants)]
    family = list(
        {id(one): one for member in members for one in (*member.family, weakref.ref(member))}.values()
    )
    for member in members:
        member.family = family
    return made


@cache
def _not_in_place(func: Operator) -> Operator:
    """The same operator that leaves its operand as it is."""
    packet = getattr(torch.ops.aten, _name(func).removesuffix("_"), None)
    functional = getattr(packet, func._overloadname, None)
    if functional is None or functional._schema.is_mutable:
        raise NotFollowedError(f"{_name(func)} writes into a map")
    return functional


def _name(func: Operator) -> str:
    return str(func.overloadpacket._qualified_op_name).partition("::")[2]
