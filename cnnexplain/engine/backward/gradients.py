"""The way back from a score, in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.errors import ModelError, TargetError, first_line, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

# Gradients fall below fp16's smallest number, or rise above its largest: the first scale at which they do not is
# taken. Powers of two are undone without loss.
FP16_SCALES = (2.0**10, 1.0, 2.0**-10)


def to_maps(model: Model, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool) -> list[Tensor]:
    """The gradient of each picture's score with respect to its own maps.

    Args:
        model: The model that made `score`.
        score: One number per picture, (N,), attached to the graph.
        wrt: Maps of layers, (N, C, h, w) each.
        keep_graph: Whether another gradient will be taken over the same graph.

    Returns:
        Of each of `wrt` a tensor of its shape, float32.

    Raises:
        LayerError: The score does not depend on one of the maps.
    """
    gradients = [each for each in to_each(model, score, wrt, keep_graph=keep_graph) if each is not None]
    if len(gradients) < len(wrt):
        raise model.runs.independent()
    return gradients


def to_input(model: Model, score: Tensor, inputs: Tensor, *, keep_graph: bool) -> Tensor:
    """The gradient (N, C, H, W), float32, of each picture's score (N,) with respect to `inputs`.

    Raises:
        ModelError: The score does not depend on the input.
    """
    (gradient,) = to_each(model, score, (inputs,), keep_graph=keep_graph)
    if gradient is None:
        raise ModelError(
            f"{model.name} passes no gradient back to the picture",
            "it detaches or quantises it on the way; class activation maps of a later layer still work: "
            "cnnexplain gradcam",
        )
    return gradient


def failed(model_name: str, error: Exception) -> ModelError:
    """The error, with a hint, to raise where computing a gradient raised `error`."""
    return ModelError(
        f"the gradients of {model_name} cannot be computed: {first_line(error)}",
        "look for in-place changes or operations of its own without a backward; -m ablationcam and -m eigencam need no "
        "gradients",
    )


def require_any(model: Model) -> None:
    """Raise `ModelError` where the scores of a model carry no gradient at all."""
    if model.trace.differentiable:
        return
    if model.function is not None:
        raise TargetError(
            f"the target {model.function.name} carries no gradient",
            f"compute it with torch alone from what {model.name} returns, without .detach(), .item(), .numpy() or "
            "comparisons; what needs no gradients still works: occlusion, gradcam -m ablationcam or -m eigencam",
        )
    raise ModelError(
        f"the scores of {model.name} carry no gradient",
        "the model detaches them, is quantised or runs under no_grad(); what needs no gradients still works: "
        "occlusion, gradcam -m ablationcam or -m eigencam",
    )


def to_each(model: Model, score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool) -> list[Tensor | None]:
    """The gradients as of `to_maps`, with None for maps that no score depends on."""
    if not score.requires_grad:
        require_any(model)
        return [None] * len(wrt)
    gradients: list[Tensor | None] = []
    scales = FP16_SCALES if model.precision == "fp16" else (1.0,)
    for scale in scales:
        last = scale == scales[-1]
        try:
            # Pictures do not mix in evaluation mode, so that the sum's gradient is each score's own.
            raw = torch.autograd.grad(
                score.sum() * scale, wrt, retain_graph=keep_graph or not last, allow_unused=True
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise model.failed_backwards(error) from error
        gradients = [None if gradient is None else gradient.float() for gradient in raw]
        if last or all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None):
            break
    return [gradient if gradient is None or scale == 1 else gradient.div_(scale) for gradient in gradients]
