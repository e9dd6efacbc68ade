"""What every channel of a layer matters for the score: channels are set to zero, one at a time, in some pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cnnexplain.core.ablation import Ablation
from cnnexplain.core.records import number, readable
from cnnexplain.engine.perturb.channels import without_channels
from cnnexplain.engine.perturb.scores import Perturbed
from cnnexplain.engine.scoring.scores import class_scores
from cnnexplain.formulas.units import ablation_importance

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model

CLASSES = 10  # of those that are answered, the most frequent ones, of which means are recorded


def ablations(
    model: Model, image: Tensor, layers: Mapping[str, tuple[int, int, int]]
) -> dict[str, Ablation] | None:
    """Ask a model for its scores of an image without each channel of layers.

    Args:
        model: Is borrowed.
        image: The input (1, C, H, W), normalised.
        layers: By layer the channels, rows and columns (U, h, w) of its map.

    Returns:
        By layer what the score of the answered class loses; None where the scores of the image are no numbers.
    """
    image = model.layout.of(image)
    with torch.no_grad():
        logits = model.require_count(model.forward(image.clone()))
    if not bool(logits.isfinite().all()):
        return None
    own = class_scores(logits.float())[0].cpu()
    answered = int(own.argmax())
    made = {}
    perturbed = Perturbed(model, image)
    for layer, shape in layers.items():
        scores = class_scores(without_channels(perturbed, layer, shape, logits[0]).float()).cpu()  # (U, K)
        drops = own[answered] - scores[:, answered]
        finite = scores.isfinite().all(1)
        changes = (scores.argmax(1) != answered) & finite
        made[layer] = Ablation(answered, drops.where(finite, torch.nan).numpy(), changes.numpy())
    return made


def importance(every: Sequence[Ablation], classes: Sequence[str]) -> list[dict[str, Any]]:
    """What is recorded of the importance of each channel of a layer.

    Args:
        every: Of the pictures that were used, at least one, in the order of the pictures.
        classes: The names of all classes.

    Returns:
        Of each of U channels `mean`, the mean drop of the answered class's score, `changes`, the share of pictures with
        another answer, `images`, and `classes`, the same by class for those that are answered most often.
    """
    drops = torch.from_numpy(np.stack([each.drops for each in every]))  # (N, U)
    changes = torch.from_numpy(np.stack([each.changes for each in every]))
    answered = [each.answered for each in every]
    frequent = sorted(Counter(answered).items(), key=lambda pair: (-pair[1], pair[0]))[:CLASSES]
    usable = drops.isfinite()
    means, counts = ablation_importance(drops), usable.sum(0)
    shares = (changes & usable).double().sum(0) / counts
    of_classes = []
    for index, _ in frequent:
        here = drops[[row for row, own in enumerate(answered) if own == index]]
        of_classes.append((index, ablation_importance(here), here.isfinite().sum(0)))
    recorded = []
    for channel in range(drops.shape[1]):
        by_class = [
            {
                "index": index,
                "label": readable(classes[index]),
                "mean": _number(float(mean[channel])),
                "images": int(images[channel]),
            }
            for index, mean, images in of_classes
        ]
        recorded.append(
            {
                "mean": _number(float(means[channel])),
                "changes": _number(float(shares[channel])),
                "images": int(counts[channel]),
                "classes": by_class,
            }
        )
    return recorded


def _number(value: float) -> float | None:
    return number(float(f"{value:.6g}"), "a drop of the score") if math.isfinite(value) else None
