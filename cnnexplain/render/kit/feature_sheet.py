"""What one layer makes of a picture: a sheet of its channels, or of its single values."""

from __future__ import annotations

import math
import os

from PIL import Image, ImageDraw

from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.core.words import abbreviated, count, number, percent
from cnnexplain.render.kit.channels import COMPONENTS, DrawnChannels, captions, ink, note_channel, shares
from cnnexplain.render.kit.measures import bars, histogram, histogram_words
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, GAP, INK, MARGIN, NARROWEST, SMALL, DrawnImage, paper_with
from cnnexplain.render.kit.plain import in_columns
from cnnexplain.render.kit.text import font, write

# Parts of the longest side that a picture may have.
FEW_TILES, FEW_PHOTOGRAPHS, SHEET, WIDEST = 0.26, 0.5, 2.5, 3.75
SMALLEST = 28
APART = 8
HEAD = 150  # height of what stands above the channels
TINY, TINIEST = 13, 11
LISTED = 100  # numbers in a sentence


def sheet(image: DrawnImage, maps: FeatureMaps, options: RenderOptions) -> Image.Image:
    """One layer: the picture, the statistics, and the channels, or a bar for every unit; plain, these alone."""
    grid = _Bars(maps) if maps.size is None else _Grid(image, maps, options)
    if options.plain:
        return grid.plain()
    head = _SheetHead(image, maps, options)
    name = os.path.basename(image.explanation.image)
    width = max(grid.width, head.width, NARROWEST)
    paper, top = paper_with(
        (width, head.height + 2 * GAP + grid.height),
        (maps.layer, f"{_subject(maps)} · {_shown_count(maps)} · {name}"),
        [" ".join(filter(None, (grid.remark, head.remark))), *_silent(maps), *maps.detail.remarks],
    )
    head.draw(paper, (MARGIN, top))
    grid.draw(paper, (MARGIN, top + head.height + 2 * GAP))
    return paper


class _SheetHead:
    """What stands above the channels of a sheet: the picture, the components, the histogram, the statistics."""

    def __init__(self, image: DrawnImage, maps: FeatureMaps, options: RenderOptions) -> None:
        self.maps = maps
        photograph = DrawnImage(image.explanation, min(2 * HEAD, image.max_side))
        picture = photograph.over_unseen(photograph.picture.crop(photograph.seen))
        picture.thumbnail((2 * HEAD, HEAD), Image.Resampling.BICUBIC)
        panels = [(picture, "picture")]
        channels = None if maps.size is None else DrawnChannels(image, maps, options, HEAD)
        composite = channels.components() if channels else None
        if composite:
            panels.append((composite, f"components: {shares(maps)}"))
        panels.append((histogram(maps.histogram, (2 * HEAD, HEAD)), "histogram"))
        self.panels = panels
        self.remark = f"{COMPONENTS} {histogram_words(maps)}" if composite else histogram_words(maps)
        self.texts = _statistics(maps)
        self.height = HEAD + SMALL + 8
        self.text_width = max(math.ceil(font(SMALL).getlength(text)) for text in self.texts)
        self.slots = [max(panel.width, math.ceil(font(TINY).getlength(caption))) for panel, caption in panels]
        self.width = sum(self.slots) + len(panels) * 2 * GAP + self.text_width

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it with its upper left corner at `place`."""
        left, top = place
        draw = ImageDraw.Draw(paper)
        for (panel, name), slot in zip(self.panels, self.slots, strict=True):
            paper.paste(panel, (left, top))
            write(draw, (left, top + panel.height + 3), name, TINY, FAINT)
            left += slot + 2 * GAP
        for line, text in enumerate(self.texts):
            write(draw, (left, top - 3 + line * (SMALL + 6)), text, SMALL, INK)


class _Grid:
    """All the channels of a sheet, with their numbers."""

    def __init__(self, image: DrawnImage, maps: FeatureMaps, options: RenderOptions) -> None:
        self.maps = maps
        self.ranks = maps.drawn
        self.channels = DrawnChannels(image, maps, options, _side(image, maps, len(self.ranks)))
        self.slot = self.channels.size
        width = max(self.slot[0], SMALLEST)
        self.text = TINIEST if width < 44 else TINY
        self.tile = width + (4 if width < 44 else APART), self.slot[1] + self.text + (6 if width < 44 else 10)
        across = round(math.sqrt(1.6 * len(self.ranks) * self.tile[1] / self.tile[0]))
        lines = math.ceil(len(self.ranks) / max(1, across))
        self.columns = math.ceil(len(self.ranks) / lines)
        self.width, self.height = self.columns * self.tile[0], lines * self.tile[1]
        self.captions, valued = captions(maps, width, self.text)
        below = (
            "Below each map: its channel and the largest value." if valued else "Below each map: its channel."
        )
        sentences = (below, self.channels.remark(), self.channels.reduction)
        self.remark = " ".join(filter(None, sentences))
        if not image.seen_whole:
            self.remark += " Hatched: never seen by the model."

    def plain(self) -> Image.Image:
        """The channels without a word."""
        return in_columns([self.channels.channel(rank) for rank in self.ranks], self.columns)

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it with its upper left corner at `place`."""
        draw = ImageDraw.Draw(paper)
        for number_of, rank in enumerate(self.ranks):
            line, column = divmod(number_of, self.columns)
            x, y = place[0] + column * self.tile[0], place[1] + line * self.tile[1]
            paper.paste(self.channels.channel(rank), (x, y))
            note_channel(paper, (x, y), self.slot, self.maps, rank)
            below = (x, y + self.slot[1] + 1)
            write(draw, below, self.captions[rank], self.text, ink(self.maps, rank), width=self.tile[0] - 2)


class _Bars:
    """A bar for every unit of a layer without a map."""

    def __init__(self, maps: FeatureMaps) -> None:
        self.picture = bars(maps)
        self.width, self.height = self.picture.size
        self.remark = "Bars begin at zero." + (
            " This layer has no place on the picture." if maps.look.overlay else ""
        )

    def plain(self) -> Image.Image:
        """The bars, with their numbers, without which they say nothing."""
        return self.picture

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it with its upper left corner at `place`."""
        paper.paste(self.picture, place)


def _side(image: DrawnImage, maps: FeatureMaps, channels: int) -> int:
    """The longest side of a channel on a sheet: enlarged where there is room, made smaller where there is none."""
    across = math.sqrt(channels)
    share = FEW_PHOTOGRAPHS if maps.look.overlay else FEW_TILES
    largest = max(SMALLEST, round(share * image.max_side))
    room = min(round(SHEET * image.max_side / across) - APART, largest)
    cells = max(maps.values.shape[1:])
    if not maps.look.overlay and cells > room:
        room = min(cells, round(WIDEST * image.max_side / across) - APART)
    return max(room, SMALLEST)


def _subject(maps: FeatureMaps) -> str:
    total = count(maps.count, "channel" if maps.size else "unit")
    return f"{total} of {maps.size[0]}×{maps.size[1]}" if maps.size else total


def _shown_count(maps: FeatureMaps) -> str:
    order = maps.look.order
    if order == "by index" and maps.shown < maps.count:
        order = "the strongest, by index"
    drawn = len(maps.drawn)
    shown = "all shown" if drawn == maps.count else f"{drawn} of {maps.count} shown"
    omitted = maps.shown - drawn
    blank = f"; {omitted} more {'is' if omitted == 1 else 'are'} zero everywhere" if omitted else ""
    return f"{shown}, {order}{blank}"


def _statistics(maps: FeatureMaps) -> list[str]:
    silent = len(maps.silent)
    best = int(maps.statistics.max.argmax())
    statistics = [
        f"mean {number(maps.mean)}",
        f"from {number(maps.min)} to {number(maps.max)}",
        f"largest in {'channel' if maps.size else 'unit'} {best}",
        f"not above zero: {percent(maps.sparsity)}",
    ]
    if maps.size:
        statistics.append(f"silent channels: {silent} of {maps.count}")
    if maps.size and maps.peak:
        statistics.append(f"peak at x {maps.peak[0]}, y {maps.peak[1]}")
    return statistics


def _silent(maps: FeatureMaps) -> list[str]:
    """Which channels do not fire, in a sentence."""
    silent = maps.silent
    if not silent or maps.size is None:
        return []
    share = f"{len(silent)} of {maps.count} channels"
    return [f"Silent in this picture, nowhere above zero, {share}: {abbreviated(silent, LISTED)}."]
