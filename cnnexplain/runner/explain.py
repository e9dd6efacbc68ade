"""From pictures to explanations, in batches that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.explanation import (
    Answer,
    Attribution,
    Batch,
    Detail,
    Explanation,
    Heatmap,
    Prediction,
    Projection,
    Reconstruction,
)
from cnnexplain.core.feature_maps import FeatureMaps, LayerMaps
from cnnexplain.core.preprocess import Geometry, Preprocess
from cnnexplain.core.words import percent
from cnnexplain.engine.chunks import is_broken_device
from cnnexplain.engine.forward import elsewhere
from cnnexplain.engine.model import Model
from cnnexplain.engine.scores import class_scores
from cnnexplain.errors import CnnexplainError, ImageError, ImageMemoryError, is_out_of_memory
from cnnexplain.images.decoded import Decoded, Wanted
from cnnexplain.methods import Method

SHOWN_PREDICTIONS = 5


@dataclass(frozen=True)
class Prepared:
    """A decoded picture: what the model will see of it, and what will be drawn."""

    name: str
    picture: Image.Image  # RGB; it may be smaller than the original, whose size is in `geometry`
    pixels: NDArray[np.uint8]  # (H, W, C)
    geometry: Geometry
    notes: tuple[str, ...] = ()  # what was made of the file, in sentences
    expected: int | None = None  # the class that it should be


def wanted(preprocess: Preprocess, sides: tuple[int, int] | None = None) -> Wanted:
    """What a model needs of a picture that is decoded for it."""
    return Wanted(preprocess.channels, preprocess.range, sides)


def prepared(name: str, found: Decoded, preprocess: Preprocess) -> Prepared:
    """A decoded picture with what a model sees of it."""
    pixels, geometry = preprocess.apply(found.picture, found.size, found.bands)
    return Prepared(name, found.picture, pixels, geometry, found.notes)


@dataclass
class BatchSize:
    """How many pictures go through the model at once; fewer from where memory, or the model, did not take as many."""

    size: int


def explain(
    model: Model,
    method: Method,
    pictures: Sequence[Prepared],
    *,
    whole: bool = True,
    batch: BatchSize | None = None,
    size: int = 0,
) -> Iterator[tuple[Prepared, Explanation | Exception]]:
    """Explain pictures as one batch, or in parts where that fails. Inside `model.borrowed()`.

    Args:
        model: What is explained.
        method: How, bound to the model.
        pictures: The pictures of the batch.
        whole: Whether to keep all that is found, or only what will be drawn.
        batch: Is told how many pictures are few enough.
        size: How many inputs go through the model together. The batch is filled up with copies of its first picture,
            since rounding depends on their number; parts of a batch on which the model fails are filled up as well.

    Yields:
        Every picture in order, with its explanation, or with what the model, memory or the method raised for that
        picture alone.

    Raises:
        Exception: What a GPU raised that takes no further work.
    """
    size = max(size, len(pictures))
    try:
        filled = [*pictures, *[pictures[0]] * (size - len(pictures))]
        answer = _answer(model, method, filled, whole)
    except Exception as error:
        short = is_out_of_memory(error)
        if is_broken_device(error) and not short:
            raise
        # An error that is kept keeps the tensors of its frames.
        failure = None if size > 1 else _no_memory(model) if short else error
    else:
        yield from zip(pictures, _separated(model, answer, filled), strict=False)
        return
    if failure is not None:
        yield pictures[0], failure
        return
    if short:
        size //= 2
        if batch is not None:
            batch.size = max(1, min(batch.size, size))
        parts = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    elif len(pictures) > 1:
        parts = [pictures[: len(pictures) // 2], pictures[len(pictures) // 2 :]]
    else:  # the model may take no more than one picture at once
        parts, size = [pictures], 1
    for part in parts:
        for picture, found in explain(model, method, part, whole=whole, batch=batch, size=size):
            if len(pictures) == 1 and isinstance(found, Explanation) and batch is not None:
                batch.size = min(batch.size, size)
            yield picture, found


def _no_memory(model: Model) -> ImageMemoryError:
    return ImageMemoryError(
        f"there is not enough memory on {model.device} for one picture",
        f"use {elsewhere(model.device)}a smaller --input-size, or --precision bf16",
    )


def _answer(model: Model, method: Method, pictures: Sequence[Prepared], whole: bool) -> Answer:
    batch = Batch(
        names=tuple(one.name for one in pictures),
        pictures=tuple(one.picture for one in pictures),
        geometries=tuple(one.geometry for one in pictures),
        inputs=model.inputs([one.pixels for one in pictures]),
        whole=whole,
        expected=_expected(pictures),
    )
    answer = method.explain(model, batch)
    model.require_count(answer.logits)
    return answer


def _expected(pictures: Sequence[Prepared]) -> torch.Tensor | None:
    if all(one.expected is None for one in pictures):
        return None
    return torch.tensor([-1 if one.expected is None else one.expected for one in pictures])


def _separated(
    model: Model, answer: Answer, pictures: Sequence[Prepared]
) -> Iterator[Explanation | CnnexplainError]:
    """A batch's answer, picture by picture."""
    best = class_scores(answer.logits).topk(min(SHOWN_PREDICTIONS, len(model.labels)), dim=1).indices
    explained = [found.index[:, None] for found in answer.attributions]
    known = model.predictions(answer.logits, torch.cat((best, *explained), dim=1))
    for row, (picture, predictions) in enumerate(zip(pictures, known, strict=True)):
        if row in answer.problems:  # which may say better than what follows where it began
            yield answer.problems[row]
            continue
        if not bool(answer.logits[row].isfinite().all()):
            yield ImageError(
                "the model's answer is not a number", "try --precision fp32, or check the model's weights"
            )
            continue
        targets = dict(zip(answer.attributions, predictions[best.shape[1] :], strict=True))
        heatmaps = tuple(
            _heatmap(found, row, targets[found], picture)
            for found in sorted(answer.attributions, key=lambda found: _place(found, row))
            if found.index[row] >= 0
        )
        reconstructions = tuple(_reconstruction(one, row, picture) for one in answer.projections)
        broken = [f"{one.method} map at {one.layer}" for one in heatmaps if not _finite(one)]
        broken += [f"{one.rule} of {one.layer}" for one in reconstructions if not _finite(one)]
        if broken:
            yield ImageError(
                f"the {broken[0]} is not a number everywhere",
                "try --precision fp32, or another method",
            )
            continue
        yield Explanation(
            picture.name,
            picture.picture,
            picture.geometry,
            predictions[: best.shape[1]],
            heatmaps,
            reconstructions,
            tuple(_feature_maps(one, row, picture) for one in answer.layer_maps),
            picture.pixels,
            (*picture.notes, *_unlikely(answer, row, predictions[0])),
            model.scoring.activation,
            model.scoring.explained,
        )


def _unlikely(answer: Answer, row: int, best: Prediction) -> tuple[str, ...]:
    """What is said of a picture of which no class is likely enough to be explained."""
    asked = [found for found in answer.attributions if found.of_class]
    if not asked or any(found.index[row] >= 0 for found in asked):
        return ()
    chance = "" if best.probability is None else f", {percent(best.probability)}"
    return (f"No class is as likely as --target asks; the likeliest is {best.label}{chance}.",)


def _heatmap(found: Attribution, row: int, target: Prediction, picture: Prepared) -> Heatmap:
    """One picture's map, upright and where it lies on the picture."""
    values = found.values[row].numpy()
    return Heatmap(
        method=found.method,
        layer=found.layer,
        target=target,
        values=values if found.laying.plain else found.laying.upright(values),
        geometry=picture.geometry if found.laying.plain else found.laying.on(picture.geometry),
        of_class=found.of_class,
        scale=found.scale,
        detail=found.details[row] if found.details else Detail(),
        placed=not found.laying.lost,
        channels=None if found.channels is None else found.channels[row].numpy(),
    )


def _place(found: Attribution, row: int) -> tuple[int, float]:
    """Where a map stands among those of a picture: of parallel branches what counted most comes first."""
    # Rounded: of equal branches the order must not hang on the last digits.
    share = 0.0 if found.share is None else float(found.share[row])
    return found.rank, 0.0 if math.isnan(share) else -round(share, 2)


def _finite(found: Heatmap | Reconstruction) -> bool:
    return bool(np.isfinite(found.values).all())


def _reconstruction(found: Projection, row: int, picture: Prepared) -> Reconstruction:
    """One picture's share of a projection, no larger than what the unit can see."""
    left, top, right, bottom = found.sees[row].tolist()
    place = None if found.cell is None else found.cell[row].tolist()
    return Reconstruction(
        rule=found.rule,
        layer=found.layer,
        channel=int(found.channel[row]),
        cell=None if place is None else (place[0], place[1]),
        map_size=found.map_size,
        activation=float(found.activation[row]),
        sees=(left, top, right, bottom),
        values=found.values[row].numpy(),
        input_size=(picture.pixels.shape[0], picture.pixels.shape[1]),
        geometry=picture.geometry,
        detail=found.details[row] if found.details else Detail(),
        laying=found.laying,
    )


def _feature_maps(maps: LayerMaps, row: int, picture: Prepared) -> FeatureMaps:
    """One picture's share of a layer's maps."""
    found = maps.found[row]
    return FeatureMaps(
        layer=maps.layer,
        values=found.values.numpy(),
        channels=found.channels,
        shown=maps.shown,
        statistics=found.statistics,
        histogram=found.histogram,
        geometry=picture.geometry if maps.laying.plain else maps.laying.on(picture.geometry),
        placed=not maps.laying.lost,
        components=None if found.components is None else found.components.numpy(),
        variance=found.variance,
        labels=found.labels,
        look=maps.look,
        detail=found.detail,
    )
