"""What a layer gives back for inputs, attached to the graph, of a pass that ends there; or the class scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnexplain.engine.outputs import attached
from cnnexplain.engine.stopping import run_head
from cnnexplain.engine.trace.runs import named_layer

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """A layer of a model, or its class scores, as a function of inputs; called with the model borrowed.

    `shape` is that of what comes out for one input: (C, h, w) of maps, (K,) of vectors and of scores.
    """

    model: Model
    layer: str  # as `Model.find_layer` has it; empty for the class scores
    shape: tuple[int, ...]
    run: int = 1  # of the layer's runs, counted from 1, the one whose output it is

    @classmethod
    def of(cls, model: Model, layer: str) -> HeadOutput:
        """Look at a layer with a blank input.

        Raises:
            LayerError: What it gives back is neither maps nor vectors.
        """
        if not layer:
            return cls(model, "", (model.trace.scores,))
        with model.borrowed(), model.outputs(layer) as shown:
            model.output_of(model.blank())
        return cls(model, layer, tuple(shown[layer].values.shape[1:]), shown[layer].run)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The maps (N, C, h, w), vectors (N, K) or scores (N, K), float32; gradients lead to the inputs alone."""
        if not self.layer:
            return self.model.forward(inputs, to_input=True)
        model = self.model
        named = replace(named_layer(model.module, self.layer), run=self.run)
        grids = {layer.map[1:] for layer in model.trace.layers if layer.map}
        size = (int(inputs.shape[2]), int(inputs.shape[3]))
        with attached(model.module, named, size, grids, model.trace.grids) as shown:
            run_head(model, inputs, [f"{named.name} #{self.run}"], to_input=True)
        return shown[0].float()
