"""What a picture is decoded for, and the result of decoding it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.preprocess import Range
from cnnexplain.errors import ImageError

# Channels of a model of grey or RGB pictures: however a picture is stored, the model sees it as a person does.
PHOTOGRAPHS = (1, 3)


@dataclass(frozen=True)
class DecodeOptions:
    """What a picture is decoded for."""

    channels: int = 3  # of the model
    range: Range | None = None  # the values of deep pictures that are black and white
    # The shorter and the longer side that are needed: a larger picture may be decoded at a reduced size.
    sides: tuple[int, int] | None = None
    typed: str = "--range {},{}"  # how a user says a range


@dataclass(frozen=True)
class Decoded:
    """A picture as it comes out of its file."""

    picture: Image.Image  # RGB, as a person sees it; it may be smaller than the whole, whose size is `size`
    size: tuple[int, int]  # (width, height)
    bands: NDArray[np.uint8] | None = (
        None  # (height, width, C), where the stored bands are the model's channels
    )
    notes: tuple[str, ...] = ()  # sentences on choices that decoding made, such as a range or a frame


def repeated(stored: int, channels: int) -> str:
    """The note on a grey or RGB picture, of `stored` bands, that goes into a model of another number of channels."""
    description = "is grey" if stored == 1 else "has 3"
    return f"The model takes {channels} channels and the picture {description}: red, green and blue are fed in turn."


def mismatch(bands: int, channels: int) -> ImageError:
    """The error for a picture whose bands are not the model's channels."""
    takes = "1 channel" if channels == 1 else f"{channels} channels"
    stored = "1 band" if bands == 1 else f"{bands} bands"
    hint = f"give pictures of the {channels} bands that the model was trained on, in their order"
    if channels in PHOTOGRAPHS:
        bands_text = "band that is grey" if channels == 1 else "three bands that are red, green and blue"
        hint = f"save the {bands_text} to the model as a picture of its own, or give a model of {stored}"
    return ImageError(f"the picture has {stored}, and the model takes {takes}", hint)
