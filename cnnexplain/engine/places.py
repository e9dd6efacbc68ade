"""How the maps of layers lie on the input: mirroring and cutting within a model, followed through one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode

from cnnexplain.core.laying import Laying
from cnnexplain.core.words import run_name
from cnnexplain.engine._field_axes import Rule, anything, tensors_in
from cnnexplain.engine._field_rules import call_of
from cnnexplain.engine._frame_rules import framed, joined_frame, pasted, rolled
from cnnexplain.engine._place_rules import (
    CUTTING,
    KERNEL,
    MOVING,
    SCATTERING,
    SPECIAL,
    TURNING,
    Place,
    is_small,
    kept,
    scattered,
)
from cnnexplain.engine.capture import map_layout, note_grid
from cnnexplain.engine.ending_rules import is_dense
from cnnexplain.engine.fields import Following, Underneath
from cnnexplain.engine.rectifiers import as_rectifier

JOINING = frozenset(("cat", "concat", "concatenate"))
UNSEEN = "an operation before this layer cannot be followed"


class Moves(TorchFunctionMode):
    """Notes while it is active whether an operation may have moved or cut off a part of the picture.

    And whether a clamp stands for a rectifier.
    """

    def __init__(self, channels: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.found = False
        self.clamps = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Carry out `func`."""
        self.clamps = self.clamps or as_rectifier(func, args, kwargs or {}) is not None
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in MOVING and not self.found:
            given = next(
                (one for one in tensors_in((args, kwargs)) if one.requires_grad and one.ndim == 4), None
            )
            made = next(tensors_in(result), None)
            # To take some of the channels is no cut.
            same = made is not None and given is not None and made.shape[2:] == given.shape[2:]
            slices = func.__name__ in CUTTING or (
                func.__name__ == "__getitem__"
                and not any(isinstance(one, (Tensor, list)) for one in _parts(args))
            )
            self.found = given is not None and not (same and slices)
        self.found = self.found or self._moves_picture(func, args, kwargs or {})
        return result

    def _moves_picture(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call exchanges the rows and columns of the picture itself, rolls it, or puts a frame around it."""
        name = _name(func)
        if name in JOINING:
            parts = [*tensors_in((args, kwargs))]
            pictures = all(_rows(one, self.channels) is not None for one in parts)
            return pictures and sum(one.requires_grad for one in parts) == 1 < len(parts)
        if name == "__setitem__":
            return _pastes(args, self.channels) and bool(args[2].requires_grad)
        if name not in TURNING and name not in ("roll", "pad", "constant_pad_nd"):
            return False
        given = next(tensors_in((args, kwargs)), None)
        first = _rows(given, self.channels)
        if given is None or first is None or not given.requires_grad or name == "roll":
            return first is not None and given is not None and bool(given.requires_grad)
        if name in TURNING:
            sizes = (2, 3, 5, 7)  # which tell dimensions apart
            probe = torch.empty(sizes, device="meta")
            parts = [probe if one is given else one for one in args]
            named = {key: probe if one is given else one for key, one in kwargs.items()}
            moved = list(func(*parts, **named).shape)
            return moved.index(sizes[first]) > moved.index(sizes[first + 1])
        _, known = call_of(func, args, kwargs)
        widths = [int(one) for one in known["pad"]]
        pairs = [widths[place : place + 2] for place in range(0, len(widths), 2)]
        return not all(is_small(before, after, KERNEL) for before, after in pairs)


class _Placing(Following):
    """Notes for every tensor made from the input where its cells lie on it."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.channels = 0
        rows, columns = ((Place(1, 0, length, ((0, 0),) * length, UNSEEN), None) for length in size)
        self.unseen = rows, columns

    def begin(self, inputs: Tensor) -> None:
        """Every cell of `inputs` (1, C, H, W) lies on itself."""
        self.channels = int(inputs.shape[1])
        rows, columns = (
            (Place(1, 0, int(inputs.shape[dim]), ((0, 0),) * inputs.shape[dim]), dim) for dim in (2, 3)
        )
        self._note(inputs, (rows, columns))

    def rule_of(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Rule, dict[str, Any]]:
        """How places are handed on: by the rule of fields, but for what moves, cuts or only mixes."""
        name = getattr(function, "__name__", "")
        rule, given = call_of(function, args, kwargs)
        if isinstance(function, (OpOverload, OpOverloadPacket)):  # below torch's functions, as in a script
            name = name.partition(".")[0]
            return (scattered(name) if name in MOVING | {"slice"} else kept), given
        plain = name.strip("_")
        if plain in SCATTERING:
            return scattered(plain), given
        if name in JOINING:
            parts = [*tensors_in(given["tensors"])]
            pictures = all(_rows(one, self.channels) is not None for one in parts)
            if pictures and sum(self._look(one) is not None for one in parts) == 1 < len(parts):
                return joined_frame, given
        if name == "__setitem__" and _pastes(args, self.channels) and self._look(args[2]) is not None:
            return pasted, given
        if name in ("roll", "pad") and _rows(given.get("input"), self.channels) is not None:
            return (rolled if name == "roll" else framed), given
        return SPECIAL.get(name, kept if rule is anything else rule), given

    def laying(self, output: Tensor, first: int) -> Laying:
        """How a map lies whose rows and columns are the dimensions `first` and the one behind it."""
        seen = self._look(output)
        if seen is None:
            return Laying()  # it does not depend on the picture
        (rows, row_dim), (columns, column_dim) = seen
        if not isinstance(rows, Place) or not isinstance(columns, Place):
            return Laying(lost=UNSEEN)
        if lost := rows.lost or columns.lost or (UNSEEN if self.left else ""):
            return Laying(lost=lost)
        height, width = self.size
        return Laying(_side(rows, height), _side(columns, width), (row_dim, column_dim) == (first + 1, first))


def _name(func: Callable[..., Any]) -> str:
    """What a function, or the attribute that is read, is called."""
    name = getattr(func, "__name__", "")
    return getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else name


def _pastes(args: tuple[Any, ...], channels: int) -> bool:
    """Whether a picture is written into a part of a larger one."""
    canvas, _, picture = args
    if not isinstance(picture, Tensor) or None in (_rows(canvas, channels), _rows(picture, channels)):
        return False
    return bool(canvas.shape[1:] != picture.shape[1:])


def _rows(one: Tensor | None, channels: int) -> int | None:
    """The dimension of the rows of a tensor that has the channels of the picture; None for others."""
    if one is None or one.ndim != 4:
        return None
    return 2 if one.shape[1] == channels else 1 if one.shape[3] == channels else None


def _parts(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What stands between the brackets of `x[...]`."""
    index = args[1] if len(args) > 1 else ()
    return index if isinstance(index, tuple) else (index,)


def layings(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any]) -> dict[str, Laying]:
    """How the map of every run of every named submodule lies on `inputs` (1, C, H, W), by `run_name`.

    Mirroring along rows or columns and cutting out are followed. The place of a map behind an operation that moves
    pixels by values or angles, or that joins parts from different places, is lost. Any other operation is taken to
    leave things where they are. Leaves no hook behind.
    """
    size = (int(inputs.shape[2]), int(inputs.shape[3]))
    placing = _Placing(size)
    found: dict[str, Laying] = {}
    runs: dict[str, int] = {}
    grids: set[tuple[int, int]] = set()

    def noting(name: str) -> Any:
        def note(layer: nn.Module, _arguments: Any, output: Any) -> None:
            runs[name] = runs.get(name, 0) + 1
            if not is_dense(output) or output.shape[:1] != (1,) or not output.is_floating_point():
                return
            shape = tuple(output.shape)
            note_grid(output, layer, grids)
            layout = map_layout(shape, size, layer, grids)
            if layout is not None:
                found[run_name(name, runs[name])] = placing.laying(output, 2 if layout == "NCHW" else 1)

        return note

    handles = []
    try:
        for name, child in module.named_modules(remove_duplicate=False):
            if name:
                handles.append(child.register_forward_hook(noting(name)))
        with torch.enable_grad():
            start = inputs.detach().requires_grad_().clone()
            placing.begin(start)
            with placing, Underneath():  # type: ignore[no-untyped-call]
                forward(start)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _side(place: Place, length: int) -> tuple[float, float]:
    low, high = place.low / length, place.high / length
    return (low, high) if place.stride > 0 else (high, low)
