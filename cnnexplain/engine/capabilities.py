"""What a model can be asked for: class scores, a look into its layers, gradients, a look at its weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from cnnexplain.errors import CnnexplainError, LayerError, ModelError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model

PIXELS = "cnnexplain saliency looks at pixels and needs no layer"


class Capability(Enum):
    """A thing that a command may need of a model; in the order in which they are looked for."""

    SCORES = "scores"  # one number per picture and class, or of the function that is the target
    LAYERS = "layers"  # layers that run when a picture goes through, and can be looked into
    GRADIENTS = "gradients"  # of the scores
    WEIGHTS = "weights"  # layers with filters


def require(model: Model, needs: Collection[Capability]) -> None:
    """Raise an error where a model lacks what a command needs. Costs a forward pass where none was looked at yet.

    Args:
        model: The model that the command is asked of.
        needs: What the command says that it needs.

    Raises:
        CnnexplainError: What is missing, in words; of several things the first.
    """
    for capability in Capability:
        if capability in needs:
            _REQUIRE[capability](model)


def capabilities(model: Model) -> frozenset[Capability]:
    """All capabilities of a model, each looked for; `Model.capabilities` keeps them."""
    return frozenset(capability for capability in Capability if _has(model, capability))


def _has(model: Model, capability: Capability) -> bool:
    try:
        _REQUIRE[capability](model)
    except CnnexplainError:
        return False
    return True


def _require_scores(model: Model) -> None:
    _ = model.trace


def require_layers(model: Model) -> None:
    """Raise `LayerError` where a picture went through a model and none of its layers ran, as in `torch.export`."""
    from torch.fx import GraphModule

    from cnnexplain.engine.weights.layers import require_open

    require_open(model)
    if model.trace.layers:
        return
    if isinstance(model.module, GraphModule):
        raise LayerError(
            f"{model.name} is a graph, as torch.export makes it, and runs none of the layers that it names",
            "give the Python model that it was made from, or torch.export.unflatten(exported), whose layers run; "
            + PIXELS,
        )
    raise LayerError(
        f"{model.name} runs functions alone, and no layers that could be looked into",
        f"call an nn.Module in its forward where the map is made, nn.Identity() will do; {PIXELS}",
    )


def _require_gradients(model: Model) -> None:
    from cnnexplain.engine.backward.gradients import require_any
    from cnnexplain.engine.weights.layers import require_open

    require_open(model)
    require_any(model)


def _require_weights(model: Model) -> None:
    from cnnexplain.engine.weights.kernels import weighted

    with model.borrowed():  # a look at weights may compute them, and some learn from that while in training
        if not weighted(model):
            raise ModelError(
                f"{model.name} has no layer with filters", "give a model with convolutions or linear layers"
            )


_REQUIRE: Mapping[Capability, Callable[[Model], None]] = {
    Capability.SCORES: _require_scores,
    Capability.LAYERS: require_layers,
    Capability.GRADIENTS: _require_gradients,
    Capability.WEIGHTS: _require_weights,
}
