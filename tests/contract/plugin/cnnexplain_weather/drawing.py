"""Pictures of skies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from PIL import Image

from cnnexplain.render import Picture


def pictures(results: Any, _explanation: Any, _options: Any) -> Iterator[Picture]:
    """A picture of one colour."""
    for sky in results:
        grey = round(255 * min(max(sky.brightness, 0), 1))
        yield Picture(partial(Image.new, "RGB", (8, 8), (grey, grey, 255)), (sky,))
