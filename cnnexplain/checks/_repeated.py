"""How far two answers to the same picture lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from cnnexplain.checks._subject import same_width
from cnnexplain.core.verdict import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexplain.checks._subject import Example

ROWS = 30


def apart(first: Tensor, second: Tensor) -> Tensor:
    """The largest difference (N,) of logits (N, K), as a share of their size: the root of their mean square.

    Raises `ModelError` where there are more scores in one answer than in the other.
    """
    same_width([first, second])
    size = first.square().mean(1).sqrt().maximum(second.square().mean(1).sqrt())
    largest = (first - second).abs().amax(1)
    return (largest / size.clamp_min(1e-30)).nan_to_num(float("inf"))


def worst(examples: Sequence[Example], distances: Tensor) -> Table:
    """The pictures whose answers lie furthest apart."""
    order = distances.argsort(descending=True, stable=True).tolist()[:ROWS]
    rows = tuple((examples[place].name, f"{float(distances[place]):.2g}") for place in order)
    return Table(("picture", "scores apart"), rows)
