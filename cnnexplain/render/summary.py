"""The stages of a model as boxes from left to right, resolution against channels; and its graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image, ImageDraw

from cnnexplain.core import layer_words
from cnnexplain.core.graph.arrange import arranged
from cnnexplain.core.graph.fold import folded
from cnnexplain.core.graph.place import placed
from cnnexplain.core.graph.svg import standalone
from cnnexplain.core.layer_words import Row, field_words, scaled
from cnnexplain.core.results.summary import LayerTable
from cnnexplain.core.words import count
from cnnexplain.render import Picture
from cnnexplain.render.kit.graph import graph_image
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import FAINT, INK, LINE, MARGIN, NARROWEST, SMALL, TEXT, TITLE
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import fitted, font, wrapped, write

TALLEST, THICKEST, THINNEST = (
    190,
    120,
    4,
)  # pixels: the input's height, most channels, and the least that is seen
DEPTH = 0.38  # how far the columns of a map go to the side, for a pixel of their length
SLOPE = 0.6  # and up
BETWEEN = 34
LABEL = 132  # pixels across that a label may take
IN_A_ROW = 8
LINE_HEIGHT = 20
# Front, top and side of a box.
MAP = ("#cfe6e4", "#e6f2f1", "#a5cecb")
INPUT = ("#dfe2e7", "#eceef1", "#c3c8d0")
EDGE, STRONG = "#0f6b6d", "#b3470e"


@dataclass(frozen=True)
class Box:
    """A map: its name, size and what is written below it."""

    name: str
    channels: int
    rows: int
    columns: int
    words: tuple[str, ...]
    faces: tuple[str, str, str] = MAP
    strong: bool = False


def pictures(results: Sequence[LayerTable], _options: RenderOptions) -> Iterator[Picture]:
    """The stages of a model, where it has any, and its graph, where a picture went through it."""
    for table in results:
        if boxes := _boxes(table):
            yield Picture(partial(_drawn, table, boxes), (table,), "stages")
        if table.graph is not None:
            folded_graph = folded(table.graph, table.record()["rows"])
            drawing = placed(folded_graph, arranged(folded_graph), folded_graph.opened())
            heading = table.model, _facts(table)
            yield Picture(
                partial(graph_image, folded_graph, drawing, heading),
                (table,),
                vector=partial(standalone, folded_graph, drawing, heading),
            )


def stages(table: LayerTable) -> Image.Image | None:
    """The picture of a model's stages; None where it has none, as where it works on tokens."""
    boxes = _boxes(table)
    return _drawn(table, boxes) if boxes else None


def _boxes(table: LayerTable) -> list[Box]:
    rows = layer_words.stages(table.record()["rows"])
    if not rows:
        return []
    _, channels, height, width = table.input_shape
    return [
        Box("input", channels, height, width, (_size(height, width), count(channels, "channel")), INPUT),
        *map(_box, rows),
    ]


def _box(row: Row) -> Box:
    channels, height, width = row["map"]
    sees = field_words(row["receptive_field"])
    lines = [_size(height, width), count(channels, "channel")]
    lines.append(f"sees {sees if 'whole' not in sees else 'all of it'}")
    strong = "gradcam" in row["default_of"]
    if strong:
        lines.append("default of gradcam")
    return Box(row["name"], channels, height, width, tuple(lines), strong=strong)


def _size(height: int, width: int) -> str:
    return f"{height}×{width}"


class _Scale:
    """From cells and channels to pixels: by their square roots, so that 7 cells are seen beside 224."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.cells = TALLEST / math.sqrt(max(max(box.rows, box.columns) for box in boxes))
        self.channels = THICKEST / math.sqrt(max(box.channels for box in boxes))

    def size(self, box: Box) -> tuple[int, int, int, int]:
        """Thickness and height of the front, and how far the back is to the right of it and above it."""
        thick = max(THINNEST, round(self.channels * math.sqrt(box.channels)))
        high = max(THINNEST, round(self.cells * math.sqrt(box.rows)))
        back = max(THINNEST, self.cells * math.sqrt(box.columns))
        return thick, high, round(back * DEPTH), round(back * DEPTH * SLOPE)

    def width(self, box: Box) -> int:
        thick, _, right, _ = self.size(box)
        return thick + right


def _drawn(table: LayerTable, boxes: Sequence[Box]) -> Image.Image:
    scale = _Scale(boxes)
    lines = {box.name: list(_lines(box)) for box in boxes}
    columns = {box.name: max(scale.width(box), *map(_length, lines[box.name])) for box in boxes}
    rows = [boxes[start : start + IN_A_ROW] for start in range(0, len(boxes), IN_A_ROW)]
    inner = max(NARROWEST, *(sum(columns[box.name] + BETWEEN for box in row) - BETWEEN for row in rows))
    heights = [max(sum(scale.size(box)[1::2]) for box in row) for row in rows]
    labels = [max(len(lines[box.name]) for box in row) * LINE_HEIGHT + 26 for row in rows]
    remark = (
        "Height and depth of a box are the rows and columns of its map, thickness its channels, each by its square "
        "root. Sees: the pixels of the input that a cell depends on, far from the edges."
    )
    below = wrapped(remark, font(SMALL), inner)
    top = MARGIN + TITLE + TEXT + 26
    paper = new_paper(
        (inner + 2 * MARGIN, top + sum(heights) + sum(labels) + len(below) * LINE_HEIGHT + MARGIN)
    )
    draw = ImageDraw.Draw(paper)
    write(draw, (MARGIN, MARGIN - 4), f"{table.model}: stages", TITLE, INK, bold=True, width=inner)
    write(draw, (MARGIN, MARGIN + TITLE + 4), _facts(table), TEXT, FAINT, width=inner)
    for row, height, label in zip(rows, heights, labels, strict=True):
        left, middle = MARGIN, top + height / 2
        before = None
        for box in row:
            width = columns[box.name]
            start = left + (width - scale.width(box)) // 2
            _draw_box(draw, box, scale, start, middle)
            if before is not None:
                _arrow(draw, before + 6, middle, start - 10)
            before = start + scale.width(box)
            down = top + height + 14
            for text, bold in lines[box.name]:
                colour = INK if bold else STRONG if text.startswith("default") else FAINT
                write(draw, (left + width / 2, down), text, SMALL, colour, bold=bold, anchor="ma")
                down += LINE_HEIGHT
            left += width + BETWEEN
        top += height + label
    for line in below:
        write(draw, (MARGIN, top), line, SMALL, FAINT)
        top += LINE_HEIGHT
    return paper


def _facts(table: LayerTable) -> str:
    total = table.whole
    parts = [count(total.parameters, "parameter")]
    if total.multiply_adds is not None:
        parts.append(f"{scaled(total.multiply_adds)} multiply-adds")
    if table.classes is not None:
        parts.append(f"{count(len(table.classes), 'class', 'classes')}")
    return " · ".join(parts)


def _lines(box: Box) -> Iterator[tuple[str, bool]]:
    """What is written below a box, each line no wider than a label; names are broken at their dots."""
    face = font(SMALL, bold=True)
    line = ""
    for part in box.name.split("."):
        longer = f"{line}.{part}" if line else part
        if line and face.getlength(longer) > LABEL:
            yield fitted(f"{line}.", face, 2 * LABEL), True
            longer = part
        line = longer
    yield fitted(line, face, 2 * LABEL), True
    yield from ((text, False) for text in box.words)


def _length(line: tuple[str, bool]) -> int:
    return math.ceil(font(SMALL, bold=line[1]).getlength(line[0]))


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, scale: _Scale, left: int, middle: float) -> None:
    thick, high, right, up = scale.size(box)
    top = round(middle - (high + up) / 2) + up
    edge = STRONG if box.strong else EDGE if box.faces is MAP else FAINT
    front, above, side = box.faces
    end, bottom = left + thick, top + high
    draw.polygon(
        [(left, top), (left + right, top - up), (end + right, top - up), (end, top)], fill=above, outline=edge
    )
    draw.polygon(
        [(end, top), (end + right, top - up), (end + right, bottom - up), (end, bottom)],
        fill=side,
        outline=edge,
    )
    draw.rectangle((left, top, end, bottom), fill=front, outline=edge)


def _arrow(draw: ImageDraw.ImageDraw, start: float, middle: float, end: float) -> None:
    if end - start < 12:
        return
    draw.line((start, middle, end, middle), fill=LINE, width=2)
    draw.polygon([(end + 6, middle), (end - 2, middle - 4), (end - 2, middle + 4)], fill=LINE)
