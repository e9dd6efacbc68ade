"""How pictures are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cnnexplain.core.params import Param

SEQUENTIAL = ("inferno", "magma", "viridis", "cividis")
DIVERGING = ("RdBu", "PuOr", "ember")  # for maps with a sign; ember is dark in the middle
COLORMAPS = SEQUENTIAL + DIVERGING


@dataclass(frozen=True)
class RenderOptions:
    """Options of the pictures; they change nothing in the numbers."""

    colormap: Annotated[
        str | None,
        Param(
            "Colours of the map: inferno where this is left out, and RdBu for signed maps. The last three are for "
            "signed maps, the others for the rest; maps of the other kind keep theirs. All are readable for "
            "colour-blind people.",
            choices=COLORMAPS,
        ),
    ] = None
    alpha: Annotated[
        float | None,
        Param(
            "How strongly the map covers the picture, 0 to 1: 0.55 for class activation maps where this is left "
            "out, and 1 for maps of pixels.",
            min=0,
            max=1,
        ),
    ] = None
    max_side: Annotated[int, Param("Longest side of a drawn picture, in pixels.", min=32, max=16384)] = 640
    figure: Annotated[
        str,
        Param(
            "What a picture is: a card that explains itself, or plain, for a paper: the map on its photograph, or the "
            "tiles of a sheet, without words, frame and marks.",
            choices=("card", "plain"),
        ),
    ] = "card"
    scale: Annotated[
        str,
        Param(
            "Whether each map's colours have their own scale, or the maps of a picture by one method at one layer "
            "share one, so that the classes compare.",
            choices=("own", "shared"),
        ),
    ] = "own"
    dpi: Annotated[
        int | None,
        Param(
            "Pixels per inch, noted in the PNG files: how large LaTeX and others print them. No pixel changes.",
            min=1,
            max=10000,
            metavar="N",
        ),
    ] = None
