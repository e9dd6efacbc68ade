"""An explanation as a notebook shows it: its pictures in one piece of HTML that needs no other file."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import asdict
from html import escape

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.words import count, likelihood
from cnnexplain.render import pictures
from cnnexplain.render.kit.options import RenderOptions

MOST = 4  # pictures
SIDE = 320  # pixels of a photograph
LONGEST = 80  # letters of a name


def html(explanation: Explanation) -> str:
    """The best classes and the first pictures, a few dozen kilobytes."""
    best = "".join(
        f"<li>{escape(_short(prediction.label))} {likelihood(asdict(prediction))}</li>"
        for prediction in explanation.predictions[:3]
    )
    figures: list[str] = []
    total = 0
    for picture in pictures(explanation, RenderOptions(max_side=SIDE)):
        total += 1
        if len(figures) < MOST:
            stream = io.BytesIO()
            picture.image.save(stream, "JPEG", quality=85)
            data = base64.b64encode(stream.getvalue()).decode()
            figures.append(
                f'<img alt="{escape(_about(explanation, total))}" src="data:image/jpeg;base64,{data}">'
            )
    rest = (
        f"<p>and {count(total - MOST, 'picture')} more: explainer.pictures(explanation)</p>"
        if total > MOST
        else ""
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in explanation.notes)
    name = escape(_short(os.path.basename(explanation.image)))
    return f"<div><p><b>{name}</b></p><ol>{best}</ol>{notes}<p>{''.join(figures)}</p>{rest}</div>"


def _about(explanation: Explanation, place: int) -> str:
    heatmap = explanation.heatmaps[place - 1] if place <= len(explanation.heatmaps) else None
    return f"picture {place}" if heatmap is None else f"{heatmap.method} at {heatmap.layer}"


def _short(text: str) -> str:
    """A name without what a browser would obey or hide, and no longer than a line."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
