"""A graph's drawing as SVG with real text: a file of its own, or a part of a page, which brings its own colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise

from cnnexplain.core.graph.fold import FoldedGraph, GraphItem
from cnnexplain.core.graph.place import HEADER, Drawing, DrawnLine, Placed
from cnnexplain.core.words import capped, printable, run_name

EDGE, HEAD, NARROWEST = (
    20,
    84,
    460,
)  # around the drawing; above it, with the heading; the least that holds that
TITLE, TEXT = 13, 11.5  # sizes of letters
WIDE, BOLD = (
    0.56,
    0.62,
)  # of a letter's size, about how wide letters are on average in any of the usual typefaces
INSET, SIGN, APART = 10, 16, 10  # of words within a box; the sign of a block; between words side by side

SIGNS = {True: "▾", False: "▸"}  # of a block that is open, and of one that can be opened
# Of the sort of a layer: its paper and its edge, here and in pictures of pixels.
COLOURS = {
    "weights": ("#d6eae8", "#0f6b6d"), "norm": ("#e9e4f3", "#7a63a8"), "active": ("#fbe6d4", "#b3652b"),
    "pool": ("#dcebd5", "#4d7d38"), "joins": ("#fdf0c4", "#94730c"), "io": ("#dfe2e7", "#5b6270"),
    "block": ("#ffffff", "#3c434f"), "other": ("#eef0f3", "#8a919d"),
}  # fmt: skip
DEAD = "#b3261e"  # of what is said of an item with dead units
WAY, FRAME, FRAME_EDGE = "#7b828e", "#f7f8fa", "#b6bcc7"
STYLE = (
    "text{font-family:'Source Sans 3','Source Sans Pro',Arial,'Liberation Sans','Noto Sans',sans-serif}"
    "text{font-size:11.5px;fill:#4f5662}.heading{font-size:22px;font-weight:600;fill:#16181d}"
    ".kind{font-size:13px;font-weight:600;fill:#16181d}.end{text-anchor:end}"
    f".dead{{fill:{DEAD}}}"
    f"rect{{stroke-width:1}}.frame>rect{{fill:{FRAME};stroke:{FRAME_EDGE}}}"
    ".frame>.bar{fill:none;stroke:none}"
    f".way{{fill:none;stroke:{WAY};stroke-width:1.4;stroke-linejoin:round}}.tip{{fill:{WAY}}}"
    + "".join(f".{sort}>rect{{fill:{paper};stroke:{edge}}}" for sort, (paper, edge) in COLOURS.items())
)


def standalone(graph: FoldedGraph, drawing: Drawing, heading: tuple[str, str], mark: str) -> str:
    """Return the text of an SVG file with a heading of two lines, and a `mark` that says which program made it."""
    width = max(drawing.width + 2 * EDGE, NARROWEST)
    height = drawing.height + HEAD + EDGE
    title, facts = (escape(printable(text)) for text in heading)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">\n<!-- {mark} -->\n<title>{title}</title>\n<style>{STYLE}</style>\n'
        '<rect width="100%" height="100%" fill="#ffffff" stroke="none"/>\n'
        f'<text class="heading" x="{EDGE}" y="36">{title}</text>\n<text x="{EDGE}" y="58">{facts}</text>\n'
        f'<g transform="translate({EDGE} {HEAD})">\n'
        + "\n".join(shapes(graph, drawing, {}))
        + "\n</g>\n</svg>\n"
    )


def on_page(graph: FoldedGraph, drawing: Drawing, anchors: Mapping[str, str]) -> str:
    """Return the drawing as a part of a page, whose style sheet colours it; its words are links to `anchors`."""
    width, height = math.ceil(drawing.width) + 8, math.ceil(drawing.height) + 8
    return (
        f'<svg class="graph" width="{width}" height="{height}" viewBox="-4 -4 {width} {height}" role="group" '
        'aria-label="The graph of the model">\n' + "\n".join(shapes(graph, drawing, anchors)) + "\n</svg>"
    )


def shapes(graph: FoldedGraph, drawing: Drawing, anchors: Mapping[str, str]) -> Iterator[str]:
    """Return the boxes and lines of a drawing, those that lie behind others first.

    `anchors` are the places on the page where more is said of a layer, by its name.
    """
    frames = [box for box in drawing.boxes if box.open]
    yield from (_linked(graph.items[box.item], box, _frame(graph, box), anchors) for box in frames)
    yield from map(_line, drawing.lines)
    closed = [box for box in drawing.boxes if not box.open]
    yield from (_linked(graph.items[box.item], box, _box(graph, box), anchors) for box in closed)


def length(text: str, size: float, wide: float = WIDE) -> float:
    """Return about how many pixels a text takes, in whichever typeface there is."""
    return len(text) * size * wide


def lettered(text: str, room: float, size: float = TEXT, wide: float = WIDE, *, end: bool = False) -> str:
    """Return the text, or where `room` pixels do not hold it as much of its beginning, or its `end`, as they do."""
    text, most = printable(text), int(room / (size * wide))
    if len(text) <= most:
        return text
    if most < 3:
        return ""
    return f"…{text[len(text) - most + 1 :]}" if end else f"{text[: most - 1]}…"


def title_of(item: GraphItem, room: float = 1e6) -> str:
    """Return what stands first on an item: its kind, its window, and how often it repeats."""
    rest = (f" {item.words}" if item.words else "") + (f" ×{item.times}" if item.times > 1 else "")
    return lettered(item.kind, room - length(rest, TITLE, BOLD), TITLE, BOLD) + rest


def names_of(graph: FoldedGraph, item: GraphItem) -> tuple[str, str]:
    """Return a layer's whole name, and what the block around it leaves open of it: layer1.0.conv1 and conv1.

    Of blocks that repeat the name is that of the first and where that of the last differs: layer1.1–2.
    """
    around = graph.items[item.parent]
    while not around.name and around.parent >= 0:
        around = graph.items[around.parent]
    name = run_name(item.name, item.run)
    if item.times > 1 and item.name and item.last:
        first, last = item.name.split("."), item.last.split(".")
        same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
        name += f"–{'.'.join(last[same:])}"
    return name, name.removeprefix(f"{around.name}." if around.name else "")


def texts(graph: FoldedGraph, box: Placed) -> Iterator[tuple[str, float, float, str]]:
    """Return the words of an item, where in its box each starts (of class `end`: ends), and its class."""
    item = graph.items[box.item]
    sign = SIGN if item.children else 0
    room = box.width - 2 * INSET - sign
    if item.is_function:
        kind, shape = lettered(item.kind, room, TITLE, BOLD), item.facts.partition(" · ")[0]
        yield kind, INSET, 16.5, "kind"
        yield fits(shape, room - length(kind, TITLE, BOLD)), box.width - INSET, 16.5, "end"
        return
    whole, short = names_of(graph, item)
    title = title_of(item, room - min(length(short, TEXT) + APART, 0.45 * room))
    left = room - length(title, TITLE, BOLD)
    name = fits(f"{whole}  {item.facts}", left) if box.open else ""
    name = name or fits(whole, left) or lettered(short, left - APART, end=True)
    yield title, INSET + sign, 18, "kind"
    yield name, box.width - INSET, 18, "end"
    if not box.open:
        yield lettered(item.facts, room + sign), INSET, 35, "fact dead" if item.dead else "fact"


def about(item: GraphItem) -> str:
    """Return all that is known of an item in one line."""
    return capped(printable(f"{item.name} {title_of(item)} {item.facts}"))


def fits(text: str, room: float) -> str:
    """Return the text where there is room for it beside another, or else nothing."""
    text = printable(text)
    return text if length(text, TEXT) <= room - APART else ""


def _linked(item: GraphItem, box: Placed, inside: str, anchors: Mapping[str, str]) -> str:
    kind = "frame" if box.open else f"box {item.sort}"
    transform = f'transform="translate({box.x:.1f} {box.y:.1f})"'
    text = f"<title>{escape(about(item))}</title>{inside}"
    anchor = anchors.get(item.row) if item.row else None
    if anchors and (anchor or item.children):
        opens = f' data-item="{box.item}" aria-expanded="{str(box.open).lower()}"' if item.children else ""
        return f'<a id="graph-{box.item}" class="{kind}" href="#{anchor or ""}"{opens} {transform}>{text}</a>'
    return f'<g class="{kind}" {transform}>{text}</g>'


def _frame(graph: FoldedGraph, box: Placed) -> str:
    return (
        f'<rect width="{box.width:.1f}" height="{box.height:.1f}" rx="8"/>'
        f'<rect class="bar" width="{box.width:.1f}" height="{HEADER}"/>'
        f'<text class="kind" x="{INSET}" y="18">{SIGNS[True]}</text>' + _words(graph, box)
    )


def _box(graph: FoldedGraph, box: Placed) -> str:
    item = graph.items[box.item]
    behind = ""
    if item.times > 1:
        behind = f'<rect x="4" y="4" width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'
    sign = f'<text class="kind" x="{INSET}" y="18">{SIGNS[False]}</text>' if item.children else ""
    round_ = 12 if item.is_function else 6
    return f'{behind}<rect width="{box.width:.1f}" height="{box.height:.1f}" rx="{round_}"/>{sign}{_words(graph, box)}'


def _words(graph: FoldedGraph, box: Placed) -> str:
    return "".join(
        f'<text class="{setting}" x="{x:.1f}" y="{y}">{escape(text)}</text>'
        for text, x, y, setting in texts(graph, box)
        if text
    )


def _line(line: DrawnLine) -> str:
    x, y = line.points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(line.points):
        if (x0, y0) == (x1, y1):
            continue
        if abs(x0 - x1) < 0.05 or abs(y0 - y1) < 0.05:
            parts.append(f"L{x1:.1f} {y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            parts.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    path = f'<path class="way" d="{"".join(parts)}"/>'
    if not line.arrow:
        return path
    x, y = line.points[-1]
    return path + f'<path class="tip" d="M{x:.1f} {y:.1f}l-3.5 -7h7z"/>'
