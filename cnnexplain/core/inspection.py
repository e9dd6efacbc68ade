"""What comes out of looking into a model: findings that are drawn, recorded and told.

The table of all layers, `LayerTable`, is the one thing beside them, with a place of its own in record and page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.explanation import Detail


class Finding(Protocol):
    """One thing that was found in a model, as the weights of a layer."""

    @property
    def layer(self) -> str:
        """The layer that it is about; empty where it is about the model as a whole."""
        ...

    @property
    def title(self) -> str:
        """What it is, in a few words, beside the layer."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its values; empty where it has none."""
        ...

    @property
    def min(self) -> float | None:
        """Its smallest finite value; None where there is none."""
        ...

    @property
    def max(self) -> float | None:
        """Its largest finite value; None where there is none."""
        ...

    @property
    def detail(self) -> Detail:
        """What else is recorded of it, and what is said of it."""
        ...

    def arrays(self) -> Mapping[str, NDArray[np.float32]]:
        """Its values as `--save-raw` writes them; nothing where it has none."""
        ...
