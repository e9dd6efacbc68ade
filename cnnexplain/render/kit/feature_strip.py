"""A strip through the network: the picture, and for every layer its principal components and first channels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.words import count, number, percent
from cnnexplain.render.kit.channels import COMPONENTS, DrawnChannels, captions, ink, note_channel, shares
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import (
    FAINT,
    GAP,
    INK,
    LINE,
    MARGIN,
    NARROWEST,
    SMALL,
    TEXT,
    DrawnImage,
    mounted,
    paper_with,
)
from cnnexplain.render.kit.plain import in_rows
from cnnexplain.render.kit.spots import name_row
from cnnexplain.render.kit.text import end_of, write

SIDE = 0.175  # of the longest side that a picture may have
SMALLEST = 28
IN_A_ROW = 8
NAMES = 170  # beside the rows
APART = 8
TINY = 13
NUMBERED = 44  # wide enough for a channel's number


def strip(image: DrawnImage, layers: Sequence[FeatureMaps], options: RenderOptions) -> Image.Image:
    """The first channels of several layers, a row for each, from shallow to deep; plain, without words."""
    side = max(round(SIDE * image.max_side), SMALLEST)
    channels = [DrawnChannels(image, maps, options, side) for maps in layers]
    if options.plain:
        return in_rows([[layer.channel(rank) for rank in layer.maps.drawn[:IN_A_ROW]] for layer in channels])
    rows = list(map(_StripRow, channels))
    slot = max(NUMBERED, *(row.channels.size[0] for row in rows)), max(row.channels.size[1] for row in rows)
    for row in rows:
        row.slot = slot
    photograph = DrawnImage(image.explanation, round(1.5 * side))
    picture = photograph.over_unseen(photograph.picture.crop(photograph.seen))
    tops, height = [], max(picture.height, TEXT + 2 * (SMALL + 4)) + 2 * GAP
    for row in rows:
        tops.append(height)
        height += row.height + GAP
    name = os.path.basename(image.explanation.image)
    columns = 1 + min(IN_A_ROW, max(len(maps.drawn) for maps in layers))
    width = max(NAMES + columns * (slot[0] + APART) - APART, NAMES + picture.width, NARROWEST)
    paper, top = paper_with(
        (width, height - GAP), ("From shallow to deep", f"feature maps · {name}"), _of_strip(image, rows)
    )
    draw = ImageDraw.Draw(paper)
    seen = image.explanation.geometry.seen
    write(draw, (MARGIN, top - 4), "input", TEXT, INK, bold=True)
    size = f"{seen[2] - seen[0]:.0f}×{seen[3] - seen[1]:.0f} of it seen"
    for line, text in enumerate(("the picture", size) if not image.seen_whole else ("the picture",)):
        write(draw, (MARGIN, top + TEXT + line * (SMALL + 4)), text, SMALL, FAINT, width=NAMES - APART)
    paper.paste(picture, (MARGIN + NAMES, top))
    for row, down in zip(rows, tops, strict=True):
        row.draw(paper, (MARGIN, top + down))
    return paper


class _StripRow:
    """A layer in the strip: its name and shape, its principal components, its first channels."""

    def __init__(self, channels: DrawnChannels) -> None:
        self.channels, self.maps = channels, channels.maps
        self.slot = channels.size

    @property
    def captions(self) -> tuple[list[str], bool]:
        """What stands below each channel, and whether its largest value does."""
        return captions(self.maps, self.slot[0])

    @property
    def height(self) -> int:
        """How high it is, with its captions."""
        lines = math.ceil(len(self.maps.drawn) / IN_A_ROW)
        return max(lines * (self.slot[1] + TINY + 10), TEXT + 4 * (SMALL + 4) + 6)

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it with its upper left corner at `place`."""
        left, top = place
        draw = ImageDraw.Draw(paper)
        name = end_of(self.maps.layer, TEXT, NAMES - APART)
        write(draw, (left, top - 4), name, TEXT, INK, bold=True, width=NAMES - APART)
        silent = len(self.maps.silent)
        texts = [
            _shape(self.maps),
            f"mean {number(self.maps.mean)}",
            f"{percent(self.maps.sparsity)} not above 0",
            f"{silent} silent" if silent else "",
        ]
        for line, text in enumerate(texts):
            write(draw, (left, top + TEXT + line * (SMALL + 4)), text, SMALL, FAINT, width=NAMES - APART)
        name_row(paper, (left, top), (NAMES - APART, self.height), self.maps.layer, [*filter(None, texts)])
        step = self.slot[0] + APART
        left += NAMES
        _composite(paper, self.channels, (left, top), self.slot)
        texts, _ = self.captions
        for number_of, rank in enumerate(self.maps.drawn):
            line, column = divmod(number_of, IN_A_ROW)
            x, y = left + (column + 1) * step, top + line * (self.slot[1] + TINY + 10)
            mounted(paper, self.channels.channel(rank), (x, y), self.slot)
            note_channel(paper, (x, y), self.slot, self.maps, rank)
            below = (x, y + self.slot[1] + 2)
            write(draw, below, texts[rank], TINY, ink(self.maps, rank), width=self.slot[0])


def _composite(
    paper: Image.Image, channels: DrawnChannels, place: tuple[int, int], slot: tuple[int, int]
) -> None:
    composite = channels.components()
    if composite is None:
        return
    draw = ImageDraw.Draw(paper)
    if composite.width > slot[0] or composite.height > slot[1]:  # the slots are of photographs
        composite = ImageOps.contain(composite, slot, Image.Resampling.BOX)
    mounted(paper, composite, place, slot)
    write(draw, (place[0], place[1] + slot[1] + 2), shares(channels.maps), TINY, FAINT, width=slot[0])
    line = place[0] + slot[0] + APART // 2
    draw.line((line, place[1], line, place[1] + slot[1]), fill=LINE)


def _shape(maps: FeatureMaps) -> str:
    return f"{maps.count} × {maps.size[0]}×{maps.size[1]}" if maps.size else count(maps.count, "unit")


_STRIP_ORDERS = {
    "by strength": "the strongest channels, by the mean of what is positive",
    "by index": "the strongest channels, in the order of their numbers",
}


def _of_strip(image: DrawnImage, rows: Sequence[_StripRow]) -> list[str]:
    selection = _STRIP_ORDERS.get(rows[0].maps.look.order, "the channels that were named")
    kinds = dict.fromkeys(row.channels.remark() for row in rows)
    reduced = [f"{row.maps.layer}: {row.channels.reduction}" for row in rows if row.channels.reduction]
    valued = "channel and largest value" if all(row.captions[1] for row in rows) else "channel"
    sentences = [COMPONENTS, f"Then {selection}. Below each map: its {valued}.", *kinds, *reduced]
    if not image.seen_whole:
        sentences.append("Hatched: never seen by the model.")
    return [" ".join(sentences), *dict.fromkeys(remark for row in rows for remark in row.maps.detail.remarks)]
