"""Cards of synthesised pictures: the picture, a real one beside it, what they reach, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnexplain.core.results.synthesis import Synthesis
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import GAP, MARGIN, NARROWEST, drawn, paper_with

PLANES = 8  # of a picture that is no photograph, side by side at most


def pictures(results: Sequence[Synthesis], options: RenderOptions) -> Iterator[Picture]:
    """For every result a card, and the picture alone."""
    for result in results:
        yield Picture(partial(card, result, options), (result,))
        yield Picture(partial(plain, result.values), (), "plain")


def card(result: Synthesis, options: RenderOptions) -> Image.Image:
    """The picture, the strongest real patch beside it, and what is to be known around; plain, the picture alone."""
    body = drawn(plain(result.values), options.max_side)
    if options.plain:
        return body
    beside = None
    if result.patch is not None:
        beside = Image.fromarray(result.patch).resize((min(body.size),) * 2, Image.Resampling.BICUBIC)
    width = body.width if beside is None else body.width + GAP + beside.width
    heading = (result.target, f"{result.method}, {result.steps} steps")
    remarks = (f"{result.words[:1].upper()}{result.words[1:]}.", *result.detail.remarks)
    if beside is not None and result.highest is not None:
        remarks = (f"At the right what the unit sees of {result.highest['image']}.", *remarks)
    paper, top = paper_with((max(width, NARROWEST), body.height), heading, remarks)
    paper.paste(body, (MARGIN, top))
    if beside is not None:
        paper.paste(beside, (MARGIN + body.width + GAP, top))
    return paper


def plain(values: NDArray[np.float32]) -> Image.Image:
    """The picture alone, of values (C, H, W) from 0 for black to 1 for white.

    Three channels are taken for red, green and blue; of another number each is a grey picture, side by side.
    """
    levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if len(levels) == 3:
        return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    return Image.fromarray(np.concatenate(levels[:PLANES], axis=1)).convert("RGB")
