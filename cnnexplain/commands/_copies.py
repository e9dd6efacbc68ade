"""What becomes of a class where a model is given perturbed copies of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def class_values(
    model: Model, image: Tensor, count: int, copies: Callable[[range], Tensor], index: Tensor, score: str
) -> Tensor:
    """The probability or the score of a class for perturbed copies of an image, some at a time.

    Args:
        model: The model. Called inside `borrowed()`.
        image: The image (1, C, H, W).
        count: How many copies there are.
        copies: Gives some of them, (n, C, H, W).
        index: The class (1,).
        score: `probability` or `logit`.

    Returns:
        (count,), float32, on the CPU.

    Raises:
        ImageError: A score is not finite.
    """
    import torch

    from cnnexplain.engine.streams import over

    size = image.shape[2] * image.shape[3] / 224**2
    parts = over(model, count, lambda own, rows: _class_values(own, copies(rows), index, score), size)
    return torch.cat([values for _, values in parts])


def _class_values(model: Model, copies: Tensor, index: Tensor, score: str) -> Tensor:
    import torch

    with torch.no_grad():
        logits = model.forward(model.layout.of(copies))
    if not bool(logits.isfinite().all()):
        raise ImageError(
            "with a part of the image deleted the model's scores are not finite",
            "look for the layer with cnnexplain check MODEL --only finite, or try --precision fp32",
        )
    classes = index.to(logits.device).expand(len(logits))
    chances = model.probabilities(logits) if score == "probability" else None
    values = model.score(logits, classes) if chances is None else chances.gather(1, classes[:, None])[:, 0]
    return values.float().cpu()
