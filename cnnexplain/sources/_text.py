"""Text from strangers' files: as it may be shown on a terminal, and what names of tensors tell."""

from __future__ import annotations

import re

# Modules and tensors that a loss or a tool adds to a network, by their names.
TRAINING = re.compile(
    r"criterion|criteria|(\w+_)?loss(es)?(_\w+)?|confmat|queue_ptr|n_averaged|num_updates|total_ops|total_params",
    re.IGNORECASE,
)
JOINERS = "\u200c\u200d"  # invisible, but part of how some languages are written


def printable(text: str) -> str:
    """`text` on one line, without control characters."""
    text = text.strip()
    if text.isprintable():
        return text
    return "".join(char for char in " ".join(text.split()) if char.isprintable() or char in JOINERS).strip()


def for_training(name: str) -> bool:
    """Whether a key belongs to what only training needs: a loss, a counter."""
    return any(TRAINING.fullmatch(part) for part in name.split("."))
