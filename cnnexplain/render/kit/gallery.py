"""Pictures side by side, each with its words below it, and the map of what counted over it where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cnnexplain.core.verdict import Gallery, Thumbnail
from cnnexplain.render.kit.panel import FAINT, INK, MARGIN, NARROWEST, SMALL, drawn, paper_with, stamp
from cnnexplain.render.kit.scale import painted
from cnnexplain.render.kit.text import fitted, font, wrapped, write

SIDE = 256  # pixels: the longest side of a drawn picture
TILE = 224  # across at least, so that words have room
APART = 18
IN_A_ROW = 4
MOST = 24
LINES = 6  # of a caption
LINE_HEIGHT = 20
Line = tuple[str, str]  # words and their colour
COVER = 0.55  # how strongly a map covers its picture, as elsewhere


def gallery(data: Gallery) -> Image.Image:
    """Draw at most `MOST` pictures of a gallery in rows, each with its caption."""
    thumbnails = data.thumbnails[:MOST]
    panels = [_panel(thumbnail) for thumbnail in thumbnails]
    across = max([TILE, *(panel.width for panel in panels)])
    captions = [_caption(thumbnail.caption, across) for thumbnail in thumbnails]
    columns = min(IN_A_ROW, max(1, len(thumbnails)))
    rows = [slice(start, start + columns) for start in range(0, len(thumbnails), columns)]
    heights = [
        max(panel.height for panel in panels[row])
        + 8
        + max(len(lines) for lines in captions[row]) * LINE_HEIGHT
        for row in rows
    ]
    width = max(NARROWEST, columns * (across + APART) - APART)
    height = sum(heights) + APART * max(0, len(rows) - 1)
    total = f"{len(thumbnails):,} picture" + "s" * (len(thumbnails) != 1)
    subtitle = (
        f"the first {len(thumbnails):,} of {len(data.thumbnails):,} pictures"
        if len(data.thumbnails) > MOST
        else total
    )
    paper, top = paper_with((width, height), (data.title, subtitle), list(_remarks(thumbnails)))
    for row, tall in zip(rows, heights, strict=True):
        highest = max(panel.height for panel in panels[row])
        for column, (panel, lines) in enumerate(zip(panels[row], captions[row], strict=True)):
            left = MARGIN + column * (across + APART)
            paper.paste(panel, (left, top + highest - panel.height))  # just above its words
            _write(paper, lines, (left, top + highest + 8))
        top += tall + APART
    return paper


def _caption(text: str, width: int) -> list[Line]:
    """The lines of a caption; what stands on its first line, as the name of the picture, is darker."""
    face = font(SMALL)
    lines = [
        (part, FAINT if number else INK)
        for number, line in enumerate(text.split("\n"))
        for part in wrapped(line, face, width)
    ]
    if len(lines) > LINES:
        remainder = " ".join(part for part, _ in lines[LINES - 1 :])
        return [*lines[: LINES - 1], (fitted(remainder, face, width), lines[LINES - 1][1])]
    return lines


def _write(paper: Image.Image, lines: Sequence[Line], place: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(paper)
    for number, (text, colour) in enumerate(lines):
        write(draw, (place[0], place[1] + number * LINE_HEIGHT), text, SMALL, colour)


def _panel(thumbnail: Thumbnail) -> Image.Image:
    picture = drawn(_picture(thumbnail.pixels), SIDE)
    if thumbnail.values is None:
        return picture
    grey = picture.convert("L").convert("RGB")
    values = np.asarray(thumbnail.values, np.float32)
    if not np.isfinite(values).all():
        stamp(grey, "map not finite")
        return grey
    largest = values.max(initial=0)
    if not largest > 0:
        stamp(grey, "nothing positive here")
        return grey
    heat = Image.fromarray(np.maximum(values, 0) / largest * np.float32(255))
    levels = np.asarray(heat.resize(picture.size, Image.Resampling.BILINEAR))
    colours = painted(Image.fromarray(np.rint(levels).astype(np.uint8)), "inferno")
    return Image.blend(grey, colours, COVER)


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """RGB of (H, W, C): of one or two channels their mean in grey, of many the first three."""
    if pixels.shape[2] < 3:
        return Image.fromarray(pixels.mean(2).round().astype(np.uint8)).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))


def _remarks(thumbnails: Sequence[Thumbnail]) -> Iterator[str]:
    if not thumbnails:
        yield "There is no picture to show."
    if any(thumbnail.values is not None for thumbnail in thumbnails):
        yield "Colours: what is positive of each map, from black at zero to yellow at its own largest value."
    channels = max((thumbnail.pixels.shape[2] for thumbnail in thumbnails), default=3)
    if channels not in (1, 3):
        yield f"Of {channels} channels " + (
            "the mean is shown." if channels == 2 else "the first three are shown."
        )
