"""Where everything of a graph's drawing stands, in pixels, for a set of blocks that are open.

`report/scripts/graph_place.js` does the same sums when a block is opened on the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnnexplain.core.graph.across import LINE, across
from cnnexplain.core.graph.arrange import ENTERS, ITEM, LEAVES, PASSES, Arrangement
from cnnexplain.core.graph.fold import FoldedGraph, GraphItem

LAYER = 272, 44  # width and height of a layer's box, or of a block that is closed
FUNCTION = 200, 24
DOWN = 20  # the least between rows
PADDING, HEADER = 14, 26  # within the frame of an open block
GUTTER = 36  # between columns
TALL, ASPECT = 760, 1.5  # higher blocks are set in columns, so that they are about so much wider than high,
LOWER = 0.75  # where they become lower than this share

Point = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """Where an item stands: the left upper corner and the size of its box, or of its frame where it is open."""

    item: int
    x: float
    y: float
    width: float
    height: float
    open: bool


@dataclass(frozen=True)
class DrawnLine:
    """A line through points: from one to the next straight, or bent where it goes across while it goes down.

    `arrow`: whether it ends at a box.
    """

    points: tuple[Point, ...]
    arrow: bool


@dataclass
class Drawing:
    """A graph's drawing: its size, boxes with those around them first, and lines."""

    width: float = 0
    height: float = 0
    boxes: list[Placed] = field(default_factory=list)
    lines: list[DrawnLine] = field(default_factory=list)


@dataclass
class _Block:
    """An open block, measured: of each element the middle and the top, within the block; its rows and columns."""

    arrangement: Arrangement
    sizes: list[tuple[float, float]]
    x: list[float]
    y: list[float]
    row_of: list[int]
    tops: list[float]  # of rows
    heights: list[float]
    column_of: list[int]  # of rows
    gutters: list[float]  # the right edge of every column
    width: float
    height: float


def placed(graph: FoldedGraph, arrangements: Mapping[int, Arrangement], opened: set[int]) -> Drawing:
    """Place everything. A block that is open stands in one that is, up to the model itself, which always is."""
    blocks: dict[int, _Block] = {}
    for place in reversed(range(len(graph.items))):  # inner blocks come later than those around them
        if place in opened:
            blocks[place] = _measured(graph.items, arrangements[place], blocks)
    drawing = Drawing(blocks[0].width, blocks[0].height)
    _draw(drawing, blocks, 0, 0.0, 0.0)
    return drawing


def _measured(items: Sequence[GraphItem], arrangement: Arrangement, blocks: Mapping[int, _Block]) -> _Block:
    sizes = [
        _size(items[element.item], blocks.get(element.item)) if element.kind == ITEM else (LINE, 0.0)
        for element in arrangement.elements
    ]
    rows = arrangement.rows
    ports = [
        (
            start,
            end,
            _port(arrangement, sizes, blocks, start, source, LEAVES)
            - _port(arrangement, sizes, blocks, end, source, ENTERS),
        )
        for start, end, source in arrangement.lines
    ]
    x = across(rows, [width for width, _ in sizes], ports)
    heights = [max(sizes[place][1] for place in row) for row in rows]
    row_of = [0] * len(sizes)
    for at, row in enumerate(rows):
        for place in row:
            row_of[place] = at
    widest = [0.0] * len(rows)  # how far lines go across above a row
    crossing = [set[tuple[int, int]]() for _ in rows]
    for start, end, shift in ports:
        below = row_of[end]
        widest[below] = max(widest[below], abs(x[start] + shift - x[end]))
        crossing[below].add((start, end))
    gaps = [0.0] + [DOWN + min(40.0, wide / 10) for wide in widest[1:]]
    span = [max(x[place] + sizes[place][0] / 2 for place in row) for row in rows]
    left = [min(x[place] - sizes[place][0] / 2 for place in row) for row in rows]
    columns = _columns(heights, gaps, [len(lines) == 1 for lines in crossing], max(span) - min(left))
    return _set(arrangement, sizes, x, row_of, heights, gaps, columns, (left, span))


def _size(item: GraphItem, block: _Block | None) -> tuple[float, float]:
    if block is not None:
        return block.width + 2 * PADDING, block.height + HEADER + PADDING
    return FUNCTION if item.is_function else LAYER


def _columns(
    heights: Sequence[float], gaps: Sequence[float], single: Sequence[bool], width: float
) -> list[int]:
    """The column of every row. They end only where a single line leads on."""
    total = sum(heights) + sum(gaps)
    wanted = round(math.sqrt(ASPECT * total / max(width, LAYER[0]))) if total > TALL else 1
    limit = total / wanted
    while True:
        columns, highest = _filled(heights, gaps, single, limit)
        if highest > LOWER * total:
            return [0] * len(heights)
        if columns[-1] < wanted:
            return columns
        limit *= 1.05


def _filled(
    heights: Sequence[float], gaps: Sequence[float], single: Sequence[bool], limit: float
) -> tuple[list[int], float]:
    """The column of every row where none becomes higher than a limit, if that can be; and the highest of them."""
    columns, height, highest = [0], heights[0], 0.0
    at = 1
    while at < len(heights):
        end = at + 1  # rows that stay together
        while end < len(heights) and not (single[end] and heights[end]):
            end += 1
        part = sum(heights[at:end]) + sum(gaps[at:end])
        new = single[at] and heights[at] > 0 and 0 < height > limit - part
        columns += [columns[-1] + new] * (end - at)
        height = part if new else height + part
        highest = max(highest, height)
        at = end
    return columns, highest


def _set(
    arrangement: Arrangement,
    sizes: list[tuple[float, float]],
    x: list[float],
    row_of: list[int],
    heights: list[float],
    gaps: list[float],
    columns: list[int],
    sides: tuple[list[float], list[float]],
) -> _Block:
    """Set the rows below one another, and the columns side by side."""
    tops: list[float] = []
    shift: list[float] = []
    gutters: list[float] = []
    edge = height = down = 0.0
    for row, column in enumerate(columns):
        if row == 0 or column != columns[row - 1]:
            of_column = [at for at, other in enumerate(columns) if other == column]
            left, right = min(sides[0][at] for at in of_column), max(sides[1][at] for at in of_column)
            begin = edge + GUTTER if column else 0.0
            edge = begin + right - left
            gutters.append(edge)
            move = begin - left
            down = DOWN if len(set(columns)) > 1 else 0.0
        else:
            down += gaps[row]
        tops.append(down)
        shift.append(move)
        down += heights[row]
        height = max(height, down)
    if len(gutters) > 1:
        height += DOWN
    return _Block(
        arrangement,
        sizes,
        [middle + shift[row_of[place]] for place, middle in enumerate(x)],
        [tops[row_of[place]] + (heights[row_of[place]] - size[1]) / 2 for place, size in enumerate(sizes)],
        row_of,
        tops,
        heights,
        columns,
        gutters,
        edge,
        height,
    )


def _draw(drawing: Drawing, blocks: Mapping[int, _Block], place: int, left: float, top: float) -> None:
    """Add the boxes and lines of an open block, whose inside begins at (left, top)."""
    block = blocks[place]
    elements = block.arrangement.elements
    for at, element in enumerate(elements):
        if element.kind != ITEM:
            continue
        width, height = block.sizes[at]
        x, y = left + block.x[at] - width / 2, top + block.y[at]
        is_open = element.item in blocks
        drawing.boxes.append(Placed(element.item, x, y, width, height, is_open))
        if is_open:
            _draw(drawing, blocks, element.item, x + PADDING, y + HEADER)
    for start, end, source in block.arrangement.lines:
        points = [*_leaving(block, blocks, start, source), *_arriving(block, blocks, end, source)]
        if block.column_of[block.row_of[start]] != block.column_of[block.row_of[end]]:
            points = _around(block, points, block.column_of[block.row_of[start]])
        moved = tuple((left + x, top + y) for x, y in points)
        drawing.lines.append(DrawnLine(moved, elements[end].kind == ITEM))


def _port(
    arrangement: Arrangement,
    sizes: Sequence[tuple[float, float]],
    blocks: Mapping[int, _Block],
    at: int,
    source: int,
    kind: str,
) -> float:
    """How far from the middle of an element a line leaves or enters it: of an open block where it does so within."""
    inner = blocks.get(arrangement.elements[at].item)
    if inner is None:
        return 0.0
    return PADDING + inner.x[inner.arrangement.ports[kind, source]] - sizes[at][0] / 2


def _leaving(block: _Block, blocks: Mapping[int, _Block], at: int, source: int) -> list[Point]:
    """The points of a line from an element to the lower edge of its row."""
    row = block.row_of[at]
    x = block.x[at] + _port(block.arrangement, block.sizes, blocks, at, source, LEAVES)
    kind = block.arrangement.elements[at].kind
    top = block.tops[row] if kind == PASSES else block.y[at] + block.sizes[at][1]
    if kind == ENTERS:
        top = 0.0
    return [(x, top), (x, block.tops[row] + block.heights[row])]


def _arriving(block: _Block, blocks: Mapping[int, _Block], at: int, source: int) -> list[Point]:
    """The points of a line from the upper edge of an element's row to the element."""
    row = block.row_of[at]
    x = block.x[at] + _port(block.arrangement, block.sizes, blocks, at, source, ENTERS)
    kind = block.arrangement.elements[at].kind
    bottom = block.height + PADDING if kind == LEAVES else block.y[at]
    return [(x, block.tops[row]), (x, block.tops[row] if kind == PASSES else bottom)]


def _around(block: _Block, points: Sequence[Point], column: int) -> list[Point]:
    """Lead a line from the foot of a column through the gutter to the head of the next."""
    first, last = points[0], points[-1]
    gutter = block.gutters[column] + GUTTER / 2
    return [first, (first[0], block.height), (gutter, block.height), (gutter, 0.0), (last[0], 0.0), last]
