"""Feature maps: one strip where no layer was named, or else a sheet for every layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from cnnexplain.core.explanation import Explanation
from cnnexplain.core.results.channels import FeatureMaps
from cnnexplain.render import Picture
from cnnexplain.render.kit import feature_sheet, feature_strip
from cnnexplain.render.kit.options import RenderOptions
from cnnexplain.render.kit.panel import DrawnImage


def pictures(
    results: Sequence[FeatureMaps], explanation: Explanation, options: RenderOptions
) -> Iterator[Picture]:
    """The strip first, then the sheets."""
    image = DrawnImage(explanation, options.max_side)
    together = tuple(maps for maps in results if maps.look.together)
    if together:
        yield Picture(partial(feature_strip.strip, image, together, options), together)
    for maps in results:
        if maps.look.together:
            continue
        around = image
        if maps.geometry != explanation.geometry:  # the layer was given a part of the picture only
            around = DrawnImage(replace(explanation, geometry=maps.geometry), options.max_side)
        yield Picture(partial(feature_sheet.sheet, around, maps, options), (maps,))
