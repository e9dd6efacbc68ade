"""What a stored run said of each picture, to hold a later one against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class StoredImage:
    """What was said of one picture."""

    sha256: str  # of the picture's file
    best: tuple[tuple[int, float], ...]  # the best classes, each with its probability, best first
    # (h, w): signed Grad-CAM of the best class; None without a map to explain.
    values: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A stored run: what it was made of, by name, and what was said of each picture, by the picture's key."""

    made_of: Mapping[str, str]  # fingerprints: model, layer, classes, weights, preprocessing
    versions: Mapping[str, str]  # of what computed it
    answers: Mapping[str, StoredImage]
