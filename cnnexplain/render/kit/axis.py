"""An axis of a chart: from numbers to places, round numbers to write beside it, and names that keep their ends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import ImageFont

from cnnexplain.core.words import number
from cnnexplain.render.kit.text import fitted

TICKS = 5  # about so many round numbers on a linear axis
DECADES = 8  # at most so many on a logarithmic one
CLOSE = 1e-9  # what differs by less, beside what it is, is drawn as the same
LARGEST = 1e300  # whatever is larger is drawn there, so that differences are finite


@dataclass(frozen=True)
class ChartAxis:
    """From `low` to `high`; of a logarithmic one these are powers of ten."""

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def of(cls, values: Iterable[float], *, logarithmic: bool = False, zero: bool = False) -> ChartAxis:
        """The axis that has room for all of these, ending at round numbers; `zero` is to be on it.

        What is not finite is left out, and on a logarithmic axis also what is not above zero.
        """
        finite = [max(-LARGEST, min(value, LARGEST)) for value in values if math.isfinite(value)]
        if logarithmic:
            powers = [math.log10(value) for value in finite if value > 0] or [0.0]
            first, last = math.floor(min(powers)), math.ceil(max(powers))
            return cls(first - (first == last), last + (first == last), logarithmic=True)
        if zero or not finite:
            finite.append(0.0)
        low, high = (end if abs(end) > 1 / LARGEST else 0.0 for end in (min(finite), max(finite)))
        if high - low <= CLOSE * max(abs(low), abs(high)):
            low, high = (0.0, 2 * high) if high > 0 else (2 * low, 0.0) if low < 0 else (0.0, 1.0)
        step = _step(high - low)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1; infinities lie on them, and so does what is beyond."""
        if self.logarithmic:
            value = -math.inf if value <= 0 else math.inf if math.isinf(value) else math.log10(value)
        return max(0.0, min(1.0, (max(self.low, min(value, self.high)) - self.low) / (self.high - self.low)))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The round numbers, and how they are written."""
        if self.logarithmic:
            low, high = int(self.low), int(self.high)
            powers = range(low, high + 1, math.ceil((high - low) / DECADES))
            return [(10.0 ** max(-323, min(power, 308)), _power(power)) for power in powers]
        step = _step(self.high - self.low)
        count = round((self.high - self.low) / step)
        return [
            (self.low + place * step, _rounded(self.low + place * step, step)) for place in range(count + 1)
        ]


def ending(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """The text on one line of at most `width` pixels, its beginning cut: layers' names differ at their ends."""
    return fitted(text[::-1], face, width)[::-1]


def value_text(value: float) -> str:
    """A number as it stands beside what is drawn of it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return number(value)


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten."""
    raw = span / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= raw * (1 - 1e-9))


def _rounded(value: float, step: float) -> str:
    """As many digits as tell one tick from the next, and zero where rounding left a rest of it."""
    if abs(value) < step / 2:
        return "0"
    digits = max(3, math.ceil(math.log10(abs(value) / step)) + 1)
    return f"{value:.{min(digits, 9)}g}".replace("-", "−")


def _power(power: int) -> str:
    if -3 <= power <= 4:
        return f"{10.0**power:g}"
    return f"1e{power}".replace("-", "−")
