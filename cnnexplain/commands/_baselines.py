"""The pictures at which integrated gradients begin: what counts as nothing to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model

BLUR = 0.1  # standard deviation, as a share of the input's shorter side


def _black(model: Model, inputs: Tensor) -> Tensor:
    import numpy as np

    height, width = inputs.shape[2:]
    return model.inputs([np.zeros((height, width, inputs.shape[1]), np.uint8)]).expand_as(inputs)


def _mean(_model: Model, inputs: Tensor) -> Tensor:
    """What the model was normalised by: its training pictures' mean colour."""
    return inputs.new_zeros(()).expand_as(inputs)


def _random(model: Model, inputs: Tensor) -> Tensor:
    import numpy as np

    height, width = inputs.shape[2:]
    generator = np.random.default_rng(model.seed)
    pixels = generator.integers(0, 256, (height, width, inputs.shape[1]), dtype=np.uint8)
    return model.inputs([pixels]).expand_as(inputs)


def _blur(_model: Model, inputs: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    short = min(inputs.shape[2:])
    sigma = max(BLUR * short, 0.5)
    reach = min(round(3 * sigma), short - 1)
    # In float32: for bfloat16 it may never end.
    blurred: Tensor = gaussian_blur(inputs.float(), [2 * reach + 1] * 2, [sigma] * 2)
    return blurred.to(inputs)


BASELINES: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "black": _black,
    "mean": _mean,
    "blur": _blur,
    "random": _random,
}
