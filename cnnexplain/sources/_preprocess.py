"""The options that override a model's own preprocessing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from cnnexplain.core.choice import Choice
from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess, Range
from cnnexplain.core.words import listed
from cnnexplain.errors import OptionError

LARGEST_SIDE = 16384
# Pictures have values in 0..1 here: a mean above 1 lies outside, and a larger deviation leaves nothing of them.
LARGEST = {"--mean": 1.0, "--std": 3.0}


@dataclass(frozen=True)
class InputSize:
    """The value of `--input-size`."""

    height: int
    width: int
    channels: int | None = None


@dataclass(frozen=True)
class Overrides:
    """The preprocessing that the user wants; `None` leaves a part to the model."""

    size: InputSize | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    interpolation: str | None
    crop_pct: float | None
    crop_mode: str | None
    range: Range | None = None

    @classmethod
    def of(cls, options: ModelOptions) -> Overrides:
        """The overrides among `options`, read before anything is loaded."""
        return cls(
            size=None if options.input_size is None else parse_input_size(options.input_size),
            mean=None if options.mean is None else _parse_numbers(options.mean, "--mean"),
            std=None if options.std is None else _parse_numbers(options.std, "--std"),
            interpolation=options.interpolation,
            crop_pct=options.crop_pct,
            crop_mode=options.crop_mode,
            range=None if options.range is None else _parse_range(options.range),
        )

    def apply(self, preprocess: Preprocess, crop_pct: float) -> Preprocess:
        """`preprocess` with these; a new size alone keeps `crop_pct`, the proportion of the crop."""
        size = (self.size.height, self.size.width) if self.size else preprocess.input_size
        if size != preprocess.input_size or self.crop_pct is not None:
            preprocess = preprocess.with_crop(size, crop_pct if self.crop_pct is None else self.crop_pct)
        for flag, numbers in (("--mean", self.mean), ("--std", self.std)):
            if numbers is not None and len(numbers) not in (1, 3, preprocess.channels):
                raise OptionError(
                    f"{flag} has {len(numbers)} numbers, and the model's input {preprocess.channels} channels",
                    _example(flag),
                )
        return replace(
            preprocess,
            mean=self.mean or preprocess.mean,
            std=self.std or preprocess.std,
            interpolation=self.interpolation or preprocess.interpolation,
            crop_mode=self.crop_mode or preprocess.crop_mode,
            range=self.range or preprocess.range,
        )

    def settled(self, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
        """`choices` in which the preprocessing names the options that the user set, and those left as usual."""
        parts = {
            "--input-size": self.size,
            "--crop-pct": self.crop_pct,
            "--mean": self.mean,
            "--std": self.std,
        }
        overridden = [flag for flag, value in parts.items() if value is not None]
        usual = [flag for flag, value in parts.items() if value is None]

        def with_overrides(choice: Choice) -> Choice:
            if choice.setting != "preprocessing" or not overridden:
                return choice
            if not usual:
                return Choice(choice.setting, "as given", f"{listed(overridden)} say all of it")
            reason = f"your code names none; {listed(overridden)} {'were' if overridden[1:] else 'was'} given"
            value = f"{choice.value}, but for what was given"
            return Choice(
                choice.setting,
                value,
                f"{reason}, {listed(usual)} {'change' if usual[1:] else 'changes'} more",
            )

        return tuple(map(with_overrides, choices))


def fed(preprocess: Preprocess) -> tuple[Choice, ...]:
    """The choices to report where pictures become an unusual input: of other channels, or by a range of values."""
    choices: tuple[Choice, ...] = ()
    if preprocess.channels not in (1, 3):
        reason = (
            "pictures with as many bands give them in their order; of grey and RGB pictures red, green and blue are "
            "fed in turn, and their records say so"
        )
        choices = (Choice("channels", str(preprocess.channels), reason),)
    if preprocess.range is not None:
        low, high = preprocess.range
        reason = "as given: black to white in pictures of more than 8 bits, the same for all of them"
        choices += (Choice("range", f"{low:g} to {high:g}", reason),)
    return choices


def parse_input_size(text: str) -> InputSize:
    """Read `224`, `224x320` (height x width) or `1x28x28` (channels first)."""
    written = re.fullmatch(r"\d{1,5}(x\d{1,5}){0,2}", text.lower(), re.ASCII)
    numbers = [int(part) for part in written[0].split("x")] if written else []
    if not all(0 < number <= LARGEST_SIDE for number in numbers or [0]):
        raise OptionError(
            f"--input-size {text!r} is not a size",
            "write --input-size 224, or 224x320 for height x width, or 1x28x28 with the channels first",
        )
    if len(numbers) == 1:
        return InputSize(numbers[0], numbers[0])
    return InputSize(numbers[-2], numbers[-1], numbers[0] if len(numbers) == 3 else None)


def _parse_numbers(text: str, flag: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{flag} {text!r} is not a list of numbers", _example(flag)) from None
    if not all(math.isfinite(number) for number in numbers):
        raise OptionError(f"{flag} {text!r} holds a number that is not finite", _example(flag))
    if flag == "--std" and not all(number > 0 for number in numbers):
        raise OptionError(f"{flag} {text!r} holds a number that is not above zero", _example(flag))
    if max(numbers) > LARGEST[flag]:
        raise OptionError(
            f"{flag} is for values in 0..1; {text} looks like 0..255",
            f"divide by 255: {flag} {','.join(f'{number / 255:.4g}' for number in numbers)}",
        )
    return numbers


def _parse_range(text: str) -> Range:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"--range {text!r} is not two numbers",
            "write the values that are black and white: --range 0,4095",
        ) from None
    if not (low < high and math.isfinite(high - low)):
        raise OptionError(
            f"--range {text!r} does not lead from a lower to a higher number",
            "write the value that is black first: --range 0,4095",
        )
    return low, high


def _example(flag: str) -> str:
    return f"write one number for all channels, {flag} 0.5, or one for each, {flag} 0.5,0.4,0.3"
