"""The options that override a model's own preprocessing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from cnnexplain.core.loading import ModelOptions
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.errors import OptionError

LARGEST_SIDE = 16384


@dataclass(frozen=True)
class InputSize:
    """What `--input-size` asks for."""

    height: int
    width: int
    channels: int | None = None


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


def overridden(preprocess: Preprocess, crop_pct: float, options: ModelOptions) -> Preprocess:
    """`preprocess` with what the user asked for; a new size keeps the proportion of the crop."""
    size = preprocess.input_size
    if options.input_size is not None:
        wanted = parse_input_size(options.input_size)
        size = (wanted.height, wanted.width)
    if size != preprocess.input_size or options.crop_pct is not None:
        preprocess = preprocess.with_crop(size, crop_pct if options.crop_pct is None else options.crop_pct)
    channels = preprocess.channels
    return replace(
        preprocess,
        interpolation=options.interpolation or preprocess.interpolation,
        crop_mode=options.crop_mode or preprocess.crop_mode,
        mean=preprocess.mean if options.mean is None else _numbers(options.mean, "--mean", channels),
        std=preprocess.std if options.std is None else _numbers(options.std, "--std", channels),
    )


def _numbers(text: str, flag: str, channels: int) -> tuple[float, ...]:
    example = f"write one number for all channels, {flag} 0.5, or one for each, {flag} 0.5,0.4,0.3"
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{flag} {text!r} is not a list of numbers", example) from None
    if not all(math.isfinite(number) for number in numbers):
        raise OptionError(f"{flag} {text!r} holds a number that is not finite", example)
    if flag == "--std" and not all(number > 0 for number in numbers):
        raise OptionError(f"{flag} {text!r} holds a number that is not above zero", example)
    if len(numbers) not in (1, 3, channels):
        raise OptionError(
            f"{flag} {text!r} holds {len(numbers)} numbers; the model takes {channels} "
            f"channel{'s' * (channels != 1)}",
            example,
        )
    return numbers
