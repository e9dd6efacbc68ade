"""Every picture that is drawn of one explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from PIL import Image

from cnnexplain.core.explanation import Explanation, Heatmap, Reconstruction
from cnnexplain.core.feature_maps import FeatureMaps
from cnnexplain.core.inspection import Finding
from cnnexplain.core.kernels import Kernels
from cnnexplain.render import feature_sheet, feature_strip, kernels
from cnnexplain.render.heatmap import Easel
from cnnexplain.render.options import RenderOptions
from cnnexplain.render.panel import Shown
from cnnexplain.render.sheet import sheet, strip
from cnnexplain.render.unit import by_layer

# How each kind of finding in a model is drawn.
DRAWN: dict[type, Callable[[Any, RenderOptions], Image.Image]] = {Kernels: kernels.sheet}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, drawn when it is asked for, and the findings that it shows; none for the overview of all layers."""

    draw: Callable[[], Image.Image]
    shows: tuple[Heatmap | Reconstruction | FeatureMaps, ...]

    @cached_property
    def image(self) -> Image.Image:
        """The finished picture."""
        return self.draw()


def pictures(explanation: Explanation, options: RenderOptions) -> Iterator[Picture]:
    """A card for every heat map; a sheet for every layer with reconstructions, and a strip of several layers.

    Of feature maps one strip where no layer was named, or else a sheet for every layer.
    """
    easel = Easel(explanation, options)
    for heatmap in explanation.heatmaps:
        yield Picture(partial(easel.card, heatmap), (heatmap,))
    layers = by_layer(explanation.reconstructions)
    for layer, units in layers.items():
        shows = tuple(one for one in explanation.reconstructions if one.layer == layer)
        yield Picture(partial(sheet, easel.shown, layer, units), shows)
    if len(layers) > 1:
        yield Picture(partial(strip, easel.shown, layers), ())
    together = tuple(one for one in explanation.feature_maps if one.look.together)
    if together:
        yield Picture(partial(feature_strip.strip, easel.shown, together, options), together)
    for maps in explanation.feature_maps:
        if not maps.look.together:
            shown = easel.shown
            if maps.geometry != explanation.geometry:  # the layer was given a part of the picture only
                shown = Shown(replace(explanation, geometry=maps.geometry), options.max_side)
            yield Picture(partial(feature_sheet.sheet, shown, maps, options), (maps,))


def of_model(finding: Finding, options: RenderOptions) -> Iterator[Image.Image]:
    """The picture of what was found in a model, where it is a thing that can be drawn."""
    for kind, draw in DRAWN.items():
        if isinstance(finding, kind):
            yield draw(finding, options)
