"""Every bias that a model adds on the way of a picture, wherever it stands in the code."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnexplain.engine.trace.functions import Args, Function

# Where the bias stands among the arguments, and how many axes of what comes out follow that of the channels.
BIASED = {
    F.linear: (2, 0),
    F.conv1d: (2, 1), F.conv2d: (2, 2), F.conv3d: (2, 3),
    F.conv_transpose1d: (2, 1), F.conv_transpose2d: (2, 2), F.conv_transpose3d: (2, 3),
}  # fmt: skip
TRAINING = 5  # the place of that argument of batch_norm


class Biases(TorchFunctionMode):
    """While it is active, notes what every convolution, linear layer and batch norm with fixed statistics returns.

    What goes on is a copy, so that a later change in place leaves what was noted as it is.

    Attributes:
        added: What was returned, attached to the graph, and the bias that is part of it, shaped to be multiplied with
            it. Of a batch norm that is all that does not depend on its input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.added: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        returned = func(*args, **kwargs)
        bias = _bias(func, args, kwargs)
        if bias is None or not returned.requires_grad:
            return returned
        self.added.append((returned, bias))
        return returned.clone()


def _bias(func: Function, args: Args, kwargs: dict[str, Any]) -> Tensor | None:
    if func is F.batch_norm:
        return _constant(*args, **kwargs)
    if func not in BIASED:
        return None
    place, after = BIASED[func]
    bias = args[place] if len(args) > place else kwargs.get("bias")
    return None if bias is None else bias.detach().reshape(-1, *[1] * after)


def _constant(  # the arguments of torch.nn.functional.batch_norm
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """What batch normalisation makes of zeros."""
    if training or running_mean is None or running_var is None:
        return None
    with torch.no_grad():
        zeros = input.new_zeros((1, input.shape[1]))
        of_zeros: Tensor = F.batch_norm(zeros, running_mean, running_var, weight, bias, False, momentum, eps)
    return of_zeros.reshape(-1, *[1] * (input.dim() - 2))
