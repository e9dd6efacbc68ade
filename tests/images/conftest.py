"""A picture of four colours, no two of its corners alike, however it is turned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

QUARTERS = ((200, 60, 40), (40, 160, 60), (30, 60, 190), (250, 240, 230))


@pytest.fixture
def quarters() -> Image.Image:
    """48x32: red and green above blue and nearly white."""
    small = np.array(QUARTERS, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(small.repeat(16, axis=0).repeat(24, axis=1))


@pytest.fixture
def corners() -> Callable[[Image.Image], np.ndarray]:
    """The colours in the middles of a picture's quarters, (4, channels): as QUARTERS is written."""

    def look(picture: Image.Image) -> np.ndarray:
        width, height = picture.size
        places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
        return np.array([picture.getpixel(place) for place in places], dtype=int)

    return look
