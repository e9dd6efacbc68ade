"""Sheets of the units of a layer, and the strip of several layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.unit import Reconstruction
from cnnexplain.render import Picture
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import DrawnImage
from cnnexplain.render.kit.sheet import plain_sheet, plain_strip, sheet, strip
from cnnexplain.render.kit.units import by_layer


def pictures(
    results: Sequence[Reconstruction], explanation: Explanation, options: RenderOptions
) -> Iterator[Picture]:
    """A sheet for every layer; of several layers also a strip that shows them side by side."""
    image = DrawnImage(explanation, options.max_side)
    layers, plain = by_layer(results), options.plain
    for layer, units in layers.items():
        shows = tuple(result for result in results if result.layer == layer)
        drawn = partial(plain_sheet, image, units) if plain else partial(sheet, image, layer, units)
        yield Picture(drawn, shows)
    if len(layers) > 1:
        yield Picture(partial(plain_strip if plain else strip, image, layers), ())
