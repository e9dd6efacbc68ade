"""The layers whose weights are checked: each once, and only such as can be read and are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.core.words import abbreviated
from cnnexplain.engine.weights.kernel_statistics import statistics
from cnnexplain.engine.weights.kernels import Weights, weighted
from cnnexplain.errors import LayerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnexplain.checks.suite.subject import Subject
    from cnnexplain.core.results.kernels import KernelStatistics

NAMED = 3  # layers in a sentence


@dataclass(frozen=True, eq=False)
class FilterCounts:
    """What is counted of one layer's filters."""

    weights: Weights
    size: int  # weights of one filter
    zeros: int  # filters of which every weight is zero

    @cached_property
    def statistics(self) -> KernelStatistics:
        """Norms, likeness and smoothness of the filters, counted when they are first asked for."""
        return statistics(self.weights.read())

    @property
    def depthwise(self) -> bool:
        """Whether every filter reads one channel of many: such kernels are few-sided, and alike for a good reason."""
        return self.weights.groups > 1 and self.weights.groups == self.weights.inputs


def readable(subject: Subject) -> Iterator[tuple[Weights, NDArray[np.float32]]]:
    """Every layer with filters and its weights (K, C, ...). Raises where some are not finite."""
    subject.require_sound_weights()
    for weights in weighted(subject.model):
        # Rows of an embedding are entries, and the one for padding is zero on purpose.
        if weights.problem is not None or weights.twin is not None or "Embedding" in weights.kind:
            continue
        try:
            values = weights.read()
        except LayerError:
            continue
        if np.isfinite(values).all():  # they may be a buffer, which infinity is allowed in
            yield weights, values


def counted(subject: Subject) -> tuple[FilterCounts, ...]:
    """What is counted of every layer."""
    return tuple(
        FilterCounts(weights, values[0].size, int((~values.reshape(len(values), -1).any(axis=1)).sum()))
        for weights, values in readable(subject)
    )


def some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    return abbreviated(names, NAMED)
