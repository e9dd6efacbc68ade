"""Whether a model does anything to its maps that may move them: a look at each call, so that few are followed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.backward.rectifiers import as_rectifier
from cnnexplain.engine.fields.axes import tensors_in
from cnnexplain.engine.fields.field import LEAVING
from cnnexplain.engine.fields.rules import call_of
from cnnexplain.engine.placing.place_axis import KERNEL, is_small
from cnnexplain.engine.placing.place_names import ASKING, JOINING, KEEPING, REDUCING, RESHAPING, VIEWING
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, plain_name

DETACHING = frozenset({"detach", "detach_", "data", "numpy", "item", "tolist", "__array__"})


class Moves(TorchFunctionMode):
    """Notes while it is active whether an operation may have moved or cut off a part of the picture.

    That is any operation on a map which is not known to leave everything where it is. Also whether a clamp stands for
    a rectifier.
    """

    def __init__(self, inputs: Tensor | None = None) -> None:
        super().__init__()
        self._nodes = {None if inputs is None else inputs.grad_fn, None}  # of all that was seen being made
        self.moved = False  # whether an operation may have moved something
        self.clamps = False
        self.detached = False  # whether something was cut off from the gradient

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Carry out `func`."""
        kwargs, name = kwargs or {}, plain_name(func)
        if not self.detached and (name in DETACHING or not torch.is_grad_enabled()):
            with torch._C.DisableTorchFunction():
                self.detached = any(tensor.requires_grad for tensor in tensors_in((args, kwargs)))
        if name in ASKING or (func.__name__ == "__get__" and name not in VIEWING and name != "data"):
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():  # or else every attribute that is read goes through all modes
            self.clamps = self.clamps or as_rectifier(func, args, kwargs) is not None
            # What none of torch's functions made came out of a script, or of a function of somebody's own.
            self.moved = self.moved or not self._nodes.issuperset(
                [tensor.grad_fn for tensor in tensors_in((args, kwargs))]
            )
        result = func(*args, **kwargs)
        if not self.moved:
            with torch._C.DisableTorchFunction():
                self.moved = not _keeps(name) and _moves(name, args, kwargs, result)
                self._nodes.update(tensor.grad_fn for tensor in tensors_in(result))
        return result

    def __exit__(self, *error: Any) -> None:
        self._nodes.clear()  # or else the graph would stay with them
        super().__exit__(*error)  # type: ignore[no-untyped-call]


def _keeps(name: str) -> bool:
    plain = name.strip("_")
    return plain in KEEPING or (name.startswith("__") and plain[1:] in KEEPING)


def _moves(name: str, args: Args, kwargs: Kwargs, result: Any) -> bool:
    """Whether a function that does not always leave a map where it is may not have done so this time."""
    operands = [*tensors_in((args, kwargs))]
    first = next((operand for operand in operands if _is_map(operand)), None)
    made = next(tensors_in(result), None)
    if first is None or made is None:
        return first is not None and (name in LEAVING or name == "__setitem__")
    # The last two dimensions are the same, whatever became of the channels.
    ends = made.ndim >= 4 and made.shape[-2:] == first.shape[-2:]
    if name in RESHAPING:
        still = ends or made.ndim <= 2  # for the classifier
    elif name in REDUCING:
        still = made.ndim != 3
    elif name in JOINING:
        still = made.ndim == 4 and all(operand.shape[2:] == made.shape[2:] for operand in operands)
    elif name in ("pad", "constant_pad_nd"):
        widths = [int(width) for width in call_of(F.pad, args, kwargs)[1]["pad"]]
        pairs = [widths[place : place + 2] for place in range(0, len(widths), 2)]
        still = all(is_small(before, after, KERNEL) for before, after in pairs)
    else:
        picks = name == "__getitem__" and any(isinstance(part, (Tensor, list)) for part in _parts(args))
        still = name in VIEWING and not picks and ends and made.stride()[-2:] == first.stride()[-2:]
    return not still


def _is_map(tensor: Tensor) -> bool:
    """Whether a tensor may be a map that depends on the picture, of more than one cell."""
    depends = tensor.requires_grad or not (torch.is_grad_enabled() or isinstance(tensor, nn.Parameter))
    return depends and tensor.ndim >= 4 and tensor.shape[2:].numel() > 1


def _parts(args: Args) -> tuple[Any, ...]:
    """The parts between the brackets of `x[...]`."""
    index = args[1] if len(args) > 1 else ()
    return index if isinstance(index, tuple) else (index,)
