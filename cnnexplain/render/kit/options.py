"""How pictures are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from cnnexplain.core.params import Param, checked
from cnnexplain.errors import OptionError

SEQUENTIAL = ("inferno", "magma", "viridis", "cividis")
DIVERGING = ("RdBu", "PuOr", "ember")  # for maps with a sign; ember is dark in the middle
COLORMAPS = SEQUENTIAL + DIVERGING
WORDLESS = ("plain", "latex")
WITH_TEXT = ("svg", "pdf")
FIGURES = ("card", "plain", *WITH_TEXT, "latex")


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
            "tiles of a sheet, without words, frame and marks. svg and pdf: cards, and each also as a file of this "
            "kind with real text. latex: plain, and figures.tex, which sets them all with captions.",
            choices=FIGURES,
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

    @property
    def plain(self) -> bool:
        """Whether pictures are without words."""
        return self.figure in WORDLESS

    @property
    def ending(self) -> str | None:
        """Of which kind files with real text are written beside the pictures: svg or pdf; None where none are."""
        return self.figure if self.figure in WITH_TEXT else None


def drawing_of_pixels(values: dict[str, Any]) -> RenderOptions:
    """The options of one picture of pixels. Raises `OptionError` where they ask for a file of another kind."""
    options = RenderOptions(**checked(RenderOptions, values))
    if options.ending is not None:
        raise OptionError(
            f"a picture is made of pixels, and figure is {options.figure!r}",
            f"explainer.pictures(explanation)[0].{options.ending}('my program') has the bytes of such a file",
        )
    return options
