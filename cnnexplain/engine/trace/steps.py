"""What a layer hands on that changes nothing, such as dropout: the layers and functions that made it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnexplain.core.choice import Choice
from cnnexplain.engine.hooks import hooked, submodules
from cnnexplain.engine.trace.functions import Args, Function, name_of

HANDING_ON = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip
MOST = 6  # steps in a sentence


class _Steps(TorchFunctionMode):
    """Notes of every tensor the layer that made it, and the functions that it went through since."""

    def __init__(self) -> None:
        super().__init__()
        # By identity; the tensors are held, so that no other gets the identity.
        self._made: dict[int, tuple[Tensor, tuple[str, ...]]] = {}

    def of(self, tensor: Tensor) -> tuple[str, ...]:
        """The steps that made a tensor."""
        return self._made[id(tensor)][1] if id(tensor) in self._made else ()

    def note(self, tensor: Any, steps: tuple[str, ...]) -> None:
        """Say how a tensor was made; what is no tensor has no steps."""
        if isinstance(tensor, Tensor):
            self._made[id(tensor)] = tensor, steps

    def __torch_function__(self, func: Function, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        before = self.of(args[0]) if args and isinstance(args[0], Tensor) else ()
        if before and isinstance(result, Tensor):
            self.note(result, (*before, name_of(func).strip("_")))
        return result


def with_steps(choice: Choice, module: nn.Module, forward: Callable[[Tensor], Any], inputs: Tensor) -> Choice:
    """The choice of a layer; where the layer hands on its input unchanged, with the steps that made that.

    The reason then ends in `it is conv2 -> relu -> max_pool2d`. One forward pass, and only where the layer is of a kind
    that may hand on. Leaves no hook behind.
    """
    layer = choice.value
    child = dict(module.named_modules()).get(layer)
    if not isinstance(child, HANDING_ON):
        return choice
    steps = _Steps()
    before: list[tuple[Any, tuple[str, ...]]] = []  # the layer's input, and the steps that made it
    handed_on: list[tuple[str, ...]] = []

    def arrive(_name: str, _child: nn.Module, arguments: Args) -> None:
        before[:] = [(arguments[0], steps.of(arguments[0])[-MOST:])] if arguments else []

    def leave(_name: str, _child: nn.Module, _arguments: Any, output: Any) -> None:
        handed_on[:] = [made for tensor, made in before if output is tensor]

    def note(name: str, _child: nn.Module, _arguments: Any, output: Any) -> None:
        steps.note(output, (name,))

    others = [(name, other) for name, other in submodules(module) if not isinstance(other, HANDING_ON)]
    with (
        hooked([(layer, child)], before=arrive, after=leave),
        hooked(others, after=note),
        torch.no_grad(),
        steps,
    ):
        forward(inputs)
    made = " -> ".join(handed_on[0]) if handed_on else ""
    return replace(choice, reason=f"{choice.reason}; it is {made}") if made else choice
