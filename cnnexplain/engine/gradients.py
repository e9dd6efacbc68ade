"""The way back from scores to maps, in every precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Gradients fall below fp16's smallest number, or rise above its largest: the first scale at which they do not is
# taken. Powers of two are undone without loss.
FP16_GRADIENT_SCALES = (2.0**10, 1.0, 2.0**-10)


def gradients(score: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool, halves: bool) -> list[Tensor]:
    """The gradient of each picture's score (N,) with respect to its own maps, float32.

    Fewer than were asked for where the score does not depend on one. `halves`: the maps are in float16.
    """
    scales = FP16_GRADIENT_SCALES if halves else (1.0,)
    for scale in scales:
        last = scale == scales[-1]
        # Pictures do not mix in evaluation mode, so that the sum's gradient is each score's own.
        found = torch.autograd.grad(
            score.sum() * scale, wrt, retain_graph=keep_graph or not last, allow_unused=True
        )
        floats = [one.float() for one in found if one is not None]
        if last or all(bool(one.isfinite().all()) for one in floats):
            break
    return floats if scale == 1 else [one.div_(scale) for one in floats]
