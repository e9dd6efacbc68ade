"""From pictures to explanations, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.commands import BatchCommand
from cnnexplain.core.explanation import Answer, Batch, Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Geometry, Preprocess
from cnnexplain.core.results import Result
from cnnexplain.engine.chunks import is_broken_device
from cnnexplain.engine.forward import elsewhere
from cnnexplain.engine.model import Model
from cnnexplain.engine.scoring.functions import classifier, goal
from cnnexplain.engine.scoring.scores import class_scores
from cnnexplain.errors import CnnexplainError, ImageError, ImageMemoryError, is_out_of_memory
from cnnexplain.images.decoded import Decoded, DecodeOptions

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
    place: int = 0  # among all of the run


def wanted(preprocess: Preprocess, sides: tuple[int, int] | None = None) -> DecodeOptions:
    """What a model needs of a picture that is decoded for it."""
    return DecodeOptions(preprocess.channels, preprocess.range, sides)


def prepared(name: str, decoded: Decoded, preprocess: Preprocess) -> Prepared:
    """A decoded picture with what a model sees of it."""
    pixels, geometry = preprocess.apply(decoded.picture, decoded.size, decoded.bands)
    return Prepared(name, decoded.picture, pixels, geometry, decoded.notes)


@dataclass
class BatchSize:
    """How many pictures go through the model at once; fewer from where memory, or the model, did not take as many."""

    size: int


@dataclass(frozen=True, eq=False)
class Classes:
    """The class scores of a batch."""

    model: Model
    logits: torch.Tensor  # (N, K)

    def best(self) -> list[tuple[Prediction, ...]]:
        """The classes that are shown of every picture, the best first."""
        count = min(SHOWN_PREDICTIONS, len(self.model.labels))
        return self.model.predictions(self.logits, class_scores(self.logits).topk(count, dim=1).indices)


def explain(
    model: Model,
    method: BatchCommand,
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
        answer, classes = _answer(model, method, filled, whole, len(filled) - len(pictures))
    except Exception as error:
        short = is_out_of_memory(error)
        if is_broken_device(error) and not short:
            raise
        # An error that is kept keeps the tensors of its frames.
        failure = None if size > 1 else _no_memory(model) if short else error
        together = error if isinstance(error, CnnexplainError) and not short else None
    else:
        yield from zip(pictures, _separated(model, answer, classes, filled), strict=False)
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
        for picture, outcome in explain(model, method, part, whole=whole, batch=batch, size=size):
            if len(pictures) == 1 and isinstance(outcome, Explanation):
                _note_size(model, batch, size, together)
            yield picture, outcome


def _note_size(model: Model, batch: BatchSize | None, size: int, together: CnnexplainError | None) -> None:
    """Note that a picture went through as one of `size`, and as one of more came to `together`, or to no memory."""
    if batch is not None:
        batch.size = min(batch.size, size)
    if together is not None:
        model.chunks.takes_one(together)


def _no_memory(model: Model) -> ImageMemoryError:
    return ImageMemoryError(
        f"there is not enough memory on {model.device} for one picture",
        f"use {elsewhere(model.device)}a smaller --input-size, or --precision bf16",
    )


def _answer(
    model: Model, method: BatchCommand, pictures: Sequence[Prepared], whole: bool, copies: int
) -> tuple[Answer, Classes | None]:
    """The answer for a batch, the last of which are copies, and its classes; None where the model has none."""
    batch = Batch(
        inputs=model.inputs([picture.pixels for picture in pictures]),
        pictures=tuple(picture.picture for picture in pictures),
        geometries=tuple(picture.geometry for picture in pictures),
        whole=whole,
        expected=_expected(pictures),
        places=tuple(picture.place for picture in pictures),
        copies=copies,
    )
    answer = method.explain(model, batch)
    if not answer.logits.shape[1]:
        return answer, None
    model.require_count(answer.logits)
    if model.function is None:
        return answer, Classes(model, answer.logits)
    plain = classifier(model)
    if plain is None:
        return answer, None
    with torch.no_grad():  # another pass: the function's own had only what it is of
        return answer, Classes(plain, plain.forward(batch.inputs.clone()).cpu())


def _expected(pictures: Sequence[Prepared]) -> torch.Tensor | None:
    expected = [picture.expected for picture in pictures]
    if all(index is None for index in expected):
        return None
    return torch.tensor([-1 if index is None else index for index in expected])


def _separated(
    model: Model, answer: Answer, classes: Classes | None, pictures: Sequence[Prepared]
) -> Iterator[Explanation | CnnexplainError]:
    """A batch's answer, picture by picture."""
    known = [()] * len(pictures) if classes is None else classes.best()
    scoring = None if classes is None else classes.model.scoring
    of = "the model's answer" if model.function is None else goal(model)
    finite = answer.logits.isfinite().all(1).tolist()
    for row, (picture, results) in enumerate(zip(pictures, answer.results, strict=True)):
        if row in answer.problems:  # which may say better than what follows where it began
            yield answer.problems[row]
        elif not finite[row]:
            yield ImageError(f"{of} is not a number", "try --precision fp32, or check the model's weights")
        elif broken := [result for result in results if not _is_finite(result)]:
            yield ImageError(
                f"the {broken[0].name} is not a number everywhere", "try --precision fp32, or another method"
            )
        else:
            yield Explanation(
                image=picture.name,
                picture=picture.picture,
                geometry=picture.geometry,
                predictions=known[row],
                results=results,
                pixels=picture.pixels,
                notes=(*picture.notes, *answer.notes.get(row, ())),
                seconds={name: spent / len(pictures) for name, spent in answer.seconds.items()},
                activation="none" if scoring is None else scoring.activation,
                explained="" if scoring is None else scoring.explained,
            )


def _is_finite(result: Result) -> bool:
    values = result.distribution()
    return not isinstance(values, np.ndarray) or bool(np.isfinite(values).all())
