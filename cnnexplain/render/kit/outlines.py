"""The picture with outlines of what units can see, numbered by rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw

from cnnexplain.render.kit.panel import Box, DrawnImage
from cnnexplain.render.kit.text import font, lay
from cnnexplain.render.kit.units import Unit

MOST = 24  # more outlines would hide the picture
SMALLEST = 7  # drawn pixels a side; a smaller outline could not be seen
TAG = 13
PADDING = 3
CROWDED = 0.15  # of the picture may be covered by numbers


def outlined(image: DrawnImage, units: Sequence[Unit]) -> Image.Image:
    """The picture, where the model saw it, with what each unit can see; not of those that see it all."""
    canvas = image.over_unseen(image.picture.crop(image.seen))
    draw = ImageDraw.Draw(canvas)
    ranks: dict[Box, list[int]] = {}
    for unit in [unit for unit in units if not unit.sees_all][:MOST]:
        box = _drawn(image, unit)
        if box is not None:
            ranks.setdefault(box, []).append(unit.rank)
    height = TAG + PADDING
    if min(canvas.size) < 2 * height or len(ranks) * height**2 > CROWDED * canvas.width * canvas.height:
        return canvas  # too small; the captions say where each unit looks
    for grown, colour in ((1, "#000000"), (0, "#ffffff")):
        for left, top, right, bottom in ranks:
            draw.rectangle(
                (left - grown, top - grown, right + grown, bottom + grown),
                outline=colour,
                width=1 + 2 * grown,
            )
    tags: list[Box] = []
    for box, numbers in ranks.items():
        text = ", ".join(map(str, numbers))
        tags.append(_tag(draw, canvas.size, box, text, tags))
    return canvas


def _drawn(shown: DrawnImage, unit: Unit) -> Box | None:
    """The outline of what a unit can see, clipped to the picture, in whole drawn pixels; None where that is nothing."""
    box, sides = shown.at(unit.any.box), []
    for axis, side in enumerate(shown.picture.size):
        first, last = max(box[axis], 0.0), min(box[axis + 2], float(side))
        if not first < last:
            return None
        lacking = max(SMALLEST - (last - first), 0) / 2
        begin = min(round(max(first - lacking, 0)), side - 1)
        sides.append((begin, max(begin, round(min(last + lacking, side)) - 1)))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _tag(draw: ImageDraw.ImageDraw, canvas: tuple[int, int], box: Box, text: str, tags: Sequence[Box]) -> Box:
    """Write a number beside an outline, where it is on the picture and hides no other if that is possible."""
    face = font(TAG, bold=True)
    width, height = face.getlength(text) + 2 * PADDING, TAG + PADDING
    places = [
        (min(max(x, 0), canvas[0] - width - 1), min(max(y, 0), canvas[1] - height - 1))
        for x, y in _corners(box, width, height)
    ]
    left, top = min(
        places,
        key=lambda place: sum(_common((*place, place[0] + width, place[1] + height), tag) for tag in tags),
    )
    draw.rectangle((left, top, left + width, top + height), fill="#000000")
    lay(draw, (left + width / 2, top + height / 2), text, face, "#ffffff", "mm")
    return left, top, left + width, top + height


def _corners(box: Box, width: float, height: float) -> Iterator[tuple[float, float]]:
    left, top, right, bottom = box
    for y in (top - height - 1, bottom + 2, top, bottom - height):
        yield left - 1, y
        yield right - width + 1, y
    yield left - width - 2, top
    yield right + 2, top


def _common(box: Box, other: Box) -> float:
    """The area that two boxes share."""
    across = min(box[2], other[2]) - max(box[0], other[0])
    down = min(box[3], other[3]) - max(box[1], other[1])
    return max(across, 0) * max(down, 0)
