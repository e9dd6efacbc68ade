"""What the score of one picture loses without each channel of a layer, as numbers that go into a record and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.core.packed import packed, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ablation:
    """A picture's scores with one channel after another of a layer set to zero, beside those of the picture as it is.

    Attributes:
        answered: The index of the class that the model answers, whose score is looked at.
        drops: By how much that score falls without each channel, (U,); NaN where it is no number then.
        changes: Whether the model answers another class without the channel, (U,).
    """

    answered: int
    drops: NDArray[np.float32] = field(repr=False)
    changes: NDArray[np.bool_] = field(repr=False)

    def record(self) -> dict[str, Any]:
        """Return the same as plain data, arrays as little-endian bytes in base64."""
        return {
            "answered": self.answered,
            "drops": packed(self.drops),
            "changes": packed(self.changes.astype(np.uint8)),
        }

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Ablation:
        """Return what a record holds.

        Args:
            entry: As `record` made it.

        Raises:
            ValueError: Its arrays are not as they were written.
        """
        changes = unpacked(entry["changes"], np.uint8).astype(bool)
        return cls(entry["answered"], unpacked(entry["drops"], np.float32), changes)
