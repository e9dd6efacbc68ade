"""One number for each of many layers: a row each, from the first at the top to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image, ImageDraw

from cnnexplain.core.verdict import Profile
from cnnexplain.core.words import listed
from cnnexplain.render.kit.axis import ChartAxis, ending, value_text
from cnnexplain.render.kit.panel import FAINT, INK, LINE, MARGIN, MOUNT, SMALL, hatched, paper_with
from cnnexplain.render.kit.text import font, visible, write

PLAIN, MARKED = "#3b6ea5", "#b8420a"  # told apart by those who see no red or green as well
NAMES, VALUES, PLOT = 300, 76, 520  # pixels across
TALLEST_ROW, SHORTEST_ROW = 24.0, 3.0
STEMMED = 8  # a row so high has room for a line that leads from the name to its value
TALL, TALLEST = 960, 1800  # of all rows
TICK = 13
TRIANGLE = 14  # the room of the sign beside a name
LINE_HEIGHT = 17  # of names
FEW = 3  # so many are named in a remark


def profile(data: Profile) -> Image.Image:
    """Draw a profile: a row for every layer with its value, the limits as dashed lines, the layers to blame marked."""
    chart = _Chart(data)
    count = len(data.values)
    order = f" · {count:,} from the first at the top to the last" if count > 1 else ""
    scale = ", logarithmic" if data.logarithmic else ""
    size = (chart.left + PLOT + VALUES, chart.top + chart.height + chart.below)
    paper, start = paper_with(size, (data.title, f"{data.unit}{scale}{order}"), list(_remarks(data)))
    chart.draw(paper, (MARGIN, start))
    return paper


class _Chart:
    def __init__(self, data: Profile) -> None:
        self.data = data
        count = max(1, len(data.values))
        self.row = min(max(min(TALLEST_ROW, TALL / count), SHORTEST_ROW), TALLEST / count)
        self.height = math.ceil(self.row * count)
        self.axis = ChartAxis.of(
            (*data.values, *data.limits), logarithmic=data.logarithmic, zero=not data.logarithmic
        )
        self.named = self._named()
        face = font(SMALL, bold=True)
        longest = max((face.getlength(visible(data.names[place])) for place in self.named), default=0)
        self.left = math.ceil(min(longest, NAMES)) + 10 + TRIANGLE
        self.top = LINE_HEIGHT * len(data.limits) + (4 if data.limits else 0)
        self.below = TICK + 14

    def _named(self) -> list[int]:
        """Whose names are written: all, or as many as there is room for, those that matter before the others."""
        data, last = self.data, len(self.data.values) - 1
        broken = [place for place, value in enumerate(data.values) if not math.isfinite(value)]
        spacing = math.ceil(LINE_HEIGHT / self.row)
        candidates = (*sorted(data.marked), *broken, 0, last, *range(0, last + 1, spacing))
        named: dict[int, None] = {}
        lines: set[int] = set()
        for place in candidates:
            line = round(place * self.row)
            if 0 <= place <= last and not lines.intersection(
                range(line - LINE_HEIGHT + 1, line + LINE_HEIGHT)
            ):
                named[place] = None
                lines.add(line)
        return list(named)

    def draw(self, paper: Image.Image, place: tuple[int, int]) -> None:
        """Draw it all; `place` is its top left corner."""
        left, top = place[0] + self.left, place[1] + self.top
        draw = ImageDraw.Draw(paper)
        self._grid(draw, left, top)
        for number in range(len(self.data.values)):
            self._row(paper, draw, number, left, top)
        self._limits(draw, left, top, place[1])
        draw.line((left, top, left, top + self.height), fill=FAINT)
        self._words(draw, place[0], left, top)

    def _grid(self, draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
        bottom = top + self.height
        for value, text in self.axis.ticks:
            x = left + round(self.axis.share(value) * PLOT)
            draw.line((x, top, x, bottom + 4), fill=LINE)
            write(draw, (x, bottom + 6), text, TICK, FAINT, anchor="ma")

    def _row(self, paper: Image.Image, draw: ImageDraw.ImageDraw, number: int, left: int, top: int) -> None:
        value = self.data.values[number]
        y, end = top + number * self.row, top + (number + 1) * self.row
        first, last = (
            round(y + self.row * 0.14),
            max(round(y + self.row * 0.14), round(end - self.row * 0.14) - 1),
        )
        colour = MARKED if number in self.data.marked or not math.isfinite(value) else PLAIN
        if math.isnan(value):
            band = hatched(Image.new("RGB", (PLOT, last - first + 1), MOUNT))
            paper.paste(band, (left, first))
            return
        x = left + round(self.axis.share(value) * PLOT)
        if self.data.logarithmic and math.isfinite(value):
            # A bar would say that lengths may be compared; on this axis only places may.
            middle = (first + last) // 2
            half = max(1, min(4, (last - first) // 2))
            if self.row >= STEMMED:
                draw.line((left, middle, x, middle), fill=LINE, width=2)
            box = (x - 4, middle - half, x + 4, middle + half)
            draw.rectangle(box, fill=colour if value > 0 else "white", outline=colour)
            return
        zero = left + round(self.axis.share(-math.inf if self.data.logarithmic else 0.0) * PLOT)
        if x != zero:
            draw.rectangle((min(zero, x), first, max(zero, x), last), fill=colour)
        if math.isinf(value):
            direction = 1 if value > 0 else -1
            draw.polygon([(x, first), (x + direction * 9, (first + last) / 2), (x, last)], fill=colour)

    def _limits(self, draw: ImageDraw.ImageDraw, left: int, top: int, head: int) -> None:
        """Dashed lines, each with its number above it."""
        for line, value in enumerate(sorted(self.data.limits)):
            x = left + round(self.axis.share(value) * PLOT)
            start = head + line * LINE_HEIGHT
            for y in range(start + LINE_HEIGHT, top + self.height, 8):
                draw.line((x, y, x, min(y + 4, top + self.height)), fill=INK, width=2)
            anchor = "la" if x < left + PLOT / 3 else "ra" if x > left + 2 * PLOT / 3 else "ma"
            write(draw, (x, start), f"limit {value_text(value)}", TICK, INK, bold=True, anchor=anchor)

    def _words(self, draw: ImageDraw.ImageDraw, start: int, left: int, top: int) -> None:
        for place in self.named:
            marked = place in self.data.marked
            value = self.data.values[place]
            colour = MARKED if marked or not math.isfinite(value) else INK if self.row > 12 else FAINT
            middle = top + (place + 0.5) * self.row
            face = font(SMALL, bold=marked)
            name = ending(self.data.names[place], face, self.left - 10 - TRIANGLE)
            write(draw, (left - 8, middle), name, SMALL, colour, bold=marked, anchor="rm")
            if marked:
                draw.polygon([(start, middle - 5), (start + 9, middle), (start, middle + 5)], fill=MARKED)
            write(
                draw, (left + PLOT + 14, middle), value_text(value), SMALL, colour, bold=marked, anchor="lm"
            )


def _remarks(data: Profile) -> Iterator[str]:
    count = len(data.values)
    if not count:
        yield "There is nothing to draw."
    if data.marked:
        marked = f"the {len(data.marked):,} of {count:,}" if count > 1 else "the one"
        yield f"Orange, with a triangle: {marked} to blame."
    broken = [name for name, value in zip(data.names, data.values, strict=True) if math.isnan(value)]
    if broken:
        yield f"Hatched: {_abbreviated(broken)} {'is' if len(broken) == 1 else 'are'} NaN, not a number."
    endless = [name for name, value in zip(data.names, data.values, strict=True) if math.isinf(value)]
    if endless:
        yield f"Arrow: {_abbreviated(endless)} {'is' if len(endless) == 1 else 'are'} infinite."
    not_positive = sum(1 for value in data.values if value <= 0 and math.isfinite(value))
    if data.logarithmic and not_positive:
        yield f"Hollow, at the left edge: {not_positive:,} that are not above zero, which this axis cannot show."


def _abbreviated(names: list[str]) -> str:
    rest = [f"{len(names) - FEW:,} more"] if len(names) > FEW else []
    return listed([*names[:FEW], *rest])
