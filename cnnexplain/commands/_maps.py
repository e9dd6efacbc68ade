"""Maps of a batch as results, one for every picture and class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cnnexplain.core.laying import Laying
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import Heatmap
from cnnexplain.core.target import TargetSpec
from cnnexplain.core.words import percent

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.core.prediction import Prediction
    from cnnexplain.core.results.map import Scale
    from cnnexplain.core.target import Target
    from cnnexplain.engine.model import Model


def predicted(model: Model, logits: Tensor, targets: Sequence[Target]) -> list[tuple[Prediction | None, ...]]:
    """Of every target (rank) what each picture's class is; None where a picture has no class of this rank."""
    import torch

    index = torch.stack([target.index for target in targets], dim=1).cpu()
    classes = model.predictions(logits, index)
    return [
        tuple(
            one[rank] if present else None
            for one, present in zip(classes, (index[:, rank] >= 0).tolist(), strict=True)
        )
        for rank in range(len(targets))
    ]


def heatmaps(
    batch: Batch,
    method: str,
    layer: str,
    classes: Sequence[Prediction | None],
    values: Tensor,
    *,
    of_class: bool = True,
    scale: Scale = "evidence",
    details: Sequence[Detail] = (),
    channels: Tensor | None = None,
    laying: Laying = Laying(),  # noqa: B008 - it is frozen
) -> Iterator[Heatmap | None]:
    """A map for every picture that has a class, upright and where it lies on its picture; else None.

    `values` is (N, h, w), float32, on the CPU; `channels` (N, C, h, w), of which they were made.
    """
    for row, target in enumerate(classes):
        if target is None:
            yield None
            continue
        yield Heatmap(
            method=method,
            layer=layer,
            target=target,
            values=laying.upright(values[row].numpy()),
            geometry=laying.on(batch.geometry(row)),
            of_class=of_class,
            scale=scale,
            detail=details[row] if details else Detail(),
            placed=not laying.lost,
            channels=None if channels is None else channels[row].numpy(),
        )


def unlikely(model: Model, logits: Tensor, targets: Sequence[Target]) -> dict[int, tuple[str, ...]]:
    """What is said, by row, of the pictures of which no class is likely enough to be explained."""
    import torch

    missing = torch.stack([target.index < 0 for target in targets]).all(0)
    if not bool(missing.any()):
        return {}
    best = model.predictions(logits, model.targets(TargetSpec(), logits)[0].index[:, None].cpu())
    notes: dict[int, tuple[str, ...]] = {}
    for row in missing.nonzero()[:, 0].tolist():
        (likeliest,) = best[row]
        chance = "" if likeliest.probability is None else f", {percent(likeliest.probability)}"
        notes[row] = (f"No class is as likely as --target asks; the likeliest is {likeliest.label}{chance}.",)
    return notes
