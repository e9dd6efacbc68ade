"""Every picture that is drawn of one explanation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from cnnexplain.core.explanation import Explanation, Heatmap, Reconstruction
from cnnexplain.core.inspection import Finding
from cnnexplain.render.heatmap import Easel
from cnnexplain.render.options import RenderOptions
from cnnexplain.render.sheet import sheet, strip
from cnnexplain.render.unit import by_layer


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished picture, and the findings that it shows; none for the overview of all layers."""

    image: Image.Image
    shows: tuple[Heatmap, ...] | tuple[Reconstruction, ...]


def pictures(explanation: Explanation, options: RenderOptions) -> Iterator[Picture]:
    """A card for every heat map; a sheet for every layer with reconstructions, and a strip of several layers."""
    easel = Easel(explanation, options)
    for heatmap in explanation.heatmaps:
        yield Picture(easel.card(heatmap), (heatmap,))
    layers = by_layer(explanation.reconstructions)
    for layer, units in layers.items():
        shows = tuple(one for one in explanation.reconstructions if one.layer == layer)
        yield Picture(sheet(easel.shown, layer, units), shows)
    if len(layers) > 1:
        yield Picture(strip(easel.shown, layers), ())


def of_model(finding: Finding, _options: RenderOptions) -> Iterator[Image.Image]:
    """The picture of what was found in a model, where it has one."""
    raise TypeError(f"a {type(finding).__name__} cannot be drawn")
