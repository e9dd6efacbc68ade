"""Where the picture itself lies once a model has rolled it, or put a frame around it."""

from __future__ import annotations

from dataclasses import replace

from cnnexplain.engine.fields.axes import Along, AxisField, Call, Seen, each
from cnnexplain.engine.fields.windows import index_parts
from cnnexplain.engine.placing.place_axis import placed
from cnnexplain.engine.placing.rules import padded


def rolled(call: Call) -> Seen | None:
    """A picture whose pixels go out on one side and come in on the other lies in two parts."""
    shifts, dims = call.named["shifts"], call.named.get("dims", ())
    shifts, dims = ([*value] if isinstance(value, (tuple, list)) else [value] for value in (shifts, dims))
    moved = {dim % call.x.ndim for shift, dim in zip(shifts, dims, strict=True) if shift} if dims else None

    def how(axis: AxisField, dim: int) -> Along | None:
        still = moved is not None and dim not in moved
        return (axis if still else placed(axis).losing("roll shifts its pixels before this layer")), dim

    return each(call.look(call.x), how)


def framed(call: Call) -> Seen | None:
    """Padding of the picture itself."""
    return padded(call, framed=True)


def joined_frame(call: Call) -> Seen | None:
    """A picture that has something else put beside it."""
    parts = list(call.named["tensors"])
    joint = call.named.get("dim", call.named.get("axis", 0)) % call.out.ndim
    (at,) = (number for number, part in enumerate(parts) if call.look(part) is not None)
    before, after = (sum(part.shape[joint] for part in side) for side in (parts[:at], parts[at + 1 :]))

    def how(axis: AxisField, dim: int) -> Along | None:
        if dim != joint:
            return axis, dim
        seen, place = ((0, 0),) * call.out.shape[dim], placed(axis)
        sides = {"before": place.before + before, "after": place.after + after}
        return replace(place, seen=seen, framed=True, **sides), dim

    return each(call.look(parts[at]), how)


def pasted(call: Call) -> Seen | None:
    """`canvas[..., top:below, left:right] = picture`."""
    canvas, index, picture = call.args
    parts = index_parts(index, canvas.ndim)
    simple = call.look(canvas) is None and all(isinstance(part, slice) and not part.step for part in parts)

    def how(axis: AxisField, dim: int) -> Along | None:
        place, count = placed(axis), canvas.shape[dim]
        if not simple:
            place = place.losing("it is written into a part of another tensor before this layer")
            return replace(place, seen=((0, 0),) * count), dim
        first, past, _ = parts[dim].indices(count)
        before, after = place.before + first, place.after + count - past
        return replace(place, seen=((0, 0),) * count, before=before, after=after, framed=True), dim

    return each(call.look(picture), how)
