"""The picture of a check's evidence."""

from __future__ import annotations

from PIL import Image

from cnnexplain.core.verdict import Confusion, Curves, Drawing, Profile
from cnnexplain.render.kit.confusion import confusion
from cnnexplain.render.kit.curves import curves
from cnnexplain.render.kit.gallery import gallery
from cnnexplain.render.kit.profile import profile


def drawn(drawing: Drawing) -> Image.Image:
    """Profile, curves, confusion or gallery."""
    if isinstance(drawing, Profile):
        return profile(drawing)
    if isinstance(drawing, Curves):
        return curves(drawing)
    if isinstance(drawing, Confusion):
        return confusion(drawing)
    return gallery(drawing)
