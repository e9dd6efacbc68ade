"""How pictures are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cnnexplain.core.params import Param

COLORMAPS = ("inferno", "magma", "viridis", "cividis")


@dataclass(frozen=True)
class RenderOptions:
    """Options of the pictures; they change nothing in the numbers."""

    colormap: Annotated[
        str, Param("Colours of the map; all are readable for colour-blind people.", choices=COLORMAPS)
    ] = "inferno"
    alpha: Annotated[float, Param("How strongly the map covers the picture, 0 to 1.", min=0, max=1)] = 0.55
    max_side: Annotated[int, Param("Longest side of a drawn picture, in pixels.", min=32, max=16384)] = 640
