"""How the map of a layer lies on the model's input, where the picture was cut or mirrored on its way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cnnexplain.core.preprocess import Geometry

    Values = TypeVar("Values", Tensor, NDArray[np.float32])

Side = tuple[float, float]


@dataclass(frozen=True)
class Laying:
    """Where the rows and columns of a map begin and end on the input, as shares of its height and width.

    A side that begins behind its end is mirrored; `turned` says that the map's rows are the input's columns. `lost`
    says in words why the place of the map is not known; it is empty where it is.
    """

    rows: Side = (0.0, 1.0)
    columns: Side = (0.0, 1.0)
    turned: bool = False
    lost: str = ""

    @property
    def plain(self) -> bool:
        """Whether the map lies on the whole input, as it is."""
        return self == Laying()

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the part of the input that the map lies on, as shares of its sides."""
        return min(self.columns), min(self.rows), max(self.columns), max(self.rows)

    def upright(self, values: Values) -> Values:
        """A map (..., h, w) turned and mirrored so that its cells lie in the order of the picture's pixels."""
        import numpy as np

        if self.lost or self.plain:
            return values
        flipped = [axis for axis, side in ((-2, self.rows), (-1, self.columns)) if side[0] > side[1]]
        if self.turned:
            values = values.swapaxes(-2, -1)
        if isinstance(values, np.ndarray):
            return np.ascontiguousarray(np.flip(values, tuple(flipped)))
        return values.flip(flipped)

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The height and width that a map of `shape` (h, w) has when it is upright."""
        return (shape[1], shape[0]) if self.turned else shape

    def above(self, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
        """Where a cell (row, column) of a map of `shape` (h, w) comes to lie in the upright map."""
        row, column = (cell[1], cell[0]) if self.turned else cell
        rows, columns = self.shape(shape)
        return self._mirrored((row, column), (rows, columns))

    def below(self, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
        """Which cell of a map of `shape` (h, w) comes to lie at `cell` of the upright map."""
        row, column = self._mirrored(cell, self.shape(shape))
        return (column, row) if self.turned else (row, column)

    def _mirrored(self, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
        row, column = (
            length - 1 - place if side[0] > side[1] else place
            for place, length, side in zip(cell, shape, (self.rows, self.columns), strict=True)
        )
        return row, column

    def on(self, geometry: Geometry) -> Geometry:
        """Where the map lies on a picture whose input lies where `geometry` says."""
        from cnnexplain.core.preprocess import Geometry

        if self.plain:
            return geometry
        left, top, right, bottom = geometry.box
        box = self.box()
        return Geometry(
            geometry.picture_size,
            (
                left + box[0] * (right - left),
                top + box[1] * (bottom - top),
                left + box[2] * (right - left),
                top + box[3] * (bottom - top),
            ),
        )

    @property
    def words(self) -> str:
        """What was done to the picture before the layer, in words; empty where nothing was."""
        if self.lost:
            return f"not laid back on the picture: {self.lost}"
        mirrored = [
            way
            for side, way in ((self.rows, "top to bottom"), (self.columns, "left to right"))
            if side[0] > side[1]
        ]
        steps = [f"mirrored {' and '.join(mirrored)}"] if mirrored else []
        if self.turned:
            steps.insert(0, "turned, rows for columns")
        left, top, right, bottom = self.box()
        if (left, top, right, bottom) != (0, 0, 1, 1):
            verb = "padded" if min(left, top) < 0 or max(right, bottom) > 1 else "cut"
            steps.append(
                f"{verb} to {left:.0%} - {right:.0%} of its width and {top:.0%} - {bottom:.0%} of its height"
            )
        return f"its input was {', '.join(steps)}; the map is laid back on the picture" if steps else ""

    def facts(self) -> dict[str, Any]:
        """The same as plain data, for a record."""
        if self.lost:
            return {"back": False, "why": self.lost}
        return {
            "back": True,
            "turned": self.turned,
            "mirrored": [
                name for side, name in ((self.rows, "rows"), (self.columns, "columns")) if side[0] > side[1]
            ],
            "box": [round(edge, 6) for edge in self.box()],
        }
