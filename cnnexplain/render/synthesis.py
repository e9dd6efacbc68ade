"""Cards of synthesised pictures: the picture, what it reaches, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.results.synthesis import Synthesis
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import MARGIN, NARROWEST, drawn, paper_with

PLANES = 8  # of a picture that is no photograph, side by side at most


def pictures(results: Sequence[Synthesis], options: RenderOptions) -> Iterator[Picture]:
    """A card for every picture."""
    return (Picture(partial(card, result, options), (result,)) for result in results)


def card(result: Synthesis, options: RenderOptions) -> Image.Image:
    """The picture, what it is for above, and below what it reaches and what to bear in mind; plain, it alone."""
    body = drawn(plain(result.values), options.max_side)
    if options.figure == "plain":
        return body
    heading = (result.target, f"{result.method}, {result.steps} steps")
    remarks = (f"{result.words[:1].upper()}{result.words[1:]}.", *result.detail.remarks)
    paper, top = paper_with((max(body.width, NARROWEST), body.height), heading, remarks)
    paper.paste(body, (MARGIN, top))
    return paper


def plain(values: NDArray[np.float32]) -> Image.Image:
    """The picture alone, of values (C, H, W) from 0 for black to 1 for white.

    Three channels are taken for red, green and blue; of another number each is a grey picture, side by side.
    """
    levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if len(levels) == 3:
        return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    return Image.fromarray(np.concatenate(levels[:PLANES], axis=1)).convert("RGB")
