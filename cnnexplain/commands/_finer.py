"""What sets a class apart from those that are most like it: Finer-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.core.results import Detail
from cnnexplain.core.words import listed
from cnnexplain.errors import OptionError
from cnnexplain.formulas.cam import finer_score, similar_classes

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model

ALPHA = 1.0  # how much the other classes count; Zhang et al. 2025
OTHERS = 3  # classes


def require_classes(model: Model) -> None:
    """Raise `OptionError` where there are no classes to compare."""
    if model.function is not None:
        raise OptionError(
            f"finercam compares a class with others, and {model.function.name} is no class",
            "use -m gradcam for a target of your own, or name a class",
        )


def finer(model: Model, logits: Tensor, target: Target) -> tuple[Tensor, list[Detail]]:
    """The score (N,) that Finer-CAM explains, attached to the graph; and what is to be said of each map.

    A mixture of classes is explained as it is: none is like it.
    """
    from cnnexplain.engine.scoring.scores import class_scores

    if target.weights is not None:
        return target.score, [Detail()] * len(logits)
    scores = class_scores(logits)
    index = target.index.clamp(min=0)  # -1 stands for no class, of which nothing is shown
    others = similar_classes(scores, index, OTHERS)
    details = []
    for classes in model.predictions(logits, others.cpu()):
        facts = {"alpha": ALPHA, "classes": [{"index": one.index, "label": one.label} for one in classes]}
        labels = listed([repr(one.label) for one in classes])
        details.append(Detail({"finercam": facts}, (f"What sets the class apart from {labels}.",)))
    return finer_score(scores, index, others, ALPHA), details
