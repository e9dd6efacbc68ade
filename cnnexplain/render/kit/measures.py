"""Numbers of a layer as drawings: how often values occur, and how strong single units are."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from cnnexplain.core.results.channels import FeatureMaps, Histogram
from cnnexplain.core.words import number, percent, unit_name
from cnnexplain.render.kit.panel import FAINT, INK, LINE, SMALL
from cnnexplain.render.kit.paper import new_paper
from cnnexplain.render.kit.text import fitted, font, write

POSITIVE, NEGATIVE = "#b2182b", "#2166ac"  # as in the diverging map
TICKS = 13
BAR, BAR_LENGTH, BAR_NAMES = 20, 300, 260
LINES, BETWEEN = 32, 20  # bars in a column; columns


def histogram(data: Histogram, size: tuple[int, int]) -> Image.Image:
    """Bars whose heights are the square roots of the counts, with zero marked on the axis below."""
    width, height = size
    canvas = new_paper(size)
    draw = ImageDraw.Draw(canvas)
    floor = height - TICKS - 5
    highest, steps = math.sqrt(max(data.counts)), len(data.counts)
    span = data.high - data.low
    zero = 0 if not span > 0 else round(-data.low / span * (width - 1))
    for place, count in enumerate(data.counts if highest else ()):
        left, right = place * width // steps, (place + 1) * width // steps - 1
        tall = round(math.sqrt(count) / highest * (floor - 2))
        if count:
            colour = NEGATIVE if (left + right) / 2 < zero else POSITIVE
            draw.rectangle((left, floor - max(tall, 1), right, floor - 1), fill=colour)
    draw.line((0, floor, width, floor), fill=FAINT)
    draw.line((zero, floor - 3, zero, floor + 3), fill=INK)
    ends = [(0, number(data.low), "la"), (width - 1, number(data.high), "ra")]
    for x, text, anchor in ends if span > 0 else ():
        write(draw, (x, floor + 3), text, TICKS, FAINT, anchor=anchor)
    widths = [font(TICKS).getlength(text) + 8 for _, text, _ in ends]
    if not span > 0 or widths[0] < zero < width - widths[1]:
        write(draw, (zero, floor + 3), "0", TICKS, FAINT, anchor="ma" if zero else "la")
    return canvas


def histogram_words(maps: FeatureMaps) -> str:
    """The sentence that explains a histogram: what it counts, and how its heights are scaled."""
    values = maps.count * (maps.size[0] * maps.size[1] if maps.size else 1)
    share = maps.histogram.zeros / values
    zeros = f", without the {percent(share)} that are exactly zero" if share else ""
    return f"Histogram: all values of the layer{zeros}; heights are square roots of counts."


def bars(maps: FeatureMaps) -> Image.Image:
    """A bar from zero for every unit that is shown, with its number, the class's name where it is one, its value."""
    values = [float(value) for value in maps.values[: maps.shown]]
    low, high = min(0.0, *values), max(0.0, *values)
    span = high - low or 1.0
    columns = math.ceil(len(values) / LINES)
    lines = math.ceil(len(values) / columns)
    # Of several columns each is narrower.
    length, room_for_names = (BAR_LENGTH, BAR_NAMES) if columns == 1 else (BAR_LENGTH // 3, BAR_NAMES // 2)
    face = font(SMALL)
    names = [fitted(_name(maps, channel), face, room_for_names) for channel in maps.channels[: maps.shown]]
    longest = max(math.ceil(face.getlength(name)) for name in names) + 12
    room = max(math.ceil(face.getlength(number(value))) for value in values) + 12
    # Numbers stand beyond the ends of their bars.
    before = longest + (room if low < 0 else 0)
    across = before + length + room + BETWEEN
    canvas = new_paper((columns * across - BETWEEN, lines * (BAR + 4)))
    draw = ImageDraw.Draw(canvas)
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        column, line = divmod(place, lines)
        left, top = column * across, line * (BAR + 4)
        zero = left + before + round(-low / span * length)
        end = zero + round(value / span * length)
        write(draw, (left, top), name, SMALL, INK)
        if end != zero:
            colour = POSITIVE if value > 0 else NEGATIVE
            draw.rectangle((min(zero, end), top + 2, max(zero, end) - 1, top + BAR - 1), fill=colour)
        label_x, anchor = (end - 6, "ra") if value < 0 else (end + 6, "la")
        write(draw, (label_x, top), number(value), SMALL, FAINT, anchor=anchor)
        draw.line((zero, top, zero, top + BAR + 3), fill=LINE)
    return canvas


def _name(maps: FeatureMaps, unit: int) -> str:
    return unit_name(unit, maps.labels[unit], maps.count) if maps.labels else f"unit {unit}"
