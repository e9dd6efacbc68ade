"""From stored values of any depth to levels of grey: which values are black and white, the same for all pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnexplain.core.preprocess import Range
from cnnexplain.errors import ImageError

USUAL = (255, 1023, 4095, 16383, 65535)  # largest values of cameras and scanners
FEW = 64  # steps of grey: with fewer an image has lost its detail
AT_ONCE = 1 << 20  # values whose levels are worked out together: more take more memory


class Levels:
    """Turns the values of a picture into levels 0 to 255, part by part, and remembers how far they reach."""

    def __init__(self, dtype: np.dtype[Any], chosen: Range | None, bits: int | None = None) -> None:
        """Values are of `dtype`, of which `bits` are used; `chosen` is the range that the user set."""
        self.chosen = chosen
        self.dtype = dtype
        self.bits = bits or dtype.itemsize * 8
        self.range = chosen or self._usual()
        self.low, self.high = math.inf, -math.inf
        self.odd = 0  # values that are no finite numbers

    def _usual(self) -> Range:
        """The range where the user set none: all that unsigned integers can hold, and 0 to 1 for floats."""
        if self.dtype.kind == "b":
            return 0.0, 1.0
        return (0.0, 1.0) if self.dtype.kind == "f" else (0.0, float(2**self.bits - 1))

    def of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """The levels of some values, of the same shape; values that are not finite become black."""
        if values.dtype == np.uint8 and self.chosen is None:
            self.low, self.high = 0.0, 255.0
            return values
        levels = np.empty(values.shape, np.uint8)
        rows = max(1, AT_ONCE // max(1, values[:1].size))
        for top in range(0, len(values), rows):
            levels[top : top + rows] = self._of(values[top : top + rows])
        return levels

    def _of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        fits = values.dtype.itemsize <= (4 if values.dtype.kind == "f" else 2)
        numbers = values.astype(np.float32 if fits else np.float64)
        finite = np.isfinite(numbers)
        all_finite = bool(finite.all())
        if not all_finite:
            self.odd += int(finite.size - finite.sum())
        finite_numbers = numbers if all_finite else numbers[finite]
        if finite_numbers.size:
            self.low, self.high = (
                min(self.low, float(finite_numbers.min())),
                max(self.high, float(finite_numbers.max())),
            )
        low, high = self.range
        np.clip(numbers, low, high, out=numbers)
        numbers -= low
        numbers /= high - low
        numbers *= 255
        if not all_finite:
            numbers[~finite] = 0
        levels: NDArray[np.uint8] = np.rint(numbers, out=numbers).astype(np.uint8)
        return levels

    def require_range(self, option: str = "--range {},{}") -> None:
        """Raise `ImageError` where nothing says which values are black and white. Call it after all values are seen."""
        if self.low > self.high:
            raise ImageError("the picture holds no finite number", "export it again")
        small = self.dtype.kind in "bu" and self.bits <= 16
        fitting = self.dtype.kind == "f" and self.low >= 0 and self.high <= 1
        if self.chosen is None and not small and not fitting:
            kind = "floats" if self.dtype.kind == "f" else f"{self.bits}-bit integers"
            typed = option.format(*map(written, self._likely()))
            raise ImageError(
                f"the picture's values are {kind} from {written(self.low)} to {written(self.high)}, and nothing says "
                "which are black and white",
                f"say it for all pictures of the run, for example {typed}",
            )

    def _likely(self) -> Range:
        """A range that values such as these may have been meant for; the same for similar pictures."""
        if self.low >= 0 and self.high > 1:
            return 0, next((end for end in USUAL if end >= self.high), math.ceil(self.high))
        if self.low >= -1 and self.high <= 1:
            return -1, 1
        return self.low, max(self.high, self.low + 1)

    @property
    def note(self) -> str:
        """A sentence on how values became levels; empty for 8 bits."""
        if self.bits <= 8 and self.dtype.kind in "bu":
            return ""
        low, high = map(written, self.range)
        sentence = f"The values {low} to {high} are black to white"
        sentence += ", as given." if self.chosen else "."
        reach = f" The picture's run from {written(self.low)} to {written(self.high)}"
        outside = self.low < self.range[0] or self.high > self.range[1]
        reach += "; what lies outside is cut off." if outside else "."
        odd = f" {self.odd} are no finite numbers, and black." if self.odd else ""
        return sentence + reach + self._few() + odd

    def _few(self) -> str:
        """A sentence on how few levels the values fill, and on a range that would fill more; empty if they suffice."""
        low, high = self.range
        filled = (min(self.high, high) - max(self.low, low)) / (high - low) * 255
        if not 0 < filled < FEW:
            return ""
        likely = self._likely()
        if likely[1] - likely[0] >= high - low:
            likely = self.low, self.high
        steps = "1 step" if round(filled) <= 1 else f"{round(filled)} steps"
        advice = (
            ""
            if self.chosen
            else f" --range {','.join(map(written, likely))}, for all pictures, would leave more."
        )
        return f" That is {steps} of the 255 between black and white that a model is fed.{advice}"


def written(value: float) -> str:
    """A number as it can be typed."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else f"{value:.6g}"
