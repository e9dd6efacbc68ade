"""Several series over one axis, each with its name where it ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from cnnexplain.core.verdict import Curves
from cnnexplain.core.words import listed
from cnnexplain.render.kit.axis import ChartAxis
from cnnexplain.render.kit.panel import FAINT, INK, LINE, MARGIN, SMALL, paper_with
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import font, wrapped, write

# After M. Okabe and K. Ito, without their yellow, which white paper swallows; beside its colour a series has
# its own strokes (drawn, left out, in pixels), for those who see neither.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#1d2026", "#56b4e9")
STROKES: tuple[tuple[int, ...], ...] = ((), (10, 5), (2, 4), (14, 4, 2, 4))
MOST = 12
PLOT = (620, 340)
ABOVE = 10
FINER = 3  # drawn larger and reduced, so that slanting lines are smooth
TICK = 13
SAMPLE, LEADER, LABEL = 34, 22, 240
LINE_HEIGHT = 19

Point = tuple[float, float]


@dataclass(frozen=True)
class _DrawnCurve:
    name: str
    parts: list[list[Point]]  # shares of the plot, from the top left; a part ends where a value is missing
    colour: str
    strokes: tuple[int, ...]

    @property
    def end(self) -> Point | None:
        return self.parts[-1][-1] if self.parts else None


def curves(data: Curves) -> Image.Image:
    """Draw at most `MOST` series as lines over an axis; values that are not finite are left out and counted below."""
    drawn = dict(list(data.series.items())[:MOST])
    across = ChartAxis.of(data.x)
    up = ChartAxis.of(
        [value for values in drawn.values() for value in values], zero=_near_zero(drawn.values())
    )
    series = [
        _DrawnCurve(
            name,
            list(_parts(data.x, values, across, up)),
            COLOURS[place % len(COLOURS)],
            STROKES[(place + place // len(COLOURS)) % len(STROKES)],
        )
        for place, (name, values) in enumerate(drawn.items())
    ]
    width, height = PLOT
    left = max(math.ceil(font(TICK).getlength(text)) for _, text in up.ticks) + 12
    labels = [(line, wrapped(line.name, font(SMALL), LABEL) or [""]) for line in series]
    tall = sum(len(lines) * LINE_HEIGHT + 4 for _, lines in labels)
    face = font(SMALL)
    longest = math.ceil(max((face.getlength(line) for _, lines in labels for line in lines), default=0))
    body = (left + width + LEADER + SAMPLE + 8 + longest, ABOVE + max(height + 2 * TICK + 24, tall))
    remarks = list(_remarks(data, drawn))
    paper, top = paper_with(body, (data.title, data.y_name), remarks)
    left, top = left + MARGIN, top + ABOVE
    draw = ImageDraw.Draw(paper)
    for value, text in up.ticks:
        y = top + round((1 - up.share(value)) * height)
        write(draw, (left - 8, y), text, TICK, FAINT, anchor="rm")
    for value, text in across.ticks:
        x = left + round(across.share(value) * width)
        write(draw, (x, top + height + 6), text, TICK, FAINT, anchor="ma")
    write(
        draw,
        (left + width / 2, top + height + TICK + 12),
        data.x_name,
        SMALL,
        FAINT,
        width=width,
        anchor="ma",
    )
    paper.paste(_plot(series, across, up), (left, top))
    _label(paper, labels, (left + width, top))
    return paper


def _near_zero(series: Iterable[Sequence[float]]) -> bool:
    """Whether zero belongs on the axis: where it is not far below the smallest value, as for chances."""
    finite = [value for values in series for value in values if math.isfinite(value)]
    return bool(finite) and 0 <= min(finite) < max(finite) / 2


def _parts(
    x: Sequence[float], values: Sequence[float], across: ChartAxis, up: ChartAxis
) -> Iterator[list[Point]]:
    part: list[Point] = []
    for place, value in zip(x, values, strict=False):
        if math.isfinite(place) and math.isfinite(value):
            part.append((across.share(place), 1 - up.share(value)))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _plot(series: Sequence[_DrawnCurve], across: ChartAxis, up: ChartAxis) -> Image.Image:
    width, height = PLOT
    large = new_paper((width * FINER, height * FINER))
    draw = ImageDraw.Draw(large)
    right, bottom = width * FINER - 1, height * FINER - 1
    for value, _ in up.ticks:
        y = (1 - up.share(value)) * bottom
        draw.line((0, y, right, y), fill=LINE, width=FINER)
    for value, _ in across.ticks:
        x = across.share(value) * right
        draw.line((x, bottom - 5 * FINER, x, bottom), fill=FAINT, width=FINER)
    draw.line((0, bottom - 1, right, bottom - 1), fill=FAINT, width=FINER)
    for line in reversed(series):  # the first lies on top
        for part in line.parts:
            points = [(x * right, y * bottom) for x, y in part]
            _stroke(draw, points, line, FINER)
            if len(points) == 1:
                (x, y), far = points[0], 4 * FINER
                draw.ellipse((x - far, y - far, x + far, y + far), fill=line.colour)
    return large.reduce(FINER)


def _stroke(draw: ImageDraw.ImageDraw, points: Sequence[Point], line: _DrawnCurve, finer: int) -> None:
    """A line through the points, in the strokes of its series."""
    width = 2 * finer + finer // 2
    if not line.strokes:
        draw.line(points, fill=line.colour, width=width, joint="curve")
        return
    lengths = [finer * length for length in line.strokes]
    place, remaining = 0, float(lengths[0])
    for (x, y), (to_x, to_y) in pairwise(points):
        far, covered = math.hypot(to_x - x, to_y - y), 0.0
        while covered < far:
            step = min(remaining, far - covered)
            if place % 2 == 0:
                ends = [
                    (x + (to_x - x) * at / far, y + (to_y - y) * at / far) for at in (covered, covered + step)
                ]
                draw.line(ends, fill=line.colour, width=width)
            covered, remaining = covered + step, remaining - step
            if remaining <= 0:
                place = (place + 1) % len(lengths)
                remaining = float(lengths[place])


def _label(
    paper: Image.Image, labels: Sequence[tuple[_DrawnCurve, Sequence[str]]], place: tuple[int, int]
) -> None:
    """Every name where its series ends; those that would lie on each other are moved apart."""
    left, top = place
    draw = ImageDraw.Draw(paper)
    ends = {line.name: top + (line.end[1] if line.end else 1.0) * (PLOT[1] - 1) for line, _ in labels}
    ordered = sorted(labels, key=lambda label: ends[label[0].name])
    tall = [len(lines) * LINE_HEIGHT + 4 for _, lines in ordered]
    highest, places = float(top), []
    for (line, _), high in zip(ordered, tall, strict=True):
        places.append(max(ends[line.name] - LINE_HEIGHT / 2, highest))
        highest = places[-1] + high
    lowest = max(float(top + PLOT[1] + LINE_HEIGHT), top + float(sum(tall)))
    for number in range(len(places) - 1, -1, -1):  # what was pushed out below goes up again
        places[number] = min(places[number], lowest - tall[number])
        lowest = places[number]
    for (line, lines), y in zip(ordered, places, strict=True):
        middle = y + LINE_HEIGHT / 2
        if line.end:
            from_x = left + (line.end[0] - 1) * PLOT[0]
            draw.line((from_x + 4, ends[line.name], left + LEADER - 4, middle), fill=LINE)
        sample = [(float(left + LEADER), middle), (float(left + LEADER + SAMPLE), middle)]
        _stroke(draw, sample, line, 1)
        for row, text in enumerate(lines):
            write(
                draw, (left + LEADER + SAMPLE + 8, middle + row * LINE_HEIGHT), text, SMALL, INK, anchor="lm"
            )


def _remarks(data: Curves, drawn: dict[str, tuple[float, ...]]) -> Iterator[str]:
    missing = {name: sum(not math.isfinite(value) for value in values) for name, values in drawn.items()}
    omissions = [f"{count:,} of {len(drawn[name]):,} of {name}" for name, count in missing.items() if count]
    if omissions:
        yield f"Left out, since they are NaN or infinite: {listed(omissions)}."
    if len(data.series) > len(drawn):
        yield f"{len(data.series) - len(drawn):,} more series are not drawn."
