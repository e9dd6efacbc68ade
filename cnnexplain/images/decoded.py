"""What a picture is decoded for, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.preprocess import Range
from cnnexplain.errors import ImageError

# Channels of a model of grey or RGB pictures: whatever a picture is stored as, it sees what a person does.
PHOTOGRAPHS = (1, 3)


@dataclass(frozen=True)
class Wanted:
    """What a picture is decoded for."""

    channels: int = 3  # of the model
    range: Range | None = None  # the values of deep pictures that are black and white
    # The shorter and the longer side that are needed: of a larger picture a smaller one will do.
    sides: tuple[int, int] | None = None
    typed: str = "--range {},{}"  # how a user says a range


@dataclass(frozen=True)
class Decoded:
    """A picture as it comes out of its file."""

    picture: Image.Image  # RGB, as a person sees it; it may be smaller than the whole, whose size is `size`
    size: tuple[int, int]  # (width, height)
    bands: NDArray[np.uint8] | None = (
        None  # (height, width, C), where what is stored are the model's channels
    )
    notes: tuple[str, ...] = ()  # what was made of it, and need not be so, in sentences


def repeated(given: int, channels: int) -> str:
    """What to say where a grey or an RGB picture goes into a model of another number of channels."""
    having = "is grey" if given == 1 else "has 3"
    return (
        f"The model takes {channels} channels and the picture {having}: red, green and blue are fed in turn."
    )


def mismatch(bands: int, channels: int) -> ImageError:
    """What to say of a picture whose bands are not the model's channels."""
    takes = "1 channel" if channels == 1 else f"{channels} channels"
    has = "1 band" if bands == 1 else f"{bands} bands"
    hint = f"give pictures of the {channels} bands that the model was trained on, in their order"
    if channels in PHOTOGRAPHS:
        which = "band that is grey" if channels == 1 else "three bands that are red, green and blue"
        hint = f"save the {which} to the model as a picture of its own, or give a model of {has}"
    return ImageError(f"the picture has {has}, and the model takes {takes}", hint)
