"""Reads off a module how many classes it tells apart and how many channels it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

SPACE_TO_DEPTH = (12, 48)  # channels of a first convolution that stands behind a fold of RGB by 2 or by 4


def class_count(module: nn.Module) -> int | None:
    """The number of classes: what the model says of itself, else its last layer's width; None if unknown."""
    from torch import nn

    said = getattr(module, "num_classes", None)
    if isinstance(said, int) and not isinstance(said, bool) and said > 0:
        return said
    layers = [one for one in module.modules() if isinstance(one, (nn.Linear, nn.Conv2d))]
    if not layers:
        return None
    last = layers[-1]
    return last.out_features if isinstance(last, nn.Linear) else last.out_channels


def first_convolution(module: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """The name and module of the first convolution, in the order of definition."""
    from torch import nn

    found = ((name, one) for name, one in module.named_modules() if isinstance(one, nn.Conv2d))
    return next(found, None)


def input_channels(module: nn.Module) -> int | None:
    """The channels that pictures must have; None where no convolution tells."""
    found = first_convolution(module)
    if found is None:
        return None
    channels = found[1].in_channels
    return 3 if channels in SPACE_TO_DEPTH else channels
