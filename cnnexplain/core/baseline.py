"""What a stored run said of each picture, to hold a later one against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answered:
    """What was said of one picture."""

    sha256: str  # of the picture's file
    chances: NDArray[np.float32]  # (classes,)
    values: NDArray[np.float32]  # (h, w): signed Grad-CAM of the best class


@dataclass(frozen=True, eq=False)
class Baseline:
    """A stored run: what it was made of, by name, and what was said of each picture, by the picture's key."""

    made_of: Mapping[str, str]  # fingerprints: model, weights, preprocessing, classes, layer
    versions: Mapping[str, str]
    answers: Mapping[str, Answered]
