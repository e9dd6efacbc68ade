"""Reads off a module how many channels it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

SPACE_TO_DEPTH = (12, 48)  # channels of a first convolution that stands behind a fold of RGB by 2 or by 4


def first_convolution(module: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """The name and module of the first convolution, in the order of definition."""
    from torch import nn

    convolutions = ((name, child) for name, child in module.named_modules() if isinstance(child, nn.Conv2d))
    return next(convolutions, None)


def input_channels(module: nn.Module) -> int | None:
    """The channels that pictures must have; None where no convolution tells."""
    first = first_convolution(module)
    if first is None:
        return None
    channels = first[1].in_channels
    return 3 if channels in SPACE_TO_DEPTH else channels
