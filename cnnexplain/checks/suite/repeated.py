"""How far two answers to the same picture lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnexplain.checks.suite.subject import same_width
from cnnexplain.core.verdict import ROWS, EvidenceTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexplain.checks.suite.subject import Example

ROUNDING = 4 * torch.finfo(torch.float32).eps  # of the largest logit: what differs by less is the same


def apart(first: Tensor, second: Tensor, among: Tensor) -> Tensor:
    """The largest difference (N,) of logits (N, K), as a share of the size that those of all pictures `among` have.

    Their size is the root of their mean square about each picture's mean: what is added to all of a picture's scores
    changes no answer, and one picture's score may be zero by accident. In float64, whose squares do not overflow.
    Raises `ModelError` where there are more scores in one answer than in the other.
    """
    same_width([among, first, second])
    rows = torch.cat((among, second)).double()
    rows = rows[rows.isfinite().all(1)]
    if not len(rows):
        return torch.full((len(first),), float("inf"), dtype=torch.float64)
    about = rows - rows.mean(1, keepdim=True) if rows.shape[1] > 1 else rows
    largest = (first.double() - second.double()).abs().amax(1) - ROUNDING * rows.abs().max()
    return (largest.clamp_min(0) / about.square().mean().sqrt().clamp_min(1e-30)).nan_to_num(float("inf"))


def worst(examples: Sequence[Example], distances: Tensor) -> EvidenceTable:
    """The pictures whose answers lie furthest apart."""
    order = distances.argsort(descending=True, stable=True).tolist()[:ROWS]
    rows = tuple((examples[place].name, f"{float(distances[place]):.2g}") for place in order)
    return EvidenceTable(("picture", "scores apart"), rows)
