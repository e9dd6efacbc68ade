"""Explanations with any picture, map and words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.prediction import Prediction
from cnnexplain.core.preprocess import Preprocess
from cnnexplain.core.results import Detail
from cnnexplain.core.results.map import Heatmap, Scale
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.render import map as maps
from cnnexplain.render.kit import feature_sheet, feature_strip, measures, panel
from cnnexplain.render.kit import sheet as sheets
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.map import MapCards


@pytest.fixture
def cards() -> Callable[..., tuple[MapCards, Heatmap]]:
    """The cards of a picture with one heat map, ready to be drawn."""

    def made(
        values: Any,
        picture: Image.Image | None = None,
        preprocess: Preprocess | None = None,
        label: str = "tiger cat",
        image: str = "photos/cat.jpg",
        layer: str = "layer4",
        scale: Scale = "evidence",
        of_class: bool = True,
        remarks: tuple[str, ...] = (),
        **options: Any,
    ) -> tuple[MapCards, Heatmap]:
        picture = picture or Image.new("RGB", (300, 200), (90, 120, 90))
        geometry = (preprocess or Preprocess(crop_mode="squash", resize=(224, 224))).geometry(picture.size)
        target = Prediction(282, label, 0.393, 5.1)
        heatmap = Heatmap(
            "gradcam",
            layer,
            target,
            np.asarray(values, np.float32),
            geometry,
            of_class,
            scale,
            Detail({}, remarks),
        )
        explanation = Explanation(image, picture, geometry, (target,), (heatmap,))
        return MapCards(explanation, RenderOptions(**options)), heatmap

    return made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line of words that is drawn."""
    lines: list[str] = []
    write = maps.write

    def listening(draw, place, text, *rest, **more):
        lines.append(text)
        return write(draw, place, text, *rest, **more)

    for module in (maps, sheets, panel, feature_sheet, feature_strip, measures):
        monkeypatch.setattr(module, "write", listening)
    return lines


@pytest.fixture
def explained() -> Callable[..., Explanation]:
    """An explanation with reconstructions: for each a dict of what differs from one 4x4 unit in the middle."""

    def made(
        *wanted: dict[str, Any],
        picture: Image.Image | None = None,
        preprocess: Preprocess | None = None,
        image: str = "photos/cat.jpg",
    ) -> Explanation:
        picture = picture or Image.new("RGB", (300, 200), (90, 120, 90))
        preprocess = preprocess or Preprocess(input_size=(32, 32), resize=(32, 32), crop_mode="squash")
        geometry, found = preprocess.geometry(picture.size), []
        for one in wanted:
            left, top, right, bottom = sees = one.get("sees", (14, 14, 18, 18))
            values = one.get("values")
            if values is None:
                values = np.random.default_rng(0).normal(size=(3, bottom - top, right - left))
            found.append(
                Reconstruction(
                    one.get("rule", "deconv"),
                    one.get("layer", "features.3"),
                    one.get("channel", 7),
                    one.get("cell", (2, 2)),
                    one.get("map_size", (4, 4)),
                    one.get("activation", 3.41),
                    sees,
                    np.asarray(values, np.float32),
                    preprocess.input_size,
                    geometry,
                    Detail({}, one.get("remarks", ())),
                )
            )
        target = Prediction(282, "tiger cat", 0.393, 5.1)
        return Explanation(image, picture, geometry, (target,), tuple(found))

    return made
