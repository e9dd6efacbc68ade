"""A look at one blank picture's way through a model, and in words why it cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.engine.forward import elsewhere, is_theirs, require_pictures
from cnnexplain.engine.layout import Looked
from cnnexplain.engine.weights.layers import require_plain
from cnnexplain.errors import CnnexplainError, ModelError, is_out_of_memory

if TYPE_CHECKING:
    from cnnexplain.engine.model import Model


def looked_at(model: Model, look: Callable[[], Looked]) -> Looked:
    """The result of `look`, which sends a blank picture through the model; called with the model borrowed.

    Raises:
        CnnexplainError: The model cannot be looked at, or its own code fails, each with a hint.
    """
    require_plain(model.module, model.name)
    try:
        with model.borrowed():
            return model.layout.looked(model.module, look)
    except CnnexplainError as error:
        if isinstance(error, ModelError):
            require_pictures(model.module, model.name)
        raise
    except Exception as error:
        if is_out_of_memory(error):
            height, width = model.preprocess.input_size
            raise ModelError(
                f"there is not enough memory on {model.device} for one picture of {height}x{width}",
                f"use {elsewhere(model.device)}a smaller --input-size",
            ) from error
        if not is_theirs(error):
            raise
        raise model.failed_backwards(error) from error
