"""What checks look at: a model, the pictures that it was given, and what is worked out of them once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from cnnexplain.checks.suite import layers as _layers
from cnnexplain.core.verdict import Skipped
from cnnexplain.engine import activity, overflow
from cnnexplain.engine.scoring import scores
from cnnexplain.engine.weights import layers as weights
from cnnexplain.errors import ModelError
from cnnexplain.formulas.cam import gradcam

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.checks.suite.flow import Flow
    from cnnexplain.core.baseline import StoredRun
    from cnnexplain.engine.model import Model

Part = TypeVar("Part")
# (model, inputs (N, C, H, W), classes (N,), layer) -> signed maps (N, h, w), float32, on the CPU.
Explain = Callable[["Model", Tensor, Tensor, str], Tensor]


def class_maps(model: Model, inputs: Tensor, index: Tensor, layer: str) -> Tensor:
    """Grad-CAM (N, h, w) of one class `index` (N,) per picture, signed, float32, on the CPU."""
    with model.capture(layer) as captured:
        logits = model.forward(inputs)
    maps = next(iter(captured.values()))  # of a layer that runs several times the first run
    (gradients,) = model.gradient(model.score(logits, index), [maps])
    return gradcam(maps.detach().float(), gradients).float().cpu()


@dataclass(frozen=True, eq=False)
class Example:
    """One picture as the model sees it."""

    name: str  # for people: the path as it was given
    key: str  # the same wherever the pictures lie: the path below the argument
    sha256: str  # of its file
    pixels: NDArray[np.uint8]  # (H, W, C)
    label: int | None = None  # the class that it should be


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and its pictures. What costs a pass through the model is worked out on first use, in `borrowed()`."""

    model: Model
    examples: tuple[Example, ...] = ()
    explain: Explain = class_maps
    baseline: StoredRun | None = None
    rows: int = field(default=8)  # pictures that go through the model at once
    with_finite: bool = True  # whether the check `finite` takes part, which says it where weights are NaN

    def inputs(self, part: slice | None = None, model: Model | None = None) -> Tensor:
        """The pictures, normalised (N, C, H, W), as `model` (by default the subject's own) is fed them."""
        return (model or self.model).inputs([one.pixels for one in self.examples[part or slice(None)]])

    def scored(self, pixels: Sequence[NDArray[np.uint8]], model: Model | None = None) -> Tensor:
        """The logits (N, K), float32, on the CPU, of pictures (H, W, C); `model` may be fed otherwise than usual."""
        scoring = model or self.model
        with torch.no_grad():
            parts = self.in_parts(
                len(pixels), lambda part: scoring.forward(scoring.inputs(pixels[part])).cpu()
            )
            return torch.cat(same_width(list(parts)))

    def in_parts(self, count: int, work: Callable[[slice], Part], limit: int | None = None) -> Iterator[Part]:
        """`work` of all of so many rows, `limit` at a time (by default `rows`), fewer where memory is short."""
        chunks = self.model.chunks.over(
            count, self.model.device, lambda rows: work(slice(rows.start, rows.stop)), most=limit or self.rows
        )
        return (result for _, result in chunks)

    def fed(self, mean: Sequence[float], std: Sequence[float]) -> Model:
        """The same model behind another normalisation."""
        return replace(
            self.model, preprocess=replace(self.model.preprocess, mean=tuple(mean), std=tuple(std))
        )

    @cached_property
    def broken(self) -> list[str]:
        """The names of weights that are not finite, and of buffers that are NaN."""
        return weights.broken(self.model)

    def require_sound_weights(self) -> None:
        """Raise where weights are not finite: `Skipped` where `finite` says so itself, or else `ModelError`."""
        if self.broken and self.with_finite:
            raise Skipped("it holds NaN or infinite weights: see finite")
        self.model.require_finite_weights()

    @cached_property
    def counted(self) -> tuple[_layers.FilterCounts, ...]:
        """What is counted of the filters of every layer. Raises where weights are not finite."""
        return _layers.counted(self)

    @property
    def tensors(self) -> int:
        """How many weights and buffers there are."""
        return weights.tensors(self.model)

    def observed(self, model: Model | None = None) -> tuple[Tensor, list[overflow.Overflow]]:
        """The logits of every picture (N, K), float32, on the CPU; and where on the way values are not finite."""
        watched = model or self.model

        def work(part: slice) -> tuple[Tensor, list[overflow.Overflow]]:
            # Looks at a blank picture once, which is not to be watched.
            watched.heads.of(watched, part.stop - part.start)
            scores, places = overflow.overflows(watched, self.inputs(part, watched))
            return scores.cpu(), places

        parts = list(self.in_parts(len(self.examples), work))
        return torch.cat(same_width([scores for scores, _ in parts])), overflow.merged(
            one for _, one in parts
        )

    @cached_property
    def first_pass(self) -> tuple[Tensor, list[overflow.Overflow]]:
        """What the model as it is answers, and where values are not finite; one pass for both."""
        return self.observed()

    @property
    def answers(self) -> Tensor:
        """The logits of every picture (N, K), float32, on the CPU, finite or not."""
        return self.first_pass[0]

    @cached_property
    def exact(self) -> Tensor:
        """The logits of every picture (N, K) in float32, whatever precision was asked for."""
        if self.model.precision == "fp32":
            return self.answers
        return self.scored([one.pixels for one in self.examples], replace(self.model, precision="fp32"))

    @property
    def logits(self) -> Tensor:
        """Of every picture (N, K), float32, on the CPU. Raises `ModelError` where some are not finite.

        No `Skipped`: to skip all that needs scores would be to pass it.
        """
        if not bool(self.answers.isfinite().all()):
            self.require_sound_weights()
            raise ModelError(
                "its scores are not finite",
                "look for a division by zero or a logarithm of zero, or try --precision fp32",
            )
        return self.answers

    @cached_property
    def chances(self) -> Tensor:
        """The probability of every class (N, classes); two classes where there is one logit. Raises `Skipped`."""
        return self.chances_of(self.logits)

    def chances_of(self, logits: Tensor) -> Tensor:
        """The same of any logits (N, K). Raises `Skipped` where scores are no probabilities."""
        probabilities = self.model.probabilities(logits)
        if probabilities is None:
            raise Skipped("its scores are no probabilities, as --activation none says")
        return probabilities

    @cached_property
    def best(self) -> Tensor:
        """The class that each picture is taken for (N,)."""
        return scores.class_scores(self.logits).argmax(1)

    @cached_property
    def labels(self) -> Tensor:
        """The class that each picture should be (N,). Raises `Skipped` where none are known."""
        labels = [one.label for one in self.examples if one.label is not None]
        if not labels or len(labels) < len(self.examples):
            raise Skipped("the classes of the pictures are not known")
        return torch.tensor(labels)

    @cached_property
    def labelled(self) -> bool:
        """Whether it is known what every picture should be."""
        return bool(self.examples) and all(one.label is not None for one in self.examples)

    @cached_property
    def activity(self) -> list[activity.Activity]:
        """What every activation function did over all pictures, in order."""
        model, scores = self.model, self.logits.shape[1]

        def work(part: slice) -> list[activity.Activity]:
            return activity.watched(model, self.inputs(part), scores)

        return activity.joined(list(self.in_parts(len(self.examples), work)), len(self.examples))

    @cached_property
    def flow(self) -> Flow:
        """How strongly the loss depends on each layer. Raises `Skipped` where that cannot be measured."""
        from cnnexplain.checks.suite.flow import measured

        return measured(self)

    @cached_property
    def map_layer(self) -> str:
        """The layer that is explained, of several branches the first. Raises `LayerError` where there is none."""
        return self.model.runs.choose()[0][0]

    @cached_property
    def maps(self) -> Tensor:
        """Grad-CAM of the best class of every picture (N, h, w), signed, float32, on the CPU."""
        return self.maps_of(self.best)

    def maps_of(self, index: Tensor) -> Tensor:
        """Grad-CAM of one class `index` (N,) per picture (N, h, w), of the model as it is at this moment."""
        layer = self.map_layer

        def work(part: slice) -> Tensor:
            return self.explain(self.model, self.inputs(part), index[part].to(self.model.device), layer)

        return torch.cat(list(self.in_parts(len(self.examples), work)))


def same_width(parts: list[Tensor]) -> list[Tensor]:
    """Logits (N, K) of several times. Raises `ModelError` where K is not the same each time."""
    widths = [part.shape[1] for part in parts]
    if len(set(widths)) > 1:
        other = next(width for width in widths if width != widths[0])
        raise ModelError(
            f"it gives {widths[0]} scores at one time and {other} at another",
            "look for what makes the number of classes depend on the pictures, or on how many there are",
        )
    return parts
