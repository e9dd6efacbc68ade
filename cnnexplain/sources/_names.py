"""The meaning of tensors' names in a file."""

from __future__ import annotations

import re

# Modules and tensors that a loss or a tool adds to a network, by their names.
TRAINING = re.compile(
    r"criterion|criteria|(\w+_)?loss(es)?(_\w+)?|confmat|queue_ptr|n_averaged|num_updates|total_ops|total_params",
    re.IGNORECASE,
)


def for_training(name: str) -> bool:
    """Whether a key belongs to something that only training needs: a loss, a counter."""
    return any(TRAINING.fullmatch(part) for part in name.split("."))
