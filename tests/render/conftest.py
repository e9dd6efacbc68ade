"""Explanations with any picture, map and words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation, Heatmap, Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.render.heatmap import Easel
from cnnexplain.render.options import RenderOptions


@pytest.fixture
def easel() -> Callable[..., tuple[Easel, Heatmap]]:
    """An easel with one heat map, ready to be drawn."""

    def made(
        values: Any,
        picture: Image.Image | None = None,
        preprocess: Preprocess | None = None,
        label: str = "tiger cat",
        image: str = "photos/cat.jpg",
        layer: str = "layer4",
        **options: Any,
    ) -> tuple[Easel, Heatmap]:
        picture = picture or Image.new("RGB", (300, 200), (90, 120, 90))
        geometry = (preprocess or Preprocess(crop_mode="squash", resize=(224, 224))).geometry(picture.size)
        target = Prediction(282, label, 0.393, 5.1)
        heatmap = Heatmap("gradcam", layer, target, np.asarray(values, np.float32), geometry)
        explanation = Explanation(image, picture, geometry, (target,), (heatmap,))
        return Easel(explanation, RenderOptions(**options)), heatmap

    return made
