"""What checks look at: a model, the pictures that it was given, and what is worked out of them once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.checks import _layers
from cnnexplain.core.verdict import Skipped
from cnnexplain.engine import activity, scores, weights
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.checks._flow import Flow
    from cnnexplain.core.baseline import Baseline
    from cnnexplain.engine.model import Model

# (model, inputs (N, C, H, W), classes (N,), layer) -> signed maps (N, h, w), float32, on the CPU.
Explain = Callable[["Model", Tensor, Tensor, str], Tensor]


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
    explain: Explain | None = None
    baseline: Baseline | None = None
    rows: int = field(default=8)  # pictures that go through the model at once
    told: bool = True  # whether the check `finite` takes part, which says it where weights are NaN

    def inputs(self, which: slice | None = None, model: Model | None = None) -> Tensor:
        """The pictures, normalised (N, C, H, W), as `model` (by default the subject's own) is fed them."""
        return (model or self.model).inputs([one.pixels for one in self.examples[which or slice(None)]])

    def scored(self, pixels: Sequence[NDArray[np.uint8]], model: Model | None = None) -> Tensor:
        """The logits (N, K), float32, on the CPU, of pictures (H, W, C); `model` may be fed otherwise than usual."""
        asked = model or self.model
        parts = (pixels[start : start + self.rows] for start in range(0, len(pixels), self.rows))
        with torch.no_grad():
            return torch.cat([asked.forward(asked.inputs(list(part))).cpu() for part in parts])

    def fed(self, mean: Sequence[float], std: Sequence[float]) -> Model:
        """The same model behind another normalisation."""
        return replace(
            self.model, preprocess=replace(self.model.preprocess, mean=tuple(mean), std=tuple(std))
        )

    @cached_property
    def broken(self) -> list[str]:
        """The names of weights that are not finite, and of buffers that are NaN."""
        return weights.broken(self.model.module)

    def require_sound_weights(self) -> None:
        """Raise where weights are not finite: `Skipped` where `finite` says so itself, or else `ModelError`."""
        if self.broken and self.told:
            raise Skipped("it holds NaN or infinite weights: see finite")
        self.model.require_finite_weights()

    @cached_property
    def counted(self) -> tuple[_layers.Counted, ...]:
        """What is counted of the filters of every layer. Raises where weights are not finite."""
        return _layers.counted(self)

    @property
    def tensors(self) -> int:
        """How many weights and buffers there are."""
        return sum(1 for _ in (*self.model.module.parameters(), *self.model.module.buffers()))

    @cached_property
    def answers(self) -> Tensor:
        """The logits of every picture (N, K), float32, on the CPU, finite or not."""
        return self.scored([one.pixels for one in self.examples])

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
        """The probability of every class (N, classes); two classes where there is one logit."""
        return chances(self.logits)

    @cached_property
    def best(self) -> Tensor:
        """The class that each picture is taken for (N,)."""
        return self.chances.argmax(1)

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
        starts = range(0, len(self.examples), self.rows)
        batches = (self.inputs(slice(start, start + self.rows)) for start in starts)
        size, forward = self.model.preprocess.input_size, self.model.forward
        return activity.watched(self.model.module, forward, batches, size, self.logits.shape[1])

    @cached_property
    def flow(self) -> Flow:
        """How strongly the loss depends on each layer. Raises `Skipped` where that cannot be told."""
        from cnnexplain.checks._flow import measured

        return measured(self)

    @cached_property
    def map_layer(self) -> str:
        """The layer whose maps are explained. Raises `LayerError` where there is none."""
        return self.model.choose_layer().value

    @cached_property
    def maps(self) -> Tensor:
        """Grad-CAM of the best class of every picture (N, h, w), signed, float32, on the CPU."""
        return self.maps_of(self.best)

    def maps_of(self, index: Tensor) -> Tensor:
        """Grad-CAM of one class `index` (N,) per picture (N, h, w), of the model as it is at this moment."""
        if self.explain is None:
            raise Skipped("there is nothing that explains pictures")
        found = []
        for start in range(0, len(self.examples), self.rows):
            part = slice(start, start + self.rows)
            classes = index[part].to(self.model.device)
            found.append(self.explain(self.model, self.inputs(part), classes, self.map_layer))
        return torch.cat(found)


def chances(logits: Tensor) -> Tensor:
    """The probability of every class (N, classes), of logits (N, K); two classes where K is 1."""
    found = scores.class_scores(logits)
    return found.sigmoid() if logits.shape[1] == 1 else found.softmax(1)
