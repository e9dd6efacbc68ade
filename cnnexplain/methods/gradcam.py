"""Heat maps of where a class was found: Grad-CAM and its relatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from cnnexplain.core.explanation import Answer, Attribution
from cnnexplain.core.params import Param
from cnnexplain.core.target import parse_target
from cnnexplain.methods._cams import CAMS, NEED_NO_GRADIENT

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model

__all__ = ["GradCAM"]


@dataclass(frozen=True)
class GradCAM:
    """Heat map of where the chosen class was found (Grad-CAM, Selvaraju et al. 2017, and its relatives).

    The maps are signed: what is positive speaks for the class, what is negative against it. The papers'
    final rectification is left to the picture.
    """

    method: Annotated[
        tuple[str, ...],
        Param(
            "Formula; several share one pass through the model.",
            ("-m", "--method"),
            metavar="NAME",
            choices=tuple(CAMS),
            split=True,
        ),
    ] = ("gradcam",)
    layer: Annotated[
        tuple[str, ...],
        Param(
            "Layer to explain; may be repeated. Left out, the last map before pooling is taken.",
            ("-l", "--layer"),
            metavar="NAME",
        ),
    ] = ()
    target: Annotated[
        str,
        Param(
            "Class to explain: top, top3, an index, a label or a part of one.",
            ("-t", "--target"),
            metavar="CLASS",
        ),
    ] = "top"

    def bind(self, model: Model) -> tuple[GradCAM, tuple[Choice, ...]]:
        """Settle the layers and check the class."""
        parse_target(self.target, model.labels)
        if self.layer:
            return replace(self, layer=tuple(dict.fromkeys(map(model.find_layer, self.layer)))), ()
        choice = model.choose_layer()
        return replace(self, layer=(choice.value,)), (choice,)

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward for all, and one backward per class, whatever the number of formulas and layers."""
        with model.capture(*self.layer) as captured:
            logits = model.forward(batch.inputs)
        maps = [captured[layer] for layer in self.layer]  # each (N, C, h, w)
        targets = model.targets(parse_target(self.target, model.labels), logits)
        needs_gradient = not NEED_NO_GRADIENT.issuperset(self.method)
        found = []
        for rank, target in enumerate(targets, start=1):
            gradients = (
                model.gradient(target.score, maps, keep_graph=rank < len(targets)) if needs_gradient else maps
            )
            for layer, a, g in zip(self.layer, maps, gradients, strict=True):
                found += [
                    Attribution(
                        name, layer, target.index.cpu(), CAMS[name](a.detach().float(), g).float().cpu()
                    )
                    for name in self.method
                ]
        return Answer(logits.detach().cpu(), tuple(found))
