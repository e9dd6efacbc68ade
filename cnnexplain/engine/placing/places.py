"""How the maps of layers lie on the input: mirroring and cutting within a model, followed through one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket

from cnnexplain.core.laying import Laying
from cnnexplain.core.words import run_name
from cnnexplain.engine.fields.axes import Call, Rule, Seen, anything, tensors_in
from cnnexplain.engine.fields.field import Following, follow
from cnnexplain.engine.fields.rules import call_of
from cnnexplain.engine.placing.frames import framed, joined_frame, pasted, rolled
from cnnexplain.engine.placing.place_axis import Place, placed
from cnnexplain.engine.placing.place_names import JOINING, KEEPING, SCATTERING
from cnnexplain.engine.placing.rules import SPECIAL, kept, scattered, supposed
from cnnexplain.engine.trace.functions import Args, Function, Kwargs, name_of, plain_name

UNSEEN = "an operation"
LEFT = "values of the picture are read out of torch before this layer"


@dataclass(frozen=True)
class Followed:
    """How a map was seen to lie; `doubt` names the operation of which that is only supposed, if there is one."""

    layer: str
    run: int  # from 1
    laying: Laying
    first: int  # the dimension that its rows are
    doubt: str = ""


class _Placing(Following):
    """Notes for every tensor made from the input where its cells lie on it."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.channels = 0
        rows, columns = ((Place(1, 0, length, ((0, 0),) * length, doubt=UNSEEN), None) for length in size)
        self.unseen = rows, columns

    def begin(self, inputs: Tensor) -> None:
        """Every cell of `inputs` (1, C, H, W) lies on itself."""
        self.channels = int(inputs.shape[1])
        rows, columns = (
            (Place(1, 0, int(inputs.shape[dim]), ((0, 0),) * inputs.shape[dim]), dim) for dim in (2, 3)
        )
        self._note(inputs, (rows, columns))

    def rule_of(self, function: Function, args: Args, kwargs: Kwargs) -> tuple[Rule, dict[str, Any]]:
        """How places are handed on: by the rule of fields, but for what moves, cuts or only mixes."""
        name = plain_name(function)
        rule, named = call_of(function, args, kwargs)
        if isinstance(function, (OpOverload, OpOverloadPacket)):  # below torch's functions, as in a script
            keeps = name_of(function).strip("_") in KEEPING or not _is_of_torch(function)
            return (kept if rule is anything else rule) if keeps else self.unknown, named
        plain = name.strip("_")
        if plain in SCATTERING:
            return scattered(plain), named
        if name in JOINING:
            parts = [*tensors_in(named["tensors"])]
            pictures = all(_rows(part, self.channels) is not None for part in parts)
            if pictures and sum(self._look(part) is not None for part in parts) == 1 < len(parts):
                return joined_frame, named
        if name == "__setitem__" and _pastes(args, self.channels) and self._look(args[2]) is not None:
            return pasted, named
        if name in ("roll", "pad") and _rows(named.get("input"), self.channels) is not None:
            return (rolled if name == "roll" else framed), named
        return SPECIAL.get(name, self.unknown if rule is anything else rule), named

    def leaves(self, read: Iterable[Tensor]) -> bool:
        return any(tensor.numel() > 1 for tensor in read)  # a single number has no place

    def unknown(self, call: Call) -> Seen | None:
        return supposed(call)

    def followed(self, layer: str, run: int, output: Tensor, first: int) -> Followed:
        """How a map lies whose rows and columns are the dimensions `first` and the one behind it."""
        seen, lost = self._look(output), LEFT if self.read_out else ""
        if seen is None:  # it does not depend on the picture, as far as torch knows
            return Followed(layer, run, Laying(lost=lost), first)
        (rows, row_dim), (columns, column_dim) = seen
        height, width = self.size
        rows, columns = placed(rows), placed(columns)
        turned = (row_dim, column_dim) == (first + 1, first)
        doubt = rows.doubt or columns.doubt
        if not (turned or (row_dim, column_dim) == (first, first + 1)):
            doubt = doubt or UNSEEN
        laying = Laying(_side(rows, height), _side(columns, width), turned, rows.lost or columns.lost or lost)
        return Followed(layer, run, laying, first, doubt)


def _pastes(args: Args, channels: int) -> bool:
    """Whether a picture is written into a part of a larger one."""
    canvas, _, picture = args
    if not isinstance(picture, Tensor) or None in (_rows(canvas, channels), _rows(picture, channels)):
        return False
    return bool(canvas.shape[1:] != picture.shape[1:])


def _rows(tensor: Tensor | None, channels: int) -> int | None:
    """The dimension of the rows of a tensor that has the channels of the picture; None for others."""
    if tensor is None or tensor.ndim != 4:
        return None
    return 2 if tensor.shape[1] == channels else 1 if tensor.shape[3] == channels else None


def followed(module: nn.Module, inputs: Tensor, forward: Callable[[Tensor], Any]) -> dict[str, Followed]:
    """How the map of every run of every named submodule lies on `inputs` (1, C, H, W), by `run_name`.

    Mirroring, turning, cutting and framing are followed. The place of a map behind an operation that moves pixels by
    values or angles, or that joins parts from different places, is lost. An operation that is not known is supposed
    to leave things where they are, which has to be measured.
    """
    placing = _Placing((int(inputs.shape[2]), int(inputs.shape[3])))
    maps: dict[str, Followed] = {}

    def note(name: str, run: int, output: Tensor, first: int) -> None:
        maps[run_name(name, run)] = placing.followed(name, run, output, first)

    follow(placing, module, inputs, forward, note)
    return maps


def _is_of_torch(function: Any) -> bool:
    return not str(getattr(function, "_qualified_op_name", None) or function.name()).startswith("quantized::")


def _side(place: Place, length: int) -> tuple[float, float]:
    low, high = place.low / length, place.high / length
    return (low, high) if place.stride > 0 else (high, low)
