"""Plain sheets: pictures in rows on white paper, without a word."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from cnnexplain.render.kit.panel import PAPER

APART = 8  # drawn pixels from one picture to the next
TOGETHER = 4  # of pictures that belong together


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures that belong together as one."""
    return in_rows([pictures], TOGETHER)


def in_columns(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures row by row, so many in each."""
    return in_rows([pictures[start : start + columns] for start in range(0, len(pictures), columns)])


def in_rows(rows: Sequence[Sequence[Image.Image]], apart: int = APART) -> Image.Image:
    """Rows of pictures, each in the middle of a place that is as large as the largest of them."""
    width = max(picture.width for row in rows for picture in row) + apart
    height = max(picture.height for row in rows for picture in row) + apart
    paper = Image.new("RGB", (max(map(len, rows)) * width - apart, len(rows) * height - apart), PAPER)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            left = across * width + (width - apart - picture.width) // 2
            paper.paste(picture, (left, down * height + (height - apart - picture.height) // 2))
    return paper
