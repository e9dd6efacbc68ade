"""What ways of hiding parts of an image share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.commands._maps import heatmaps
from cnnexplain.core.results.map import PIXELS
from cnnexplain.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results import Detail
    from cnnexplain.core.results.map import Heatmap, Scale
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model
    from cnnexplain.engine.perturb.scores import Perturbed

NOTABLE = 0.25  # of the largest drop: where hiding raises the score by more, it is drawn as well
Wanted = tuple["Target", "Prediction"]  # what is explained of the image, and what it is for people


@dataclass(frozen=True, eq=False)
class Hiding:
    """One image, parts of which are hidden.

    Attributes:
        perturbed: The model, which is asked for variants of the image.
        image: The image as a batch of one.
        filled: What hides, (1, C, H, W), normalised.
        fill: What that is called.
        logits: The scores (1, K) of the image as it is.
        wanted: The classes that are explained.
        compared: `logit` or `probability`.
    """

    perturbed: Perturbed
    image: Batch
    filled: Tensor
    fill: str
    logits: Tensor
    wanted: Sequence[Wanted]
    compared: str

    @property
    def model(self) -> Model:
        """The model that is asked."""
        return self.perturbed.model

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of what the model sees."""
        return self.image.inputs.shape[2], self.image.inputs.shape[3]

    def values(self, logits: Tensor, target: Target) -> Tensor:
        """What is compared (N,), of scores (N, K); of a mixture of classes always the score."""
        import torch

        from cnnexplain.engine.scoring.scores import score_of

        chances = self.model.probabilities(logits) if self.compared == "probability" else None
        if chances is not None and target.weights is None:
            return chances.gather(1, target.index.expand(len(logits))[:, None])[:, 0]
        rows = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        return score_of(self.model.require_count(logits), target, rows)

    def heatmaps(
        self, method: str, prediction: Prediction, values: Tensor, detail: Detail
    ) -> Iterator[Heatmap]:
        """The map of values (H, W) as a result; drawn with both signs where hiding raises the score by enough."""
        scale: Scale = (
            "signed" if -float(values.min()) > NOTABLE * max(float(values.max()), 0.0) else "evidence"
        )
        made = heatmaps(
            self.image, method, PIXELS, (prediction,), values[None], scale=scale, details=(detail,)
        )
        return (heatmap for heatmap in made if heatmap is not None)


def require_finite(scores: Tensor, hidden: Callable[[int], str]) -> None:
    """Raise `ImageError` where a score is not a number; `hidden` says of a row what was done to the image."""
    broken = (~scores.isfinite()).any(1).nonzero()
    if len(broken):
        raise ImageError(
            f"with {hidden(int(broken[0]))} the model's scores are not finite",
            "look for the layer with cnnexplain check MODEL --only finite, or choose another --fill",
        )
