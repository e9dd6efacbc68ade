"""Heat maps of where a class was found: Grad-CAM and its relatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnexplain.core.explanation import Answer, Attribution, Detail
from cnnexplain.core.params import Param
from cnnexplain.core.target import TargetSpec, settled
from cnnexplain.methods._cams import CAMS, CLASS_FREE, COMPONENTS, SIGN_IS_ARBITRARY
from cnnexplain.methods._options import TargetOption, settled_target

if TYPE_CHECKING:
    from cnnexplain.core.choice import Choice
    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model

__all__ = ["GradCAM"]


@dataclass(frozen=True)
class GradCAM:
    """Heat map of where the chosen class was found (Grad-CAM, Selvaraju et al. 2017, and its relatives).

    The maps are signed: what is positive speaks for the class, what is negative against it. The papers'
    final rectification is left to the picture. Those of eigencam and eigengradcam have a sign that is arbitrary.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "cnnexplain gradcam bundled:efficientnet_lite0 cat.jpg",
        "cnnexplain gradcam resnet50 photos/ --target top3 -o out",
        "cnnexplain gradcam net.pth --arch resnet18 --labels names.txt photos/ -m gradcam,layercam",
    )

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
    target: TargetOption = "top"

    def bind(self, model: Model) -> tuple[GradCAM, tuple[Choice, ...]]:
        """Settle the layers and check the class."""
        target, choices = settled_target(model, self.target)
        layer = tuple(dict.fromkeys(map(model.find_layer, self.layer)))
        if not layer:
            choices += (model.choose_layer(),)
            layer = (choices[-1].value,)
        return replace(self, layer=layer, target=target.words), choices

    def explain(self, model: Model, batch: Batch) -> Answer:
        """One forward for all, and one backward per class, whatever the number of formulas and layers."""
        with model.capture(*self.layer) as captured:
            logits = model.forward(batch.inputs)
        maps = [captured[layer] for layer in self.layer]  # each (N, C, h, w)
        targets = model.targets(settled(self.target), logits)
        best = model.targets(TargetSpec(), logits)[0].index
        found = []
        for rank, target in enumerate(targets, start=1):
            formulas = [name for name in self.method if rank == 1 or name not in CLASS_FREE]
            gradients = maps
            if not CLASS_FREE.issuperset(formulas):
                gradients = model.gradient(target.score, maps, keep_graph=rank < len(targets))
            for layer, a, g in zip(self.layer, maps, gradients, strict=True):
                for name in formulas:
                    values = CAMS[name](a.detach().float(), g).float().cpu()
                    of_class = name not in CLASS_FREE
                    index = target.index if of_class else target.index.where(target.index >= 0, best)
                    attribution = Attribution(name, layer, index.cpu(), values, of_class)
                    if name in COMPONENTS:
                        details = (Detail(remarks=(SIGN_IS_ARBITRARY,)),) * len(values)
                        attribution = replace(attribution, scale="component", details=details)
                    found.append(attribution)
        return Answer(logits.detach().cpu(), tuple(found))
