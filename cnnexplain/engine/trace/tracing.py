"""The one look at a model's way that everything else relies on: its layers, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnnexplain.core.choice import Choice
from cnnexplain.engine.scoring.endings import Endings
from cnnexplain.engine.scoring.functions import FunctionHead
from cnnexplain.engine.scoring.heads import Head, find_head
from cnnexplain.engine.scoring.unseen import noise, probed, strong
from cnnexplain.engine.trace import layers
from cnnexplain.errors import ForwardError

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


class Heads:
    """The head of a model, found once for all copies that are fed and asked alike."""

    def __init__(self) -> None:
        self._heads: dict[Any, Head] = {}

    def of(self, model: Model, pictures: int) -> Head:
        """The head of a model that is sent so many `pictures`, which may be the only number of them that it takes."""
        if _kind(model) not in self._heads:
            self.note(model, _head_of(model, pictures))
        return self._heads[_kind(model)]

    def note(self, model: Model, head: Head) -> None:
        """Keep the head for models with these settings."""
        self._heads[_kind(model)] = head

    def choices(self, model: Model) -> tuple[Choice, ...]:
        """The settings that were chosen with the head, with reasons; none where no look was needed yet."""
        head = self._heads.get(_kind(model))
        return () if head is None else head.choices


def traced(model: Model) -> layers.Trace:
    """Send one blank picture through a model. Inside `borrowed()`; see `layers.trace`, `heads.find_head`.

    Scores that look like probabilities of an operation that was not seen cost three more passes, or nineteen.
    """
    heads: list[Head] = []

    def forward(inputs: Tensor) -> tuple[Tensor, frozenset[int]]:
        head, output, endings = _headed(model, inputs)
        heads.append(head)
        scores = head.scores(output, len(inputs), endings, model.name)
        return scores, head.score_channels(output, scores)

    trace = layers.trace(model.module, model.blank(), forward)
    if heads[0].unsure:
        with torch.no_grad():
            answers = [model.output_of(inputs) for inputs in noise(model.blank())]
            heads.append(probed(heads[0], answers, lambda: _answers(model, strong(model.blank()))))
    model.heads.note(model, heads[-1])
    return replace(trace, head=heads[-1])


def renamed(model: Model, labels: Sequence[str]) -> Model:
    """A copy of the model with these names for its classes, which keeps all that was learnt of the model already."""
    return learnt(replace(model, own_labels=labels), model, "labels")


def learnt(other: Model, model: Model, *differing: str) -> Model:
    """`other`, a copy of `model`, with all that was learnt of the model by looking at it, but for what differs."""
    looks = {name: value for name, value in vars(model).items() if name not in (*vars(other), *differing)}
    if "runs" in looks:
        looks["runs"] = looks["runs"].of(other)
    vars(other).update(looks)
    return other


def _kind(model: Model) -> tuple[Any, ...]:
    """The settings of a model that its head depends on."""
    return model.preprocess.channels, model.preprocess.input_size, model.activation, model.output


def _head_of(model: Model, pictures: int) -> Head:
    try:
        return model.trace.head
    except ForwardError as error:
        if pictures == 1:
            raise
        batch = torch.cat([model.blank()] * pictures)
        try:
            with model.borrowed(), torch.no_grad():
                return _headed(model, batch)[0]
        except ForwardError:
            raise error from None


def _headed(model: Model, inputs: Tensor) -> tuple[Head, Any, Endings]:
    """The head as these inputs show it, with their answer, and what watched its making."""
    if model.function is not None:
        return FunctionHead(target=model.function), model.output_of(inputs), Endings()
    with Endings() as endings:
        output = model.output_of(inputs)
    unwrapped = model.activation != "none"
    head = find_head(output, len(inputs), endings, model.name, model.output, unwrapped=unwrapped)
    return head, output, endings


def _answers(model: Model, inputs: Iterator[Tensor]) -> Iterator[Any]:
    """What a model answers; without inputs that it refuses, as they are like no picture."""
    for picture in inputs:
        with suppress(ForwardError):
            yield model.output_of(picture)
