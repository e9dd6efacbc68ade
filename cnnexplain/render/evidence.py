"""The picture of what a check found."""

from __future__ import annotations

from PIL import Image

from cnnexplain.core.verdict import Drawing


def drawn(drawing: Drawing) -> Image.Image:
    """Profile, curves, confusion or gallery."""
    raise NotImplementedError
