"""The way back from a score, in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.errors import LayerError, ModelError, first_line, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

# Gradients fall below fp16's smallest number, or rise above its largest: the first scale at which they do not is
# taken. Powers of two are undone without loss.
FP16_SCALES = (2.0**10, 1.0, 2.0**-10)


def to_maps(model: Model, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool) -> list[Tensor]:
    """See `Model.gradient`. Raises `LayerError` where the score does not depend on one of the maps."""
    found = _backward(model, score, wrt, keep_graph=keep_graph)
    if len(found) < len(wrt):
        raise LayerError(
            f"the classes of {model.name} do not depend on the layer that was named",
            "leave --layer out to have one chosen",
        )
    return found


def to_input(model: Model, score: Tensor, inputs: Tensor, *, keep_graph: bool) -> Tensor:
    """See `Model.gradient_to_input`. Raises `ModelError` where the score does not depend on the input."""
    found = _backward(model, score, (inputs,), keep_graph=keep_graph)
    if not found:
        raise ModelError(
            f"{model.name} passes no gradient back to the picture",
            "it detaches or quantises it on the way; class activation maps of a later layer still work: "
            "cnnexplain gradcam",
        )
    return found[0]


def failed(model_name: str, error: Exception) -> ModelError:
    """What a gradient raised on its way back, in words."""
    return ModelError(
        f"the gradients of {model_name} cannot be computed: {first_line(error)}",
        "look for in-place changes or operations of its own without a backward; -m eigencam needs no gradients",
    )


def _backward(model: Model, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool) -> list[Tensor]:
    """The gradients that there are: fewer than were asked for where the score does not depend on one."""
    if not score.requires_grad:
        if model.trace.differentiable:
            return []
        raise ModelError(
            f"the scores of {model.name} carry no gradient",
            "the model detaches them or runs under no_grad(); methods without gradients, such as "
            "gradcam -m eigencam, still work",
        )
    scales = FP16_SCALES if model.precision == "fp16" else (1.0,)
    for scale in scales:
        last = scale == scales[-1]
        try:
            # Pictures do not mix in evaluation mode, so that the sum's gradient is each score's own.
            found = torch.autograd.grad(
                score.sum() * scale, wrt, retain_graph=keep_graph or not last, allow_unused=True
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise model.failed_backwards(error) from error
        gradients = [one.float() for one in found if one is not None]
        if last or all(bool(one.isfinite().all()) for one in gradients):
            break
    return gradients if scale == 1 else [one.div_(scale) for one in gradients]
