"""What comes out of an explanation: for a batch (tensors), and for one picture (numbers to draw and record)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from cnnexplain.core.preprocess import Geometry


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class Batch:
    """Pictures on their way through a model."""

    names: tuple[str, ...]
    pictures: tuple[Image.Image, ...]  # RGB, as a person sees them
    geometries: tuple[Geometry, ...]
    inputs: Tensor  # (N, C, H, W) float32, normalised, on the model's device


@dataclass(frozen=True, eq=False)
class Attribution:
    """A signed map for every picture of a batch, at the method's own resolution."""

    method: str
    layer: str
    index: Tensor  # (N,) int64, the class that is explained
    values: Tensor  # (N, h, w) float32 on the CPU
    # False for a map that no class enters; `index` is then the best class, for the record.
    of_class: bool = True


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said of a batch, and why."""

    logits: Tensor  # (N, K)
    attributions: tuple[Attribution, ...]


@dataclass(frozen=True)
class Prediction:
    """One class of one picture."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True, eq=False)
class Heatmap:
    """One signed map of one picture: where the evidence for `target` was found."""

    method: str
    layer: str
    target: Prediction
    values: NDArray[np.float32] = field(repr=False)  # (h, w), signed, on the method's own scale
    geometry: Geometry = field(repr=False)
    of_class: bool = True  # False for a map that no class enters

    @property
    def min(self) -> float:
        """The strongest evidence against, or the weakest for."""
        return float(self.values.min())

    @property
    def max(self) -> float:
        """The strongest evidence for the class; not above zero where nothing speaks for it."""
        return float(self.values.max())

    @property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the strongest evidence in the picture's pixels; None where nothing is positive."""
        if not self.max > 0:
            return None
        row, column = divmod(int(self.values.argmax()), self.values.shape[1])
        return self.geometry.pixel_of_cell(row, column, (self.values.shape[0], self.values.shape[1]))


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that was found out about one picture."""

    image: str
    picture: Image.Image = field(
        repr=False
    )  # RGB, perhaps only as large as it is drawn; `geometry` has the size
    geometry: Geometry = field(repr=False)
    predictions: tuple[Prediction, ...]  # best first
    heatmaps: tuple[Heatmap, ...]

    def heatmap(self, **wanted: Any) -> Heatmap:
        """The first map whose fields are as `wanted`, for example `heatmap(method="gradcam++")`."""
        for heatmap in self.heatmaps:
            if all(getattr(heatmap, name) == value for name, value in wanted.items()):
                return heatmap
        have = ", ".join(f"{one.method} at {one.layer}" for one in self.heatmaps)
        raise LookupError(f"no map with {wanted}; there are {have}")
