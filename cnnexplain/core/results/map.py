"""Maps: where on an image the evidence for a class is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cnnexplain.core import words
from cnnexplain.core.belief import Belief, belief_words
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.records import is_misplaced, layer_name, number, readable
from cnnexplain.core.results import Detail, Entry, Result, require_map, require_whole
from cnnexplain.core.words import likelihood

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnexplain.core.preprocess import Geometry

__all__ = ["Heatmap"]

# What the numbers of a map mean, which decides how they are drawn.
# "evidence": positive speaks for the class and is what is looked for; negative speaks against it.
# "signed": positive speaks for the class and negative against it, and both count alike.
# "rule": both signs of what a backward rule let through, which is no gradient.
# "magnitude": never negative; zero is nothing.
# "component": the two sides of a principal component, whose sign is arbitrary; zero is the mean place.
Scale = Literal["evidence", "signed", "rule", "magnitude", "component"]
SIGNLESS: tuple[Scale, ...] = ("rule", "component")  # neither sign speaks for the class
ROUNDING = 1e-5  # of a value: what sums of float32 may differ by between processors
PIXELS = "input"  # the layer of a map that has one value for every pixel of the input


@dataclass(frozen=True, eq=False)
class Heatmap(Result):
    """A map of one image: where the evidence for `target` is."""

    kind: ClassVar[str] = "map"
    summed_up_as: ClassVar[str] = "maps"

    method: str
    layer: str
    target: Prediction
    values: NDArray[np.float32] = field(repr=False)  # (h, w), signed, on the method's own scale
    geometry: Geometry = field(repr=False)  # where the map lies, which may be a part of what the model saw
    of_class: bool = True  # False for a map that no target enters; `target` is then the best class
    scale: Scale = "evidence"
    detail: Detail = field(default_factory=Detail, repr=False)
    placed: bool = True  # whether it is known where on the picture the map lies
    # (C, h, w) of the input's channels, signed, of which `values` were made; None where there is no such thing.
    channels: NDArray[np.float32] | None = field(default=None, repr=False)
    errors: NDArray[np.float32] | None = field(
        default=None, repr=False
    )  # (h, w): standard errors of a sampled map
    verdict: Belief | None = None  # how far it can be believed, where that was asked
    channel_errors: NDArray[np.float32] | None = field(
        default=None, repr=False
    )  # (C, H, W): those of `channels`
    pooled: bool = False  # whether a map of pixels has a value for each cell of pixels only

    @cached_property
    def min(self) -> float:
        """The strongest evidence against, or the weakest for."""
        return float(self.values.min())

    @cached_property
    def max(self) -> float:
        """The strongest evidence for the class; not above zero where nothing speaks for it."""
        return float(self.values.max())

    @cached_property
    def peak(self) -> tuple[int, int] | None:
        """(x, y) of the strongest evidence in the picture's pixels; None where nothing is positive, or not `placed`.

        Where neither sign speaks for the class (`SIGNLESS`), the largest absolute value.
        """
        strength = abs(self.values) if self.scale in SIGNLESS else self.values
        if not strength.max() > 0 or not self.placed:
            return None
        row, column = strongest(strength)
        return self.geometry.pixel_of_cell(row, column, (self.values.shape[0], self.values.shape[1]))

    def record(self) -> dict[str, Any]:
        """Return the map in numbers: class, shape, range, and where it is strongest.

        A function is no class: `target` is then None, and `of` has its name and its value.
        """
        target = self.target
        recorded = {
            "kind": self.kind,
            "method": self.method,
            "layer": layer_name(self.layer),
            "target": target.record() if target.is_class else None,
            "scale": self.scale,
            "shape": list(self.values.shape),
            "min": number(self.min, f"{self.method}'s smallest value"),
            "max": number(self.max, f"{self.method}'s largest value"),
            "peak": self.peak and list(self.peak),
        }
        if self.of_class and not target.is_class:
            value = number(target.logit, f"the target {target.label}")
            recorded["of"] = {"name": readable(target.label), "value": value}
        if self.verdict is not None:
            recorded["verdict"] = self.verdict.record()
        return recorded if self.of_class and target.is_class else {**recorded, "of_class": False}

    @property
    def goal(self) -> str:
        """What the map is of, for a sentence: the class, or the target; empty where neither enters."""
        return ("the class" if self.target.is_class else "the target") if self.of_class else ""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the map (h, w), signed, and what it is of.

        Where a map of pixels has a value for every channel, `values` is (C, H, W), and `map` has it as it is drawn,
        which may be in cells. Sampled maps have standard errors: `errors` those of `values`, `map_errors` of `map`.
        """
        import numpy as np

        values = {"values": self.values, "errors": self.errors}
        if self.channels is not None:
            values = {"values": self.channels, "errors": self.channel_errors}
            values |= {"map": self.values, "map_errors": self.errors}
        return {
            **{name: array for name, array in values.items() if array is not None},
            "method": np.array(self.method),
            "class": np.array(self.target.index, np.int64),
            "label": np.array(readable(self.target.label)),
            "probability": np.array(self.target.probability, np.float64),
            "logit": np.array(self.target.logit, np.float64),
            "of_class": np.array(self.of_class),
        }

    @classmethod
    def summaries(cls, entries: Sequence[Entry]) -> Iterator[str]:
        """Return a line for each map: class, method, layer, and where it is strongest."""
        return map(_summary, entries)

    @property
    def name(self) -> str:
        """What it is called in a sentence about it."""
        return f"{self.method} map at {self.layer}"

    @classmethod
    def require_sound(cls, entry: Entry) -> None:
        """Refuse an entry whose shape, layer or class are not those of a map.

        Raises:
            ValueError: A number is not whole.
            TypeError: The layer is no text.
            LookupError: Something is missing.
        """
        require_map(entry)
        if entry["target"]:
            require_whole(entry["target"]["index"])

    def name_parts(self) -> dict[str, str]:
        """Return method, layer and, where a class enters, its number, for the names of files."""
        parts = {"method": self.method, "layer": self.layer}
        target = str(self.target.index) if self.target.is_class else self.target.label
        return {**parts, "target": target} if self.of_class else parts

    def distribution(self) -> NDArray[np.float32]:
        """Return all cells (h * w,), signed."""
        return self.values.reshape(-1)


def strongest(strength: NDArray[np.float32]) -> tuple[int, int]:
    """Find the strongest cell of a map.

    Of values that are equal up to rounding the first counts, row by row: equal values, of a map of a symmetrical
    picture say, are rounded otherwise on other processors. Where its neighbours are equal as well, as all pixels that
    the same windows hide, it is the cell in the middle of them.

    Args:
        strength: (h, w), not negative.

    Returns:
        Row and column.
    """
    equal = strength >= strength.max() * (1 - ROUNDING)
    row, column = divmod(int(equal.argmax()), strength.shape[1])
    beside, below = equal[row, column + 1 : column + 2], equal[row + 1 : row + 2, column]
    if not (beside.any() or below.any()):  # those before it are not equal, or one of them would be the first
        return row, column
    rows, columns = _together(equal, row, column).nonzero()
    apart = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = int(apart.round(6).argmin())
    return int(rows[nearest]), int(columns[nearest])


def _together(cells: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    """Return those of the cells (h, w) that can be reached from one of them by steps to the next in a row or column."""
    import numpy as np

    reached = np.zeros_like(cells)
    reached[row, column] = True
    count = 0
    while count < (count := int(reached.sum())):
        reached = _along_rows(_along_rows(reached, cells).T, cells.T).T
    return reached


def _along_rows(reached: NDArray[np.bool_], cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what was reached of the cells, and all that follows it or comes before it in its row without a gap."""
    import numpy as np

    height, width = cells.shape
    runs = np.cumsum(~cells, axis=1) + (width + 1) * np.arange(height)[:, None]  # one number for each
    hit = np.zeros(height * (width + 1), bool)
    hit[runs[reached]] = True
    joined: NDArray[np.bool_] = cells & hit[runs]
    return joined


def about_function(entry: Entry) -> str:
    """Return in words what an entry without a class is about: the function and its value, or no class."""
    of = entry.get("of")
    return f"{of['name']} {words.number(of['value'])}" if of else "no class"


def _summary(entry: Entry) -> str:
    target, peak, layer = entry["target"], entry["peak"], entry["layer"]
    component = entry.get("scale") == "component"
    nothing = "zero everywhere" if component else "nothing positive"
    nothing = "not laid back on the picture" if is_misplaced(entry) else nothing
    where = f"strongest at x {peak[0]}, y {peak[1]}" if peak else nothing
    where += ", sign arbitrary" if component else ""
    about = (
        f"{target['label']} {likelihood(target)}" if entry.get("of_class", True) else about_function(entry)
    )
    line = f"{about}, {entry['method']} {'' if layer == PIXELS else f'at {layer} '}{where}"
    return f"{line}. {belief_words(entry['verdict'])}" if "verdict" in entry else line
