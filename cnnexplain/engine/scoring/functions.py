"""Models that are asked for a function of what they return, in the place of classes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnexplain.core.words import count
from cnnexplain.engine.backward.rectifiers import unruled
from cnnexplain.engine.capabilities import Capability
from cnnexplain.engine.chunks import Chunks
from cnnexplain.engine.scoring.answers import described, leaves
from cnnexplain.engine.scoring.endings import Endings
from cnnexplain.engine.scoring.heads import Head
from cnnexplain.errors import CnnexplainError, TargetError, first_line, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.core.target import FunctionTarget
    from cnnexplain.engine.model import Model

SHAPE = "give one number per picture, (N,): for example output[:, 3].mean((1, 2)), and not .mean()"


@dataclass(frozen=True)
class FunctionHead(Head):
    """The only score is the value of a function of whatever the model returns."""

    target: FunctionTarget = field(kw_only=True)

    def scores(self, output: Any, pictures: int, _endings: Endings | None, model_name: str) -> Tensor:
        """The values of the function (N, 1), float32, of an answer for N `pictures`, attached to the graph.

        Raises `TargetError` where the function raises, or gives anything but one number per picture.
        """
        name = self.target.name
        try:
            with unruled():
                values = self.target.function(output)
        except Exception as error:
            # Whatever a user's function raises is theirs, but memory is ours to handle.
            if isinstance(error, CnnexplainError) or is_out_of_memory(error):
                raise
            raise TargetError(
                f"the target {name} raised {first_line(error)}",
                f"it is called with what {model_name} returns: {described(output)}",
            ) from error
        if not isinstance(values, Tensor):
            raise TargetError(
                f"the target {name} gave a {type(values).__name__}, not a tensor of one number per picture",
                f"compute it with torch from what {model_name} returns: {described(output)}",
            )
        if values.shape != (pictures,) or not values.is_floating_point():
            raise TargetError(
                f"the target {name} gave {described(values)} for {count(pictures, 'picture')}", SHAPE
            )
        return values.float()[:, None]

    @staticmethod
    def score_channels(output: Any, _scores: Tensor) -> frozenset[int]:
        """How many channels the maps have that the model returns, such as those of a segmentation."""
        return frozenset(leaf.tensor.shape[1] for leaf in leaves(output, 1) if leaf.tensor.ndim == 4)


def classifier(model: Model) -> Model | None:
    """The model with its class scores, of one that is asked for a function too; None where it has no class scores."""
    plain = model.class_model or model
    return plain if Capability.SCORES in plain.capabilities else None


def goal(model: Model) -> str:
    """The classes, or the target, that the scores of a model are of, as a part of a sentence."""
    return "the classes" if model.function is None else f"the target {model.function.name}"


def with_target(model: Model, target: FunctionTarget) -> Model:
    """A copy of the model whose only score is the value of a function; it shares the module.

    Its layers are chosen, and its gradients taken, on the way to that value.
    """
    return replace(
        model,
        own_labels=(target.name,),
        activation="none",
        chunks=Chunks(),  # whether pictures may go through together depends on the function as well
        streams=type(model.streams)(),
        heads=type(model.heads)(),
        function=target,
        class_model=model.class_model or model,
    )
