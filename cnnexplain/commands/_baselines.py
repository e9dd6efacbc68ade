"""The pictures at which integrated gradients begin: what counts as nothing to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.formulas.perturbation import blurred, mean_colour

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model


def _black(model: Model, inputs: Tensor) -> Tensor:
    import numpy as np

    height, width = inputs.shape[2:]
    return model.inputs([np.zeros((height, width, inputs.shape[1]), np.uint8)]).expand_as(inputs)


def _random(model: Model, inputs: Tensor) -> Tensor:
    import numpy as np

    height, width = inputs.shape[2:]
    generator = np.random.default_rng(model.seed)
    pixels = generator.integers(0, 256, (height, width, inputs.shape[1]), dtype=np.uint8)
    return model.inputs([pixels]).expand_as(inputs)


BASELINES: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "black": _black,
    "mean": lambda _, inputs: mean_colour(inputs),
    "blur": lambda _, inputs: blurred(inputs),
    "random": _random,
}
