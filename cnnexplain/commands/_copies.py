"""What becomes of a class where a model is given perturbed copies of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def class_values(model: Model, copies: Tensor, index: Tensor, score: str) -> Tensor:
    """The probability or the score (N,), float32, on the CPU, of a class (1,) for copies (N, C, H, W) of an image.

    Raises:
        ImageError: A score is not finite.
    """
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
