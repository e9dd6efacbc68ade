"""An image and a layer for whose channels a model is asked for scores, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.target import Target
    from cnnexplain.engine.perturb.scores import Perturbed


@dataclass(frozen=True, eq=False)
class Asked:
    """One image and one run of a layer, for whose channels scores are asked.

    Attributes:
        perturbed: The model, which is asked for variants of the image.
        run: The run of the layer.
        a: Its map (C, h, w).
        logits: The scores (1, K) of the image as it is.
        targets: What is explained of the batch.
        row: The image's row in it.
        every: Whether every channel is to be asked for.
    """

    perturbed: Perturbed
    run: str
    a: Tensor
    logits: Tensor
    targets: Sequence[Target]
    row: int
    every: bool

    def of_classes(self, scores: Tensor) -> Tensor:
        """The scores (R, n) of the classes, of those of all classes (n, K)."""
        import torch

        from cnnexplain.engine.scoring.scores import score_of

        broken = (~scores.isfinite()).any(1)
        if bool(broken.any()):
            raise ImageError(
                f"with {self.run} changed, the model's scores are not finite for {int(broken.sum())} of its channels",
                "look for the layer with cnnexplain check MODEL --only finite, or leave scorecam and ablationcam out",
            )
        scores = self.perturbed.model.require_count(scores)
        rows = torch.full((len(scores),), self.row, device=scores.device)
        return torch.stack([score_of(scores, target, rows) for target in self.targets]).cpu()


@dataclass(frozen=True, eq=False)
class Changed:
    """The scores of images that were changed, one for every channel.

    Attributes:
        scores: Of R classes, (R, C); minus infinity for channels that have no part.
        estimated: Which channels were not asked for, their scores being estimates, (C,); None where there are none.
        turned: How far that may turn the map of each class, to three standard deviations (`formulas.scorecam_turns`).
    """

    scores: Tensor
    estimated: Tensor | None = None
    turned: Sequence[float] = ()
