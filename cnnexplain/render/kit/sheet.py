"""What the units of a layer saw in one picture: a sheet for every layer, and a strip from shallow to deep."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence

from PIL import Image, ImageDraw

from cnnexplain.render.kit.outlines import MOST, outlined
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
from cnnexplain.render.kit.plain import in_columns, in_rows, side_by_side
from cnnexplain.render.kit.spots import spot
from cnnexplain.render.kit.text import end_of, write
from cnnexplain.render.kit.units import Size, Unit, field, panel_sizes, projected, rules

PANEL = 0.175  # of the longest side that a picture may have: 112 of 640
SMALLEST, LARGEST = 64, 224
FEW = 4
BETWEEN = 4  # panels that belong together
APART = 22  # tiles
TINY = 13
CAPTION = SMALL + TINY + 14
TILE = 170  # so that a caption has room
FEATURED = 3  # units of a layer in the strip
IN_A_ROW = 8  # layers of the strip

SCALE = "Each reconstruction has its own scale, grey is zero."


def sheet(image: DrawnImage, layer: str, units: Sequence[Unit]) -> Image.Image:
    """All units of a layer, beside the picture in which the numbers say where they are."""
    rule_names = rules(units)
    tiles = _Tiles(image, units, rule_names)
    width, height = image.picture.size
    beside = width <= 2 * height
    left, down = (width + APART, 0) if beside else (0, height + APART)
    inner = max(left + tiles.width, width, NARROWEST)
    name = os.path.basename(image.explanation.image)
    kind = "whole channel" if units[0].any.cell is None else "unit"
    counted = f"{len(units)} {kind}{'s' if len(units) > 1 else ''}"
    sees = f"{'each sees' if len(units) > 1 else 'sees'} {field(units)}"
    paper, top = paper_with(
        (inner, max(height * beside, down + tiles.height)),
        (layer, f"{', '.join(rule_names)} · {counted} · {sees} · {name}"),
        _remarks(image, units),
    )
    paper.paste(outlined(image, units), (MARGIN, top))
    tiles.draw(paper, (MARGIN + left, top + down))
    return paper


def plain_sheet(image: DrawnImage, units: Sequence[Unit]) -> Image.Image:
    """The tiles of all units without a word: of each its reconstructions, and the part of the picture it sees."""
    tiles = _Tiles(image, units, rules(units))
    return in_columns(
        [side_by_side(list(_panels(image, *tile))) for tile in zip(units, tiles.sizes, strict=True)],
        tiles.columns,
    )


def plain_strip(image: DrawnImage, layers: Mapping[str, Sequence[Unit]]) -> Image.Image:
    """The first units of every layer without a word, a row for each layer."""
    columns = [_LayerColumn(image, layer, units[:FEATURED]) for layer, units in layers.items()]
    return in_rows(
        [
            [
                side_by_side(list(_panels(image, *tile)))
                for tile in zip(column.units, column.sizes, strict=True)
            ]
            for column in columns
        ]
    )


def _panels(image: DrawnImage, unit: Unit, size: Size) -> Iterator[Image.Image]:
    """The reconstructions of a unit and the part of the picture that it sees."""
    yield from (projected(reconstruction, size) for reconstruction in unit.by_rule.values())
    yield image.patch(unit.any.box, size)


def strip(image: DrawnImage, layers: Mapping[str, Sequence[Unit]]) -> Image.Image:
    """The first units of every layer, from shallow to deep."""
    columns = [_LayerColumn(image, layer, units[:FEATURED]) for layer, units in layers.items()]
    rows = [columns[start : start + IN_A_ROW] for start in range(0, len(columns), IN_A_ROW)]
    width = max(sum(column.width + APART for column in row) - APART for row in rows)
    heights = [max(column.height for column in row) for row in rows]
    name = os.path.basename(image.explanation.image)
    rule = rules(columns[0].units)[0]
    paper, top = paper_with(
        (max(width, NARROWEST), sum(heights) + APART * (len(rows) - 1)),
        ("From shallow to deep", f"{rule} · {name}"),
        [f"Beside each reconstruction is the part of the picture that the unit can see. {SCALE}"],
    )
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for column in row:
            column.draw(paper, (left, top))
            left += column.width + APART
        top += height + APART
    return paper


class _Tiles:
    """The grid of a sheet: for every unit its reconstructions, its patch and its caption."""

    def __init__(self, image: DrawnImage, units: Sequence[Unit], rule_names: Sequence[str]) -> None:
        self.image, self.units = image, units
        # One rule needs no name above it, the heading has it.
        self.names = [*rule_names, "picture"] if len(rule_names) > 1 else []
        self.rules = rule_names
        self.sizes = panel_sizes(units, _longest(image, len(units)))
        self.slot = _slot(self.sizes)
        panels = len(rule_names) + 1
        self.tile = (
            max(panels * (self.slot[0] + BETWEEN) - BETWEEN, TILE),
            self.slot[1] + CAPTION + (SMALL + 4) * bool(self.names),
        )
        # Three columns of nine tiles with one rule each: somewhat wider than high.
        across = round(math.sqrt(1.6 * len(units) * self.tile[1] / self.tile[0]))
        rows = math.ceil(len(units) / max(1, across))
        self.columns = math.ceil(len(units) / rows)
        self.width = self.columns * (self.tile[0] + APART) - APART
        self.height = rows * (self.tile[1] + GAP) - GAP

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw the tiles of all units, by rank, with the upper left corner at `place`."""
        for number, (unit, size) in enumerate(zip(self.units, self.sizes, strict=True)):
            row, column = divmod(number, self.columns)
            left = place[0] + column * (self.tile[0] + APART)
            top = place[1] + row * (self.tile[1] + GAP)
            self._tile(paper, (left, top), unit, size)

    def _tile(self, paper: Image.Image, place: tuple[int, int], unit: Unit, size: Size) -> None:
        left, top = place
        draw, step = ImageDraw.Draw(paper), self.slot[0] + BETWEEN
        if self.names:
            for number, name in enumerate(self.names):
                write(draw, (left + number * step, top - 4), name, TINY, FAINT, width=self.slot[0])
            top += SMALL + 4
        for number, rule in enumerate(self.rules):
            if rule in unit.by_rule:
                panel = projected(unit.by_rule[rule], size)
                mounted(paper, panel, (left + number * step, top), self.slot)
        panel = self.image.patch(unit.any.box, size)
        mounted(paper, panel, (left + len(self.rules) * step, top), self.slot)
        _caption(draw, (left, top + self.slot[1]), unit, self.tile[0])
        across = (len(self.rules) + 1) * step - BETWEEN
        spot(paper, (left, top), (across, self.slot[1]), f"channel {unit.any.channel}", unit.facts)


class _LayerColumn:
    """A layer in the strip: its name, how much its units see, and the first of them."""

    def __init__(self, image: DrawnImage, layer: str, units: Sequence[Unit]) -> None:
        self.image, self.layer, self.units = image, layer, units
        self.sizes = panel_sizes(units, _longest(image, IN_A_ROW))
        self.slot = _slot(self.sizes)
        self.width = max(2 * self.slot[0] + BETWEEN, TILE)
        self.height = TEXT + SMALL + 20 + len(units) * (self.slot[1] + CAPTION + GAP) - GAP

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it with its upper left corner at `place`."""
        left, top = place
        draw = ImageDraw.Draw(paper)
        name = end_of(self.layer, TEXT, self.width)
        write(draw, (left, top - 4), name, TEXT, INK, bold=True, width=self.width)
        write(draw, (left, top + TEXT), f"sees {field(self.units)}", SMALL, FAINT, width=self.width)
        top += TEXT + SMALL + 8
        draw.line((left, top, left + self.width - 1, top), fill=LINE)
        top += 12
        for unit, size in zip(self.units, self.sizes, strict=True):
            mounted(paper, projected(unit.any, size), (left, top), self.slot)
            panel = self.image.patch(unit.any.box, size)
            mounted(paper, panel, (left + self.slot[0] + BETWEEN, top), self.slot)
            _caption(draw, (left, top + self.slot[1]), unit, self.width)
            across = 2 * self.slot[0] + BETWEEN
            facts = [("layer", self.layer), *unit.facts]
            spot(paper, (left, top), (across, self.slot[1]), f"channel {unit.any.channel}", facts)
            top += self.slot[1] + CAPTION + GAP


def _caption(draw: ImageDraw.ImageDraw, place: tuple[int, int], unit: Unit, width: int) -> None:
    write(draw, (place[0], place[1] + 3), unit.words, SMALL, INK, width=width)
    write(draw, (place[0], place[1] + SMALL + 7), unit.place, TINY, FAINT, width=width)


def _remarks(image: DrawnImage, units: Sequence[Unit]) -> list[str]:
    remarks = [f"Beside each reconstruction is the part of the picture that the unit can see. {SCALE}"]
    partial = sum(not unit.sees_all for unit in units)
    if not partial:
        remarks.append("Every unit sees the whole input." if len(units) > 1 else "It sees the whole input.")
    elif partial > MOST:
        remarks.append(f"Outlined: what the first {MOST} units can see.")
    if not image.seen_whole:
        remarks.append("Hatched: never seen by the model.")
    details = [
        remark
        for unit in units
        for projection in unit.by_rule.values()
        for remark in projection.detail.remarks
    ]
    return [" ".join(remarks), *dict.fromkeys(details)]


def _longest(image: DrawnImage, units: int) -> int:
    """The longest side of a panel; a few units have room for larger ones."""
    times = 2.0 if units == 1 else 1.5 if units <= FEW else 1.0
    return min(max(round(PANEL * times * image.max_side), SMALLEST), LARGEST)


def _slot(sizes: Sequence[Size]) -> Size:
    return max(width for width, _ in sizes), max(height for _, height in sizes)
