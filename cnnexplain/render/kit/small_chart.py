"""A small chart for a row of a sheet: one curve, fainter ones beside it, and the band that chance leaves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

from cnnexplain.render.kit.axis import ChartAxis
from cnnexplain.render.kit.panel import FAINT, LINE
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import write

FINER = 3  # drawn larger and reduced, so that slanting lines are smooth
TICK = 12
ROOM = 40  # left of the plot, for the numbers of its axis
BAND = "#e1e4e9"
BESIDE = "#9aa1ad"

Series = Sequence[float]


def small_chart(
    size: tuple[int, int],
    x: Series,
    axis: ChartAxis,
    band: tuple[Series, Series],
    main: Series | None,
    colour: str,
    beside: Sequence[Series] = (),
) -> Image.Image:
    """Draw a chart without words.

    Args:
        size: Width and height of the whole, numbers of the axis included.
        x: Where the points are, from 0 to 1.
        axis: The axis up, shared by all charts that are to be compared.
        band: The lowest and the highest value at each point, drawn as a grey band.
        main: The curve; None where there is none.
        colour: The curve's.
        beside: Fainter curves: the first dashed, the second dotted.

    Returns:
        An RGB image of that size.
    """
    width, height = size[0] - ROOM, size[1] - TICK - 6
    large = new_paper((width * FINER, height * FINER))
    draw = ImageDraw.Draw(large)
    right, bottom = large.width - 1, large.height - 1

    def points(values: Series) -> list[tuple[float, float]]:
        return [
            (place * right, (1 - axis.share(value)) * bottom) for place, value in zip(x, values, strict=True)
        ]

    low, high = band
    draw.polygon([*points(low), *reversed(points(high))], fill=BAND)
    ticks = axis.ticks
    for value, _ in ticks:
        y = (1 - axis.share(value)) * bottom
        draw.line((0, y, right, y), fill=LINE, width=FINER // 2)
    for series, strokes in zip(beside, ((6, 4), (2, 3)), strict=False):
        _stroked(draw, points(series), strokes)
    if main is not None:
        draw.line(points(main), fill=colour, width=2 * FINER + 1, joint="curve")
    draw.rectangle((0, 0, right, bottom), outline=LINE, width=FINER // 2)
    paper = new_paper(size)
    paper.paste(large.reduce(FINER), (ROOM, 3))
    pen = ImageDraw.Draw(paper)
    for value, text in ticks[:: max(1, len(ticks) // 3)]:
        y = 3 + round((1 - axis.share(value)) * (height - 1))
        write(pen, (ROOM - 5, min(max(y, TICK // 2 + 1), size[1] - TICK)), text, TICK, FAINT, anchor="rm")
    for place, text, anchor in ((0.0, "0", "la"), (0.5, "50%", "ma"), (1.0, "100%", "ra")):
        write(pen, (ROOM + place * width, size[1] - TICK - 2), text, TICK, FAINT, anchor=anchor)
    return paper


def plot_of(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where within a chart of a size its curves are: left, top, width and height."""
    return ROOM, 3, size[0] - ROOM, size[1] - TICK - 6


def _stroked(
    draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], strokes: tuple[int, int]
) -> None:
    """A line in strokes: so many pixels drawn, so many left out."""
    period, drawn = FINER * sum(strokes), FINER * strokes[0]
    done = 0.0
    for (x, y), (to_x, to_y) in pairwise(points):
        far = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        place = 0.0
        while place < far:
            within = (done + place) % period
            step = min((drawn if within < drawn else period) - within, far - place) or FINER / 10
            if within < drawn:
                ends = [place / far, min(1.0, (place + step) / far)]
                draw.line(
                    [(x + (to_x - x) * end, y + (to_y - y) * end) for end in ends],
                    fill=BESIDE,
                    width=2 * FINER - 1,
                )
            place += step
        done += far
