"""Spots of a sheet: where its tiles are, and what a page says of each to whoever points there.

They travel with the picture itself, in Pillow's `info`, of which nothing is written into the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from cnnexplain.core.records import readable

_SPOTS, _NAMES = "spots", "names"

Place = tuple[float, float]


def spot(
    paper: Image.Image,
    place: Place,
    size: Place,
    name: str,
    facts: Iterable[tuple[str, str]] = (),
    **more: Any,
) -> None:
    """Note a tile of a sheet.

    Args:
        paper: The sheet.
        place: The upper left corner of the tile, in drawn pixels.
        size: Its width and height.
        name: What it shows.
        facts: What is known of it, each a name and a text.
        more: What else a page may use: `curve` has the points of a chart, `x` and `lines`.
    """
    box = [round(number) for number in (*place, *size)]
    described = {"box": box, "name": readable(name), "facts": [[key, readable(text)] for key, text in facts]}
    paper.info.setdefault(_SPOTS, []).append(described | more)


def name_row(paper: Image.Image, place: Place, size: Place, name: str, texts: Sequence[str]) -> None:
    """Note the name of a row, which stays in sight while a page scrolls what is beside it."""
    box = [round(number) for number in (*place, *size)]
    paper.info.setdefault(_NAMES, []).append({"box": box, "name": readable(name), "texts": list(texts)})


def move_spots(part: Image.Image, paper: Image.Image, place: tuple[int, int]) -> None:
    """Note the spots of a picture on the paper on which it is pasted at `place`."""
    for noted in part.info.get(_SPOTS, ()):
        left, top, *size = noted["box"]
        paper.info.setdefault(_SPOTS, []).append({**noted, "box": [left + place[0], top + place[1], *size]})


def spots_of(picture: Image.Image) -> Mapping[str, Any] | None:
    """What was noted on a sheet, as JSON has it; None where nothing was."""
    if _SPOTS not in picture.info:
        return None
    return {
        "size": picture.size,
        **{key: picture.info[key] for key in (_SPOTS, _NAMES) if key in picture.info},
    }
