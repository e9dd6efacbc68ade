"""Maps of an image with a little noise on it: what changes much says little of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnexplain.commands._randomised import Maps, maps_of, of_class

if TYPE_CHECKING:
    from cnnexplain.commands import ImageCommand
    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model

COPIES = 8
RADIUS = 0.02  # of the normalised input's values, as in Yeh et al. 2019


def noisy(model: Model, image: Batch, commands: Sequence[ImageCommand], index: int) -> list[Maps]:
    """The maps of a class for copies of an image, to every value of which noise up to `RADIUS` is added.

    Args:
        model: The model. Called inside `borrowed()`.
        image: The image, as a batch of one.
        commands: Bound commands that make maps.
        index: The class that is explained; of a function it does not count.
    """
    import torch

    generator = torch.Generator().manual_seed(model.seed)
    shape = (COPIES, *image.inputs.shape[1:])
    noise = (torch.rand(shape, generator=generator) * 2 - 1) * RADIUS
    copies = replace(
        image,
        inputs=model.layout.of(image.inputs + noise.to(image.inputs)),
        pictures=image.pictures * COPIES,
        geometries=image.geometries * COPIES,
        expected=None,
    )
    return maps_of(model, copies, [of_class(command, index) for command in commands])
