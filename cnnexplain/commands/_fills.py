"""What hides a part of an image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnnexplain.commands._baselines import BASELINES
from cnnexplain.core.words import count
from cnnexplain.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.engine.model import Model

FROM_IMAGE = ("mean", "blur")
COLOURS = {"grey": 128, "black": 0}


def require_fill(name: str, model: Model) -> None:
    """Raise `OptionError` where there is no such fill, or none for as many channels as the model's."""
    if name in FROM_IMAGE or name in COLOURS:
        return
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        raise OptionError(
            f"--fill {name!r} is neither a fill nor a colour",
            "give grey, mean, blur, black, or a colour as '#ff8000'",
        )
    if model.preprocess.channels != 3:
        raise OptionError(
            f"--fill {name} is a colour, and the model sees {count(model.preprocess.channels, 'channel')}",
            "give grey, mean, blur or black",
        )


def fill(name: str, model: Model, inputs: Tensor) -> Tensor:
    """Images (N, C, H, W), normalised as `inputs` are, out of which what is hidden is filled."""
    import numpy as np

    if name in FROM_IMAGE:
        return BASELINES[name](model, inputs)
    channels, (height, width) = inputs.shape[1], inputs.shape[2:]
    values = [COLOURS[name]] * channels if name in COLOURS else list(bytes.fromhex(name[1:]))
    pixels = np.broadcast_to(np.array(values, np.uint8), (height, width, channels))
    return model.inputs([pixels]).expand_as(inputs)
