"""The head of a model alone: a pass that ends as soon as the layers that are asked for have run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from cnnexplain.engine.backward.norms import FixedNorms
from cnnexplain.engine.hooks import Enough, hooked
from cnnexplain.engine.trace.runs import named_layer

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def run_head(model: Model, inputs: Tensor, names: Sequence[str], *, to_input: bool = False) -> None:
    """Send inputs through a model until each named layer has run, and no further.

    What the layers give back goes to whoever listens: call it inside `model.outputs` or `model.capture` of the same
    names, whose hooks come before the one that ends the pass. A model that handles an interruption itself is run as
    far as it likes.

    Args:
        model: Is borrowed.
        inputs: (N, C, H, W), which a model may write into.
        names: Layers, `layer #2` for a run of one. Of a layer that runs several times without a number all runs are
            waited for.
        to_input: Whether gradients are taken with respect to inputs only, which then cost less.
    """
    named = [named_layer(model.module, name) for name in names]
    # By name of the layer: after so many runs it has done its part.
    wanted = Counter[str]()
    for name, layer in zip(names, named, strict=True):
        wanted[layer.name] = max(wanted[layer.name], layer.run or model.runs.count(name))
    calls = Counter[str]()

    def stop(name: str, *_: Any) -> None:
        calls[name] += 1
        if all(calls[each] >= runs for each, runs in wanted.items()):
            raise Enough

    layers = {layer.name: layer.module for layer in named}
    norms = FixedNorms(to_input=to_input) if inputs.requires_grad else nullcontext()
    with norms, suppress(Enough), hooked(layers.items(), after=stop):
        model.output_of(inputs)
